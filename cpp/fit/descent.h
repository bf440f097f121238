// Bounded Newton minimisation of the likelihood with exact derivatives.
//
// Each iteration minimises the quadratic model within the bounds (fit/quadratic.h) and searches
// along the step. At a saddle point the step follows a direction of negative curvature.
// Interpolation codes whose slope jumps at zero pin a parameter there when both one-sided slopes
// say so.
//
// A converged fit looks for lower minima (fit/basins.cpp), if any is possible: the nll less its
// value where every expectation equals its datum is what a lower minimum can gain at most. It looks
// one constraint width to either side of the centres of parameters that bend the expectation
// (model/folded.h), and at mirrored values; where the nll there is well below what the quadratic
// model says, another descent starts, in large models if a scout (fit/scout.h) says so. Where data
// in tension and bends make other minima likely, descents also start from the minima under looser
// constraints and, of small models, from points drawn at random. They end as soon as they are back;
// the lowest minimum counts. Beyond kinks that the minimum stands at or near, the fit looks too.
//
// The nll has another kink where the expectation of an empty bin reaches zero, and minima lie on
// it. Once a fit steps across it, it goes on with the kink rounded off, over less and less.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "fit/minimum.h"
#include "fit/quadratic.h"
#include "fit/scout.h"
#include "kernels/kernels.h"

namespace nextstat {

// Arrays in the caller's parameter order.
struct FitProblem {
  const double* init;   // (n_inits, P)
  const double* lower;  // (P,)
  const double* upper;  // (P,)
  const char* fixed;    // (P,)
  double tolerance;     // on the estimated distance to the minimum, in nll
  int max_iterations;
  // EDM that the last steps, once converged, try to reach: for derivatives of fits
  double precision = std::numeric_limits<double>::infinity();
  int n_starts = 1;  // at least so many; 0: no look for other minima
  int n_inits = 1;   // the first is descended from, the others where they lead lower
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
  void search_basins(const Data& data, const FitProblem& problem);
  void try_others(const Data& data, const FitProblem& problem);
  bool look_beyond_bends(const Data& data, const FitProblem& problem);
  bool loosen_constraints(const Data& data, const FitProblem& problem);
  void return_to(const Minimum& minimum, const Data& data);
  void search_widely(const Data& data, const FitProblem& problem);
  bool leave_the_infinite(const Data& data, const FitProblem& problem);
  void draw_trial(const Data& data, std::uint64_t draw, double least_bend);
  void restart(const Data& data, const FitProblem& problem);
  bool leads_elsewhere(int param, double value);
  double rise_of_trial();
  bool descend_from_trial(const Data& data, const FitProblem& problem);
  bool leave_from_trial(const Data& data, const FitProblem& problem);
  void note_minimum(double nll, double edm);
  bool leads_back(bool solved) const;
  bool falls_beyond_kink();
  void stand_above_kinks(const Data& data, const FitProblem& problem);
  void load(const FitProblem& problem);
  bool make_finite();
  void choose_sides();
  bool falls_below(int param);
  bool is_flat(int param, double slope) const;
  bool at_kink(int param) const;
  bool move_to_kinks(double tolerance);
  bool crosses_edge() const;
  bool stands_on_edge() const;
  bool sharpen_edges();
  bool differentiate();
  bool search_line(double slope, int max_halvings = 40);
  bool leave_saddle();
  bool escape_saddle();
  void refine(double precision);
  FitStatus judge(double tolerance);

  const Model& model_;
  const Data* data_ = nullptr;  // given, or rounded_
  std::optional<Data> rounded_;
  bool crossed_ = false;    // an edge, by a step or a trial
  bool searching_ = false;  // for other minima
  bool leaving_ = false;    // a minimum: a descent ends where it leads back to it, or above
  Doubles minima_;          // nll of the distinct minima that were seen
  int last_iteration_ = 0;
  const Kernels& kernels_;
  Evaluation evaluation_;
  Range asked_;  // the bounds asked for
  std::vector<char> moved_;
  Range range_;  // the bounds cut at the kinks
  QuadraticModel quadratic_;
  Doubles trial_, slope_above_, slope_below_, nu_;
  Doubles width_;  // (P,) of the constraints, 1 without
  Doubles damped_step_;
  Scout scout_;
};

}  // namespace nextstat
