// Expected yields and the derivatives of their parts: the first half of every likelihood function.
//
// Linear factors (normfactor, lumi, bin-wise) may be exactly zero, so their derivatives are
// products of the *other* factors, never quotients.
#pragma once

#include "kernels/kernels.h"

namespace nextstat {
namespace NEXTSTAT_LEVEL {

enum Order : int { value_only = 0, first_derivative = 1, second_derivative = 2 };

// Fills R, L, F, N, group_factor, group_yield, nu; and dlog, even1 (and d2, even2) if asked for.
template <Order order>
void evaluate(const Model& m, const double* theta, Evaluation& e);

// Product of the bin-wise factors of a group in bin b, leaving out rows `skip` and `skip2`.
inline double other_factors(const Model& m, const Group& group, const double* theta, int b,
                            int skip, int skip2 = -1) {
  double product = 1.0;
  for (int f = group.factor; f < group.factor + group.n_factors; ++f) {
    if (f != skip && f != skip2) product *= theta[m.binwise[m.binwise_offset[f] + b]];
  }
  return product;
}

// Product of the linear factors of a sample, leaving out positions `skip` and `skip2`.
inline double other_linear(const Model& m, const Sample& sample, const double* theta, int skip,
                           int skip2 = -1) {
  double product = 1.0;
  for (int k = 0; k < sample.n_factors; ++k) {
    if (k != skip && k != skip2) product *= theta[m.factor_param[sample.factor + k]];
  }
  return product;
}

}  // namespace NEXTSTAT_LEVEL
}  // namespace nextstat
