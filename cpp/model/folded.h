// Parameters about which the nll may have two minima.
//
// Where both variations of a nuisance parameter move the expectation of a bin to the same side,
// that expectation is folded: a small and a large value of the parameter, or values of both signs,
// fit the same data. A minimiser sees one of the basins only.
#pragma once

#include <vector>

#include "model/model.h"

namespace nextstat {

struct Folds {
  // Parameters, in the caller's order, whose variations fold the expectation of their bins by more
  // than a fifth of its statistical error, all bins together.
  std::vector<int> folded;

  // (P,) in the caller's order: how far the mean of both variations is from the expectation, in its
  // statistical errors, all bins together.
  Doubles bend;
};

Folds find_folds(const ModelSpec& spec);

}  // namespace nextstat
