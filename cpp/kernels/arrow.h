// Symmetric matrices of arrow shape, as second derivatives of the likelihood are:
//
//   H = | A   B |   A (G, G) dense, lower triangle;  B (G, K) couples globals to locals;
//       | B^T D |   D block-diagonal: one small block per bin.
//
// All storage is column-major. Only the first `n_coupled` locals have a column in B.
#pragma once

#include <vector>

#include "model/model.h"

namespace nextstat {

struct ArrowShape {
  explicit ArrowShape(const Model& model);
  ArrowShape(int n_global, int n_coupled, std::vector<int> block);

  int n_global, n_coupled, n_local;
  std::vector<int> block;         // (blocks + 1,) first local of each block
  std::vector<int> block_offset;  // (blocks + 1,) first entry of each block in D
  std::vector<int> entry;         // (n_local,) start of the local's column in D, from its diagonal

  int size() const { return n_global + n_local; }
};

struct Arrow {
  explicit Arrow(const ArrowShape& shape);

  Doubles A;  // (G, G) lower
  Doubles B;  // (G, n_coupled)
  Doubles D;  // blocks, lower, one after the other
};

// Cholesky factor of H restricted to the free parameters, by elimination of the locals:
//   D = L_D L_D^T,  Z = B L_D^-T,  A - Z Z^T = L L^T.
struct ArrowFactor {
  explicit ArrowFactor(const ArrowShape& shape);

  Doubles L;                 // (G, G) lower
  Doubles Z;                 // (G, n_coupled)
  Doubles LD;                // blocks, lower
  std::vector<char> free;    // (size,) parameters the factor covers
  int failed = -1;           // first parameter whose pivot is not positive, -1 if none
  int weakest = -1;          // parameter with the smallest pivot beside its diagonal entry
  double weakest_pivot = 1;  // and their ratio: 1 - R^2 of its correlation with those before
};

}  // namespace nextstat
