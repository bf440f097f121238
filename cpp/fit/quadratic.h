// The quadratic model of the nll about a point, and its minimum within bounds:
//
//   min_d g^T d + d^T (H + damping) d / 2   subject to   lower <= theta + d <= upper,
//
// by an active-set method. Damping raises the diagonal where H is not positive definite.
#pragma once

#include <vector>

#include "fit/minimum.h"
#include "kernels/kernels.h"

namespace nextstat {

// Where the parameters may move.
struct Range {
  Doubles lower, upper;      // (P,)
  std::vector<char> frozen;  // (P,) may not move at all

  bool held_at_lower(const Minimum& at, int i) const {
    return at.theta[i] <= lower[i] && at.gradient[i] > 0.0;
  }
  bool held_at_upper(const Minimum& at, int i) const {
    return at.theta[i] >= upper[i] && at.gradient[i] < 0.0;
  }
};

class QuadraticModel {
 public:
  // About `point`, whose theta and gradient it reads and whose held, edm and factor it fills.
  QuadraticModel(const Model& model, Minimum& point, const Range& range);

  Arrow hessian;  // at the point; call `renew` after changing it
  Doubles step;   // d (P,)

  enum class Outcome { indefinite, truncated, solved };

  // For a new Hessian: no damping.
  void renew();

  // Fills step and the point's held, edm and factor, with as much damping as it takes. Truncated:
  // the step lowers the model within the bounds but does not minimise it.
  Outcome solve();

  bool damped() const { return damping_ > 0.0; }
  // False if there is too much of it already.
  bool raise_damping();

  double slope() const { return dot(point_.gradient, step); }
  double diagonal(int param) const;

  // Without damping, over the parameters that are not held; false if not positive definite.
  bool factorise_undamped();

  void reverse() {
    for (double& x : step) x = -x;
  }

  // After a failed factorisation: makes step a direction in which the Hessian bends down by 1.
  // False if it is flat there.
  bool descend_curvature();

  // Where it took damping to solve: makes step one along the negative curvature that was met, no
  // longer than `reach` times `width` (P,) in any parameter, if the quadratic model falls `gain`
  // times as much along it as along the damped step. Gives the decrease, 0 if the step stays.
  double prefer_curvature(const Doubles& width, double reach, double gain);

 private:
  Outcome solve_damped();
  bool newton_step();
  bool release(bool all);
  bool truncate_step();
  double predicted_decrease();
  void set_damping(double damping);
  void overcome_negative_curvature();
  bool factorise_free();

  const Model& model_;
  const Kernels& kernels_;
  Minimum& point_;
  const Range& range_;
  Doubles product_, work_;
  Doubles curved_;     // the last direction of negative curvature that was met
  double bend_ = 0.0;  // and its curvature, with the sign changed
  double damping_ = 0.0;
  bool metric_known_ = false;  // for the Hessian at hand
  Doubles metric_, shift_;     // shift_ = damping_ * metric_ is added to the diagonal
};

}  // namespace nextstat
