#include "fit/descent.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nextstat {

namespace {

using Outcome = QuadraticModel::Outcome;

constexpr double polish = 1e-2;        // steps go on until the EDM is this far below the tolerance
constexpr double polish_weak = 1e-10;  // the same where a parameter is nearly undetermined
constexpr double weak_pivot = 1e-4;    // what counts as nearly,
constexpr double no_pivot = 1e-8;      // and as quite undetermined; see ArrowFactor::weakest_pivot
constexpr double armijo = 1e-4;        // share of the predicted decrease a step must reach
constexpr double no_pivot_at_edge = 1e-12;  // the same where an edge adds a large curvature
constexpr double first_edge = 0.1;          // in events: over which a kink at nu = 0 is rounded off
constexpr double last_edge = 1e-7;          // costs less than this in nll
constexpr double sharpening = 0.1;
constexpr double edge_reach = 40.0;     // in units of the rounding: where nothing is left of it
constexpr int curvature_halvings = 6;   // along a negative curvature that need not be followed
constexpr double curvature_gain = 3.0;  // over the damped step, for which it is followed,
constexpr double curvature_gain_elsewhere = 1.0;  // and by descents that look for other minima
constexpr int max_polish_steps = 5;
constexpr int max_refinements = 4;
constexpr double refinement = 0.25;   // of the EDM, by a step that is worth it
constexpr double flat_gain = 1e-12;   // in nll, by a slope at a kink that counts as none
constexpr double beside_kink = 0.01;  // where the two sides of a flat kink are compared

bool all_finite(const Doubles& x) {
  double sum = 0.0;
  for (double value : x) sum += value * 0.0;
  return sum == 0.0;
}

}  // namespace

Minimizer::Minimizer(const Model& model)
    : point(ArrowShape(model)), model_(model), kernels_(kernels()), evaluation_(model),
      asked_{Doubles(model.n_params), Doubles(model.n_params), std::vector<char>(model.n_params)},
      moved_(model.n_params), range_(asked_), quadratic_(model, point, range_),
      trial_(model.n_params), slope_above_(model.n_params), slope_below_(model.n_params),
      nu_(model.n_bins), width_(model.n_params, 1.0), damped_step_(model.n_params),
      scout_(model, asked_, width_, evaluation_) {
  for (int p = 0; p < model.n_params; ++p) {
    const double weight = model.inverse_variance[p] + model.tau[p];
    if (weight > 0.0) width_[p] = 1.0 / std::sqrt(weight);
  }
  evaluation_.reserve_second_derivatives(model);
}

void Minimizer::load(const FitProblem& problem) {
  for (int i = 0; i < model_.n_params; ++i) {
    const int p = model_.external[i];
    asked_.lower[i] = problem.lower[p];
    asked_.upper[i] = problem.upper[p];
    asked_.frozen[i] = problem.fixed[p] || asked_.lower[i] == asked_.upper[i];
    point.theta[i] = problem.fixed[p]
                         ? problem.init[p]
                         : std::min(std::max(problem.init[p], asked_.lower[i]), asked_.upper[i]);
  }
  point.n_iterations = point.n_evaluations = 0;
  point.undetermined = -1;
  point.edm = std::numeric_limits<double>::infinity();
}

// What one descent remembers, forgotten.
void Minimizer::restart(const Data& data, const FitProblem& problem) {
  data_ = &data;
  last_iteration_ = point.n_iterations + problem.max_iterations;
  point.at_edge = crossed_ = false;
  std::fill(moved_.begin(), moved_.end(), 0);
}

// Events observed where none are expected: unconstrained factors that start at 0 are moved to 1.
bool Minimizer::make_finite() {
  ++point.n_evaluations;
  if (std::isfinite(kernels_.nll(model_, *data_, point.theta.data(), evaluation_))) return true;
  for (int i = 0; i < model_.n_params; ++i) {
    const bool free_factor =
        !asked_.frozen[i] && model_.inverse_variance[i] == 0.0 && model_.tau[i] == 0.0;
    if (free_factor && point.theta[i] == 0.0) point.theta[i] = std::min(1.0, asked_.upper[i]);
  }
  ++point.n_evaluations;
  return std::isfinite(kernels_.nll(model_, *data_, point.theta.data(), evaluation_));
}

// Whether a slope is so small that following it gains nothing.
bool Minimizer::is_flat(int p, double slope) const {
  const double gain = slope * width_[p];
  return 0.5 * gain * gain <= flat_gain;
}

// Whether a parameter stands at the kink of its interpolation, and that is no bound.
bool Minimizer::at_kink(int p) const {
  const auto& kinked = model_.kinked;
  return point.theta[p] == 0.0 && asked_.lower[p] < 0.0 && asked_.upper[p] > 0.0 &&
         std::find(kinked.begin(), kinked.end(), p) != kinked.end();
}

// Whether a parameter at a flat kink finds a lower nll below it, and not a lower one yet above.
bool Minimizer::falls_below(int p) {
  double nll[3];
  for (const int side : {-1, 0, 1}) {
    trial_ = point.theta;
    trial_[p] = std::min(std::max(side * beside_kink, asked_.lower[p]), asked_.upper[p]);
    ++point.n_evaluations;
    nll[side + 1] = kernels_.nll(model_, *data_, trial_.data(), evaluation_);
  }
  return nll[0] < nll[1] && nll[0] < nll[2];
}

// Cuts the bounds at the kinks, on the side where the nll falls faster; pins where it rises on
// both. Where it is flat on both, as in Asimov data, the side is the upper one, unless only the
// lower leads down.
void Minimizer::choose_sides() {
  range_ = asked_;
  bool at_kink = false;
  for (int p : model_.kinked) {
    if (asked_.frozen[p]) continue;
    if (point.theta[p] == 0.0) at_kink = true;
    if (point.theta[p] > 0.0) range_.lower[p] = std::max(asked_.lower[p], 0.0);
    if (point.theta[p] < 0.0) range_.upper[p] = std::min(asked_.upper[p], 0.0);
  }
  if (!at_kink) return;
  for (const double side : {-0.0, 0.0}) {
    trial_ = point.theta;
    for (int p : model_.kinked) {
      if (point.theta[p] == 0.0) trial_[p] = side;
    }
    ++point.n_evaluations;
    kernels_.gradient(model_, *data_, trial_.data(), evaluation_,
                      (std::signbit(side) ? slope_below_ : slope_above_).data());
  }
  for (int p : model_.kinked) {
    if (asked_.frozen[p] || point.theta[p] != 0.0) continue;
    const double up = asked_.upper[p] > 0.0 ? -slope_above_[p] : 0.0;   // how fast it falls upwards
    const double down = asked_.lower[p] < 0.0 ? slope_below_[p] : 0.0;  // and downwards
    const bool flat = is_flat(p, up) && is_flat(p, down);
    const bool above = flat ? !falls_below(p) : up >= down;
    point.theta[p] = above ? 0.0 : -0.0;
    range_.frozen[p] = !flat && up <= 0.0 && down <= 0.0;
    (above ? range_.lower : range_.upper)[p] = point.theta[p];
  }
}

// Puts parameters so close to a kink that it costs less than the tolerance onto it, where the other
// side is looked at too; each of them once. False if there is none.
bool Minimizer::move_to_kinks(double tolerance) {
  bool any = false;
  for (int p : model_.kinked) {
    const double cost = 0.5 * std::fabs(quadratic_.diagonal(p)) * point.theta[p] * point.theta[p];
    if (asked_.frozen[p] || moved_[p] || point.theta[p] == 0.0 || cost > tolerance) continue;
    point.theta[p] = 0.0;
    moved_[p] = any = true;
  }
  return any;
}

// Whether an empty bin's expectation changes sign between nu_ and the evaluation at hand.
bool Minimizer::crosses_edge() const {
  for (int b = 0; b < model_.n_bins; ++b) {
    if (data_->n[b] == 0.0 && (nu_[b] > 0.0) != (evaluation_.nu[b] > 0.0)) return true;
  }
  return false;
}

// Whether an empty bin expects nothing: the nll has its kink just there.
bool Minimizer::stands_on_edge() const {
  if (data_->edge > 0.0) return false;
  for (int b = 0; b < model_.n_bins; ++b) {
    if (data_->n[b] == 0.0 && std::fabs(nu_[b]) <= last_edge) return true;
  }
  return false;
}

// Rounds the edges off over less; false if they are sharp enough already.
bool Minimizer::sharpen_edges() {
  point.at_edge = false;
  for (int b = 0; b < model_.n_bins; ++b) {
    const bool near = std::fabs(nu_[b]) < edge_reach * data_->edge;
    if (data_->n[b] == 0.0 && near) point.at_edge = true;
  }
  if (!point.at_edge || data_->edge <= last_edge) return false;
  rounded_->edge = std::max(sharpening * rounded_->edge, last_edge);
  return true;
}

bool Minimizer::differentiate() {
  ++point.n_evaluations;
  point.nll = kernels_.hessian(model_, *data_, point.theta.data(), evaluation_,
                               point.gradient.data(), point.shape, quadratic_.hessian);
  nu_ = evaluation_.nu;
  quadratic_.renew();
  const Arrow& hessian = quadratic_.hessian;
  return std::isfinite(point.nll) && all_finite(point.gradient) && all_finite(hessian.A) &&
         all_finite(hessian.B) && all_finite(hessian.D);
}

// Moves theta along the step until the nll falls enough; false if it never does.
bool Minimizer::search_line(double initial_slope, int max_halvings) {
  const Doubles& step = quadratic_.step;
  double t = 1.0;
  for (int k = 0; k < max_halvings; ++k) {
    for (int i = 0; i < model_.n_params; ++i) {
      trial_[i] =
          std::min(std::max(point.theta[i] + t * step[i], range_.lower[i]), range_.upper[i]);
      if (step[i] == 0.0) trial_[i] = point.theta[i];
    }
    ++point.n_evaluations;
    const double change = rise_of_trial();
    crossed_ = crossed_ || crosses_edge();
    if (change <= armijo * t * initial_slope && change < 0.0) {
      point.theta.swap(trial_);
      return true;
    }
    if (std::isfinite(change)) {  // minimum of the parabola through both values and the slope
      const double best = -0.5 * initial_slope * t * t / (change - initial_slope * t);
      t = std::min(std::max(best, 0.1 * t), 0.5 * t);
    } else {
      t *= 0.25;
    }
  }
  return false;
}

// Along a negative curvature, where that promises more than the damped step; a saddle in which the
// gradient vanishes is left at once. If it lowers nothing, the damped step is restored.
bool Minimizer::leave_saddle() {
  damped_step_ = quadratic_.step;
  const double decrease =
      quadratic_.prefer_curvature(width_, 1.0 / std::sqrt(data_->constraint_weight),
                                  searching_ ? curvature_gain_elsewhere : curvature_gain);
  if (decrease > 0.0 && search_line(-decrease, curvature_halvings)) return true;
  quadratic_.step = damped_step_;
  return false;
}

// At a stationary point with an indefinite Hessian: down the negative curvature, if there is any.
// None is left where the step ends at the bound of a parameter that hardly anything depends on.
bool Minimizer::escape_saddle() {
  if (quadratic_.factorise_undamped()) {
    int flattest = -1;
    for (int i = 0; i < model_.n_params; ++i) {
      if (!point.held[i] || range_.frozen[i]) continue;
      const double curvature = quadratic_.diagonal(i);
      if (flattest < 0 || curvature < quadratic_.diagonal(flattest)) flattest = i;
    }
    point.undetermined = flattest < 0 ? -1 : model_.external[flattest];
    return false;
  }
  point.undetermined = model_.external[point.factor.failed];
  if (!quadratic_.descend_curvature()) return false;
  if (quadratic_.slope() > 0.0) quadratic_.reverse();
  if (search_line(-0.5)) return true;
  quadratic_.reverse();
  return search_line(-0.5);
}

void Minimizer::run(const Data& data, const FitProblem& problem) {
  load(problem);
  restart(data, problem);
  searching_ = false;
  point.status = iterate(problem);
  searching_ = true;
  search_basins(data, problem);
  data_ = &data;
  point.nll = kernels_.nll(model_, data, point.theta.data(), evaluation_);
}

// nll(trial) - nll(theta), bin by bin.
double Minimizer::rise_of_trial() {
  kernels_.expected(model_, trial_.data(), evaluation_);
  return kernels_.difference(model_, *data_, trial_.data(), evaluation_.nu.data(),
                             point.theta.data(), nu_.data());
}

// Full Newton steps, which need no lower nll: near the minimum it is constant but for rounding.
void Minimizer::refine(double precision) {
  for (int k = 0; k < max_refinements && point.edm > precision; ++k) {
    const double before = point.edm;
    trial_ = point.theta;
    for (int i = 0; i < model_.n_params; ++i) {
      const double x = point.theta[i] + quadratic_.step[i];
      if (quadratic_.step[i] == 0.0) continue;
      point.theta[i] = std::min(std::max(x, range_.lower[i]), range_.upper[i]);
    }
    ++point.n_iterations;
    const bool solved = differentiate() && quadratic_.solve() == Outcome::solved;
    if (solved && !quadratic_.damped() && point.edm < refinement * before) continue;
    point.theta = trial_;
    differentiate();
    quadratic_.solve();
    return;
  }
}

// A stationary point with a positive definite Hessian: is it the only minimum nearby? Not if a
// parameter is undetermined but for rounding, nor if it can leave a bound, against which it is
// hardly pressed, along a flat direction.
FitStatus Minimizer::judge(double tolerance) {
  const double least = point.at_edge ? no_pivot_at_edge : no_pivot;
  if (point.factor.weakest_pivot < least) {
    point.undetermined = model_.external[point.factor.weakest];
    return FitStatus::singular;
  }
  const std::vector<char> before = point.held;
  std::vector<char> held = before;
  for (int i = 0; i < model_.n_params; ++i) {
    if (!before[i] || range_.frozen[i]) continue;
    const double gain = 0.5 * point.gradient[i] * point.gradient[i];
    if (gain > tolerance * std::fabs(quadratic_.diagonal(i))) continue;
    point.held[i] = 0;
    if (at_kink(i)) held[i] = 0;  // it has an error, that of the side it is on
  }
  if (point.held == before) return FitStatus::converged;
  const bool definite = quadratic_.factorise_undamped();
  const bool determined = definite && point.factor.weakest_pivot >= least;
  if (!determined) {
    point.undetermined = model_.external[definite ? point.factor.weakest : point.factor.failed];
  }
  point.held = held;
  quadratic_.factorise_undamped();
  return determined ? FitStatus::converged : FitStatus::singular;
}

FitStatus Minimizer::iterate(const FitProblem& problem) {
  if (!make_finite()) {
    point.nll = std::numeric_limits<double>::infinity();
    return FitStatus::infinite;
  }
  int n_polish_steps = 0;
  for (;;) {
    if (crossed_ && data_->edge == 0.0) {
      rounded_ = *data_;
      rounded_->edge = first_edge;
      data_ = &*rounded_;
    }
    choose_sides();
    if (!differentiate()) return FitStatus::not_finite;
    Outcome step = quadratic_.solve();
    if (step == Outcome::indefinite || !std::isfinite(point.edm)) return FitStatus::not_finite;
    if (leaving_ && leads_back(step == Outcome::solved)) return FitStatus::stalled;
    const bool stationary = step == Outcome::solved && point.edm < polish * problem.tolerance;
    const bool weak =
        point.factor.weakest_pivot < weak_pivot && point.edm > polish_weak * problem.tolerance;
    if (stationary && weak && n_polish_steps < max_polish_steps) {
      ++n_polish_steps;  // so that what is undetermined shows
    } else if (stationary) {
      if (quadratic_.damped()) {  // stationary, but what does the Hessian itself say?
        if (!escape_saddle()) return FitStatus::singular;
        ++point.n_iterations;
        continue;
      }
      if (sharpen_edges() || move_to_kinks(problem.tolerance)) continue;
      refine(problem.precision);
      return judge(problem.tolerance);
    }
    if (point.n_iterations == last_iteration_) return FitStatus::max_iterations;
    bool sharper = false;
    if (quadratic_.damped() && leave_saddle()) {
      ++point.n_iterations;
      continue;
    }
    while (!search_line(quadratic_.slope())) {
      const bool solved = step == Outcome::solved && !quadratic_.damped();
      if (solved && point.edm < problem.tolerance) {
        sharper = sharpen_edges() || move_to_kinks(problem.tolerance);
        if (sharper) break;
        refine(problem.precision);
        return judge(problem.tolerance);
      }
      const bool harder = quadratic_.raise_damping();
      if (harder) step = quadratic_.solve();
      if (harder && step != Outcome::indefinite) continue;
      if (!stands_on_edge()) return FitStatus::stalled;
      crossed_ = sharper = true;  // go on with the edge rounded off
      break;
    }
    if (!sharper) ++point.n_iterations;
  }
}

}  // namespace nextstat
