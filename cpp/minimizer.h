// Bounded Newton minimisation of the likelihood with exact derivatives.
//
// Each iteration solves the quadratic model within the bounds by an active-set method,
//   min_d g^T d + d^T H d / 2   subject to   lower <= theta + d <= upper,
// and searches along d. Where H is not positive definite, its diagonal is raised just enough; at a
// saddle point the step follows a direction of negative curvature. Interpolation codes whose slope
// jumps at zero pin a parameter there when both one-sided slopes say so.
#pragma once

#include <vector>

#include "kernels.h"

namespace nextstat {

enum class FitStatus : int {
  converged = 0,
  max_iterations = 1,  // the iteration limit came first
  singular = 2,        // stationary, but the Hessian is not positive definite: no unique minimum
  stalled = 3,         // no step lowers the nll, yet the gradient is not small
  infinite = 4,        // the nll is infinite at the start: zero expected where events were observed
  not_finite = 5,      // NaN in the likelihood or its derivatives
};

// Arrays in the caller's parameter order.
struct FitProblem {
  const double* init;   // (P,)
  const double* lower;  // (P,)
  const double* upper;  // (P,)
  const char* fixed;    // (P,)
  double tolerance;     // on the estimated distance to the minimum, in nll
  int max_iterations;
};

// Where a fit ended, in internal parameter order.
struct Minimum {
  FitStatus status;
  Doubles theta, gradient;  // (P,)
  std::vector<char> held;   // (P,) fixed, at a bound, or pinned at a kink
  double nll, edm;
  int n_iterations, n_evaluations;
  ArrowShape shape;
  ArrowFactor factor;  // of the Hessian over the parameters not held; only if converged
  int undetermined;    // if singular, a parameter the data do not determine; else -1

  double projected_gradient_norm() const;
};

class Minimizer {
 public:
  Minimizer(const Model& model, const Data& data);

  // Fills `point`; may be run again for another problem.
  void run(const FitProblem& problem);

  Minimum point;

 private:
  FitStatus iterate(const FitProblem& problem);
  void load(const FitProblem& problem);
  bool make_finite();
  void choose_sides();
  bool move_to_kinks(double tolerance);
  bool differentiate();
  enum class Quadratic { indefinite, truncated, solved };
  Quadratic solve_quadratic();
  bool newton_step();
  bool release_worst();
  bool truncate_step();
  double predicted_decrease();
  bool search_line(double slope);
  bool escape_saddle();
  FitStatus judge(double tolerance);
  void set_damping(double damping);
  void raise_damping();
  Quadratic solve_damped_quadratic();
  bool factorise_free();
  double diagonal(int param) const;
  double slope() const;

  const Model& model_;
  const Data& data_;
  const Kernels& kernels_;
  Arrow hessian_;
  Evaluation evaluation_;
  Doubles lower_, upper_;              // the bounds asked for
  Doubles range_lower_, range_upper_;  // the same, cut at the kinks
  std::vector<char> fixed_, pinned_, moved_;
  Doubles step_, product_, trial_, nu_;
  double damping_ = 0.0;
  bool metric_known_ = false;  // for the Hessian at hand
  Doubles metric_, shift_;     // shift_ = damping_ * metric_ is added to the diagonal
};

}  // namespace nextstat
