// Where a fit ended.
#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include "kernels/arrow.h"
#include "support/buffer.h"

namespace nextstat {

enum class FitStatus : int {
  converged = 0,
  max_iterations = 1,  // the iteration limit came first
  singular = 2,        // stationary, but the Hessian is not positive definite: no unique minimum
  stalled = 3,         // no step lowers the nll, yet the gradient is not small
  infinite = 4,        // the nll is infinite at the start: zero expected where events were observed
  not_finite = 5,      // NaN in the likelihood or its derivatives
  bad_data = 6,        // no fit: negative or not finite data (of one dataset among many)
};

// In internal parameter order.
struct Minimum {
  explicit Minimum(ArrowShape shape_)
      : theta(shape_.size()), gradient(shape_.size()), held(shape_.size()),
        shape(std::move(shape_)), factor(shape) {}

  double projected_gradient_norm() const {
    double sum = 0.0;
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (!held[i]) sum += gradient[i] * gradient[i];
    }
    return std::sqrt(sum);
  }

  FitStatus status = FitStatus::infinite;
  Doubles theta, gradient;  // (P,)
  std::vector<char> held;   // (P,) fixed, at a bound, or pinned at a kink
  double nll = 0.0, edm = 0.0;
  int n_iterations = 0, n_evaluations = 0;
  bool at_edge = false;   // an empty bin's expectation is stopped at 0
  int undetermined = -1;  // if singular, a parameter the data do not determine (caller's order)
  ArrowShape shape;
  ArrowFactor factor;  // of the Hessian over the parameters not held; only if converged
};

}  // namespace nextstat
