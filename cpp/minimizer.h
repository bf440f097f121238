// Bounded Newton minimisation of the likelihood with exact derivatives.
//
// Each iteration minimises the quadratic model within the bounds (quadratic.h) and searches along
// the step. At a saddle point the step follows a direction of negative curvature. Interpolation
// codes whose slope jumps at zero pin a parameter there when both one-sided slopes say so.
//
// Where variations are folded (folded.h), a converged fit looks for another basin: one constraint
// width to either side of such a parameter's centre, and at the mirrored value. Where the nll there
// is well below what the quadratic model says, a second fit starts from there, and the lower
// minimum counts. It ends as soon as it is back. Beyond kinks that the minimum stands at or near,
// the fit looks too.
//
// The nll has another kink where the expectation of an empty bin reaches zero, and minima lie on
// it. Once a fit steps across it, it goes on with the kink rounded off, over less and less.
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "kernels.h"
#include "minimum.h"
#include "quadratic.h"

namespace nextstat {

// Arrays in the caller's parameter order.
struct FitProblem {
  const double* init;   // (P,)
  const double* lower;  // (P,)
  const double* upper;  // (P,)
  const char* fixed;    // (P,)
  double tolerance;     // on the estimated distance to the minimum, in nll
  int max_iterations;
  // EDM that the last steps, once converged, try to reach: for derivatives of fits
  double precision = std::numeric_limits<double>::infinity();
};

class Minimizer {
 public:
  explicit Minimizer(const Model& model);
  Minimizer(const Minimizer&) = delete;  // its parts refer to each other

  // Fills `point`; may be run again for other data or another problem.
  void run(const Data& data, const FitProblem& problem);

  Minimum point;

 private:
  FitStatus iterate(const FitProblem& problem);
  bool find_lower_basin(const Data& data, const FitProblem& problem);
  void restart(const Data& data, const FitProblem& problem);
  bool leads_elsewhere(int param, double value);
  double rise_of_trial();
  bool is_back() const;
  bool descend_from_trial(const Data& data, const FitProblem& problem, bool until_back);
  bool falls_beyond_kink();
  double width(int param) const;
  void load(const FitProblem& problem);
  bool make_finite();
  void choose_sides();
  bool falls_below(int param);
  bool is_flat(int param, double slope) const;
  bool at_kink(int param) const;
  bool move_to_kinks(double tolerance);
  bool crosses_edge() const;
  bool sharpen_edges();
  bool differentiate();
  bool search_line(double slope);
  bool escape_saddle();
  void refine(double precision);
  FitStatus judge(double tolerance);

  const Model& model_;
  const Data* data_ = nullptr;  // given, or rounded_
  std::optional<Data> rounded_;
  bool crossed_ = false;           // an edge, by a step or a trial
  const Doubles* left_ = nullptr;  // the minimum whose basin a descent is to leave
  int last_iteration_ = 0;
  const Kernels& kernels_;
  Evaluation evaluation_;
  Doubles lower_, upper_;  // the bounds asked for
  std::vector<char> fixed_, moved_;
  Range range_;  // the bounds cut at the kinks
  QuadraticModel quadratic_;
  Doubles trial_, slope_above_, slope_below_, nu_;
};

}  // namespace nextstat
