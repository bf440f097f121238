// Minima other than the one that a descent ends at; see fit/descent.h.
#include <algorithm>
#include <cmath>

#include "fit/descent.h"
#include "toys/variates.h"

namespace nextstat {

namespace {

constexpr double negligible = 5e-4;    // in nll: what a lower minimum could gain at most
constexpr double well_below = 0.5;     // of what the quadratic model says: another basin
constexpr double rounding = 1e-9;      // of differences in nll
constexpr double same_minimum = 1e-4;  // in nll
constexpr double least_move = 0.01;    // in widths, of a parameter that is looked beyond
constexpr double near_kink = 0.5;      // in widths: where the other side of a kink is looked at
constexpr double just_beyond = 0.05, far_beyond = 0.3;  // where, from the kink itself

constexpr double tension = 1.5;       // deviance per bin,
constexpr double tension_bend = 1.5;  // and bend times its root, above which starts are drawn
constexpr int small_model = 32;       // parameters, up to which they are drawn
constexpr double least_tension = 0.02, least_bend = 0.7;  // above these
constexpr double looked_bend = 0.25;  // the same for the parameters that are looked beyond,
constexpr double drawn_bend = 0.2;    // and for those that are drawn
constexpr int max_redraws = 10;       // of a point where the nll is infinite
constexpr int max_starts = 100;
constexpr int max_turns = 20;  // of looks at all parameters
constexpr int max_finite_starts = 50;
constexpr std::uint64_t seed = 20071727;  // always the same starts

bool is_minimum(FitStatus status) {
  return status == FitStatus::converged || status == FitStatus::singular;
}

// Starts after which unseen minima are unlikely, given `seen` distinct ones: where the Bayesian
// estimate of their number, w (N - 1) / (N - w - 2), is below w + 1/2 (Boender and Rinnooy Kan,
// Mathematical Programming 37 (1987) 59).
int enough_starts(std::size_t seen) {
  const auto w = static_cast<int>(std::min<std::size_t>(seen + 1, 100));  // one more is unseen
  return std::min(2 * w * w + 3 * w + 2, max_starts);
}

}  // namespace

// Looks for lower minima, and goes on from each that it finds.
void Minimizer::search_basins(const Data& data, const FitProblem& problem) {
  minima_.assign(1, point.nll);
  try_others(data, problem);
  if (problem.n_starts == 0) return;
  if (point.status == FitStatus::infinite && !leave_the_infinite(data, problem)) return;
  if (point.nll - data.constant > negligible) {  // no bin and no constraint can fall below
    look_beyond_bends(data, problem);
    search_widely(data, problem);
  }
  while (point.status == FitStatus::converged && falls_beyond_kink() &&
         descend_from_trial(data, problem)) {
  }
  if (point.status == FitStatus::converged) stand_above_kinks(data, problem);
}

// From the starting points after the first.
void Minimizer::try_others(const Data& data, const FitProblem& problem) {
  for (int k = 1; k < problem.n_inits; ++k) {
    const double* init = problem.init + static_cast<std::size_t>(k) * model_.n_params;
    trial_ = point.theta;
    for (int i = 0; i < model_.n_params; ++i) {
      if (asked_.frozen[i]) continue;
      const double x = init[model_.external[i]];
      trial_[i] = std::min(std::max(x, asked_.lower[i]), asked_.upper[i]);
    }
    descend_from_trial(data, problem);
  }
}

// At a kink where the nll is flat on both sides, the Hessian, and with it all errors, depends on
// the side, which rounding would choose: it is the upper one, wherever the minimum is one from
// there.
void Minimizer::stand_above_kinks(const Data& data, const FitProblem& problem) {
  bool any = false;
  const Minimum here = point;
  for (int p : model_.kinked) {
    if (!at_kink(p) || !std::signbit(point.theta[p]) || point.held[p]) continue;
    point.theta[p] = 0.0;
    range_.lower[p] = 0.0;
    range_.upper[p] = asked_.upper[p];
    any = true;
  }
  if (!any) return;
  const bool solved = differentiate() && quadratic_.solve() == QuadraticModel::Outcome::solved;
  const bool stands = solved && !quadratic_.damped() && point.edm < problem.tolerance;
  if (stands && judge(problem.tolerance) == FitStatus::converged) return;
  return_to(here, data);
}

// A start at which the nll is finite, drawn; the descent from there. False if none was found.
bool Minimizer::leave_the_infinite(const Data& data, const FitProblem& problem) {
  for (int k = 1; k <= max_finite_starts; ++k) {
    draw_trial(data, k, 0.0);
    ++point.n_evaluations;
    if (!std::isfinite(kernels_.nll(model_, data, trial_.data(), evaluation_))) continue;
    point.theta = trial_;
    restart(data, problem);
    point.status = iterate(problem);
    return true;
  }
  return false;
}

// Whether a parameter at another value gives a much lower nll than the curvature foretells; makes
// it the trial.
bool Minimizer::leads_elsewhere(int p, double value) {
  trial_ = point.theta;
  trial_[p] = std::min(std::max(value, asked_.lower[p]), asked_.upper[p]);
  const double shift = trial_[p] - point.theta[p];
  if (std::fabs(shift) < least_move * width_[p]) return false;
  ++point.n_evaluations;
  return rise_of_trial() < well_below * 0.5 * quadratic_.diagonal(p) * shift * shift;
}

// From a minimum to lower ones beside it, one bent parameter after the other, in turn until a whole
// turn brings nothing; whether there is one.
bool Minimizer::look_beyond_bends(const Data& data, const FitProblem& problem) {
  bool found = false;
  const double tension = std::sqrt(2.0 * std::max(point.nll - data.constant, 0.0));
  std::vector<int> looked;
  for (const int p : model_.most_bent) {
    if (!asked_.frozen[p] && model_.bend[p] * tension >= looked_bend) looked.push_back(p);
  }
  const int n_looks = 3 * static_cast<int>(looked.size());
  for (int k = 0, last = n_looks; k < last; ++k) {
    const int p = looked[k % n_looks / 3];
    const double values[] = {data.center[p] - width_[p], data.center[p] + width_[p],
                             -point.theta[p]};
    if (!is_minimum(point.status)) return false;
    if (leads_elsewhere(p, values[k % 3]) && descend_from_trial(data, problem)) {
      found = true;
      last = std::min(k + n_looks, max_turns * n_looks);
    }
  }
  return found;
}

// By way of the minimum under looser constraints: there the data pull the parameters farther from
// their centres, and over what separates two basins. Newton's own way, along negative curvatures,
// leads there where gradients alone do not.
bool Minimizer::loosen_constraints(const Data& data, const FitProblem& problem) {
  bool found = false;
  for (const double factor : {2.2, 3.0, 3.6}) {
    const Minimum here = point;
    Data loose = data;
    loose.constraint_weight = 1.0 / (factor * factor);
    restart(loose, problem);
    iterate(problem);
    trial_ = point.theta;
    return_to(here, data);
    scout_.leave(point, quadratic_);
    if (leave_from_trial(data, problem)) found = true;
  }
  return found;
}

// A trial with globals drawn about the centre of their constraints, those that bend at least so
// much; factors without a constraint over two decades.
void Minimizer::draw_trial(const Data& data, std::uint64_t draw, double least_bend) {
  Draws draws(seed, 0, draw, 0);
  const double spread = draw % 2 == 0 ? 1.0 : 2.0;
  trial_ = point.theta;
  for (int p = 0; p < model_.n_params; ++p) {
    if (asked_.frozen[p]) continue;
    const double center = model_.tau[p] > 0.0 ? data.center[p] / model_.tau[p] : data.center[p];
    const bool constrained = model_.inverse_variance[p] + model_.tau[p] > 0.0;
    if (model_.is_local(p)) {
      if (constrained) trial_[p] = center;
    } else if (constrained) {
      if (model_.bend[p] >= least_bend)
        trial_[p] = center + spread * width_[p] * normal_variate(draws);
    } else {
      trial_[p] = std::pow(10.0, 1.7 * draws.next().first - 1.0);
    }
    trial_[p] = std::min(std::max(trial_[p], asked_.lower[p]), asked_.upper[p]);
  }
}

// Where data in tension and bends make other minima likely: from minima under looser constraints,
// and from points drawn at random; the latter only for small models, of which they cost little, or
// where the caller wants them.
void Minimizer::search_widely(const Data& data, const FitProblem& problem) {
  const double deviance = 2.0 * (point.nll - data.constant);
  const double bend =
      std::sqrt(deviance) * *std::max_element(model_.bend.begin(), model_.bend.end());
  const bool small = model_.n_params <= small_model;
  const bool suspicious = deviance > (small ? least_tension : tension) * model_.n_bins &&
                          bend > (small ? least_bend : tension_bend);
  if (suspicious && loosen_constraints(data, problem)) {
    look_beyond_bends(data, problem);
  }
  for (int k = 1;
       k < std::max(small && suspicious ? enough_starts(minima_.size()) : 1, problem.n_starts);
       ++k) {
    for (int n = 0; n < max_redraws; ++n) {
      draw_trial(data, k + n * max_starts, drawn_bend / std::sqrt(deviance));
      ++point.n_evaluations;
      if (std::isfinite(rise_of_trial())) break;
    }
    if (descend_from_trial(data, problem)) {
      look_beyond_bends(data, problem);
    }
  }
}

// Whether a descent ends in the basin that it was to leave, or above it.
bool Minimizer::leads_back(bool solved) const {
  const bool near = solved && !quadratic_.damped() && point.edm < Scout::near_edm;
  if (near && scout_.is_higher(point.nll, point.edm)) return true;
  return scout_.is_back(point.theta, near ? &quadratic_.step : nullptr);
}

// A second descent, from the trial; of large models only if a scout finds that it leads lower, or
// does not find out. Whether it did lead lower.
bool Minimizer::descend_from_trial(const Data& data, const FitProblem& problem) {
  scout_.leave(point, quadratic_);
  if (model_.n_params > small_model) {
    scout_.theta = trial_;
    const Scout::End end = scout_.descend(data, negligible);
    point.n_evaluations += scout_.n_evaluations;
    if (end == Scout::End::higher) note_minimum(scout_.nll - scout_.edm, scout_.edm);
    if (end == Scout::End::back || end == Scout::End::higher) return false;
    trial_ = scout_.theta;
  }
  return leave_from_trial(data, problem);
}

// Newton's descent from the trial, which ends where it leads back; the lower of both minima stays.
bool Minimizer::leave_from_trial(const Data& data, const FitProblem& problem) {
  const Minimum here = point;
  point.theta = trial_;
  restart(data, problem);
  leaving_ = true;
  point.status = iterate(problem);
  leaving_ = false;
  trial_ = here.theta;
  const double fall = rise_of_trial();
  const bool lower = fall > rounding && (is_minimum(point.status) || !is_minimum(here.status));
  const bool ended = is_minimum(point.status) || point.edm < Scout::near_edm;
  if (ended) note_minimum(point.nll - (is_minimum(point.status) ? 0.0 : point.edm), point.edm);
  if (lower) return true;
  return_to(here, data);
  return false;
}

// For the number of starts that will do: another minimum, if its nll is none of those seen.
void Minimizer::note_minimum(double nll, double edm) {
  const double blur = same_minimum + 2.0 * edm;
  const bool distinct = std::none_of(minima_.begin(), minima_.end(),
                                     [&](double other) { return std::fabs(other - nll) < blur; });
  if (distinct) minima_.push_back(nll);
}

// The quadratic model is that of an earlier minimum again.
void Minimizer::return_to(const Minimum& minimum, const Data& data) {
  const int n_iterations = point.n_iterations, n_evaluations = point.n_evaluations;
  point = minimum;
  data_ = &data;
  differentiate();
  point = minimum;
  point.n_iterations = n_iterations;
  point.n_evaluations = n_evaluations + 1;
}

// Makes a trial beyond a kink that the minimum stands at or near, if one has a lower nll.
bool Minimizer::falls_beyond_kink() {
  std::vector<int> near;
  for (int p : model_.kinked) {
    const bool inside = !asked_.frozen[p] && asked_.lower[p] < 0.0 && asked_.upper[p] > 0.0;
    if (inside && std::fabs(point.theta[p]) <= near_kink * width_[p]) near.push_back(p);
  }
  if (near.empty()) return false;
  const auto is_lower = [this](int p, double value) {
    trial_ = point.theta;
    trial_[p] = std::min(std::max(value, asked_.lower[p]), asked_.upper[p]);
    return rise_of_trial() < -rounding;
  };
  trial_ = point.theta;
  for (int p : near) trial_[p] = std::copysign(0.0, -point.theta[p]);
  ++point.n_evaluations;
  Doubles& slope = slope_above_;  // at the kinks, on the other side
  kernels_.gradient(model_, *data_, trial_.data(), evaluation_, slope.data());
  for (int p : near) {
    const double theta = point.theta[p], curvature = quadratic_.diagonal(p);
    if (theta != 0.0) {  // where does the parabola on the other side end?
      const bool away = theta * slope[p] > 0.0 && curvature > 0.0;
      const double gain = 0.5 * slope[p] * slope[p] / curvature;
      if (away && gain > rounding && is_lower(p, -slope[p] / curvature)) return true;
    } else if (point.held[p]) {  // is there but a ridge, and a valley behind it?
      for (const double step : {-far_beyond, -just_beyond, just_beyond, far_beyond}) {
        if (is_lower(p, step * width_[p])) return true;
      }
    }
  }
  return false;
}

}  // namespace nextstat
