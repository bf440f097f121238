// A cheap descent, to see whether a start leads to a minimum lower than one at hand.
//
// Limited-memory BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4) within bounds, by
// gradients alone; its metric before the first step is the Hessian at the minimum at hand. A step
// costs a small part of a Newton step, and most descents go back to where one came from.
#pragma once

#include <vector>

#include "fit/quadratic.h"
#include "kernels/kernels.h"

namespace nextstat {

class Scout {
 public:
  // All as for the minimiser that it belongs to; the bounds are those asked for.
  Scout(const Model& model, const Range& bounds, const Doubles& width, Evaluation& evaluation);

  static constexpr double near_edm = 0.1;  // at which a step is believed to lead to a minimum

  enum class End { lower, back, higher, lost };

  // A minimum, whose Hessian and factor the metric is of, and its nll.
  void leave(const Minimum& minimum, const QuadraticModel& quadratic);

  // Descends from theta, which it moves, until it is clear where that leads: below the minimum that
  // is left, by at least `gain`; back to it; or to another one that is not lower.
  End descend(const Data& data, double gain);

  // Whether a descent has come back to the minimum that is left: at, or after a step that it
  // believes in (null without one).
  bool is_back(const Doubles& at, const Doubles* step) const;

  // Whether it has come to another one that is higher: nll and EDM.
  bool is_higher(double at, double promised) const;

  Doubles theta;          // (P,)
  double nll = 0.0;       // there
  double edm = 0.0;       // what the next step promises
  int n_evaluations = 0;  // of this descent

 private:
  struct Pair {
    Doubles step, change;  // of theta, of the gradient
    double scale;          // 1 / their product
  };

  void find_direction();
  void apply_metric();
  bool advance(const Data& data);

  const Model& model_;
  const Range& bounds_;
  const Doubles& width_;
  Evaluation& evaluation_;
  const Kernels& kernels_;
  const Minimum* left_ = nullptr;
  Doubles home_;      // theta of the minimum, and
  double home_nll_;   // its nll
  Doubles near_;      // (P,) so near to the minimum, it is back
  Doubles diagonal_;  // (P,) of the Hessian: the metric of what its factor leaves out
  Doubles gradient_, direction_, trial_, trial_gradient_;
  std::vector<Pair> pairs_;  // of the last steps, in turn
  std::vector<double> share_;
  int n_pairs_ = 0;
};

}  // namespace nextstat
