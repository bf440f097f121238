// The numerical core, compiled once per instruction set and chosen once, when the library loads.
//
// Every function works in internal parameter order (see model/model.h) on buffers the caller owns;
// none allocates for itself beyond the scratch in Evaluation.
#pragma once

#include <vector>

#include "kernels/arrow.h"
#include "model/model.h"

namespace nextstat {

// Buffers of one evaluation, reused from call to call. Not to be shared between threads.
struct Evaluation {
  explicit Evaluation(const Model& model);

  // What `hessian` needs beyond the rest; call once before it.
  void reserve_second_derivatives(const Model& model);

  Doubles R, L, F;  // (n_samples,) products of normsys, of linear factors, of both
  Doubles N;        // (n_cells,) additive part
  Doubles group_factor, group_yield;  // (n_rows,) G and sum_s F_s N_s
  Doubles nu;                         // (n_bins,) expected events
  Doubles weight, curvature;          // (n_bins,) d nll/d nu, d2 nll/d nu2
  Doubles even, even1, even2;         // (P,) q, q', q'' of the histosys parameters
  Doubles factor, dlog, d2;           // (I,) normsys f, f'/f and f''/f
  Doubles sample_slope;               // (n_samples,) d nll / d F_s
  Doubles cell_slope;                 // (n_cells,) d nll / d N
  Doubles J, J_group;                 // (bins, globals) of one channel
  Doubles d, u;                       // (n_touched,) rank-two update of one sample
  std::vector<int> local;             // locals of one bin
  Doubles local_slope;                // and d nu_b / d local
  Doubles X, Y;                       // (globals, rows) of one block
  Doubles product;                    // (globals, globals) of one sparse block
};

struct Kernels {
  const char* level;

  // nu of every bin and what it is made of. theta (P,)
  void (*expected)(const Model&, const double* theta, Evaluation&);

  // nll with all constants.
  double (*nll)(const Model&, const Data&, const double* theta, Evaluation&);

  // nll and its gradient (P,).
  double (*gradient)(const Model&, const Data&, const double* theta, Evaluation&, double* gradient);

  // nll, gradient and Hessian.
  double (*hessian)(const Model&, const Data&, const double* theta, Evaluation&, double* gradient,
                    const ArrowShape&, Arrow&);

  // nll(theta1) - nll(theta0), formed term by term from the expected events nu1 and nu0.
  double (*difference)(const Model&, const Data&, const double* theta1, const double* nu1,
                       const double* theta0, const double* nu0);

  // Factorises H + diag(shift) over the free parameters; shift (size,) may be null. False if not
  // positive definite; factor.failed then says at which parameter.
  bool (*factorise)(const ArrowShape&, const Arrow&, const double* shift, ArrowFactor&);

  // x <- H^-1 x over the free parameters; the others become 0.
  void (*solve)(const ArrowShape&, const ArrowFactor&, double* x);

  // Sums of the sizes of the entries of each row (size,): H + diag of them has no negative
  // eigenvalue.
  void (*row_sums)(const ArrowShape&, const Arrow&, double* sums);

  // y = H x
  void (*multiply)(const ArrowShape&, const Arrow&, const double* x, double* y);

  // H^-1 (size, size) over the free parameters, 0 elsewhere.
  void (*inverse)(const ArrowShape&, const ArrowFactor&, double* inverse);

  // Diagonal of H^-1 over the free parameters, 0 elsewhere.
  void (*inverse_diagonal)(const ArrowShape&, const ArrowFactor&, double* diagonal);

  // A direction v with v^T H v <= 0 (up to rounding), from a failed factorisation.
  void (*descent_curvature)(const ArrowShape&, const ArrowFactor&, double* v);
};

// Those of the best instruction set this processor has.
const Kernels& kernels();

// The levels this build holds and this processor can run, best first.
std::vector<const Kernels*> available_kernels();

// Replaces the choice (for tests and benchmarks); throws std::invalid_argument if unavailable.
void choose_kernels(const char* level);

}  // namespace nextstat
