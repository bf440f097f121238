#include "minimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nextstat {

namespace {

constexpr double polish = 1e-2;        // steps go on until the EDM is this far below the tolerance
constexpr double polish_weak = 1e-10;  // the same where a parameter is nearly undetermined
constexpr double weak_pivot = 1e-4;    // what counts as nearly,
constexpr double no_pivot = 1e-8;      // and as quite undetermined; see ArrowFactor::weakest_pivot
constexpr double armijo = 1e-4;        // share of the predicted decrease a step must reach
constexpr double first_damping = 1e-9;
constexpr double restart_damping = 1e-4;  // where the line search failed
constexpr double last_damping = 1e6;
constexpr double row_sum_share = 1e-3;  // of the row sums in the metric of the damping
constexpr double metric_floor = 1e-8;   // for parameters without any second derivative
constexpr int max_active_set_changes = 40;
constexpr int max_halvings = 40;
constexpr int max_polish_steps = 5;

bool all_finite(const Doubles& x) {
  double sum = 0.0;
  for (double value : x) sum += value * 0.0;
  return sum == 0.0;
}

double dot(const Doubles& x, const Doubles& y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

Minimum empty_minimum(const Model& model) {
  const std::size_t P = model.n_params;
  const ArrowShape shape(model);
  return Minimum{
      FitStatus::infinite, Doubles(P), Doubles(P), std::vector<char>(P), 0.0, 0.0, 0, 0, shape,
      ArrowFactor(shape),  -1};
}

}  // namespace

double Minimum::projected_gradient_norm() const {
  double sum = 0.0;
  for (std::size_t i = 0; i < held.size(); ++i) {
    if (!held[i]) sum += gradient[i] * gradient[i];
  }
  return std::sqrt(sum);
}

Minimizer::Minimizer(const Model& model, const Data& data)
    : point(empty_minimum(model)), model_(model), data_(data), kernels_(kernels()),
      hessian_(point.shape), evaluation_(model), lower_(model.n_params), upper_(model.n_params),
      range_lower_(model.n_params), range_upper_(model.n_params), fixed_(model.n_params),
      pinned_(model.n_params), moved_(model.n_params), step_(model.n_params),
      product_(model.n_params), trial_(model.n_params), nu_(model.n_bins), metric_(model.n_params),
      shift_(model.n_params) {
  evaluation_.reserve_second_derivatives(model);
}

void Minimizer::load(const FitProblem& problem) {
  for (int i = 0; i < model_.n_params; ++i) {
    const int p = model_.external[i];
    lower_[i] = problem.lower[p];
    upper_[i] = problem.upper[p];
    fixed_[i] = problem.fixed[p] || lower_[i] == upper_[i];
    point.theta[i] = problem.fixed[p] ? problem.init[p]
                                      : std::min(std::max(problem.init[p], lower_[i]), upper_[i]);
  }
  point.n_iterations = point.n_evaluations = 0;
  point.undetermined = -1;
  std::fill(moved_.begin(), moved_.end(), 0);
  point.edm = std::numeric_limits<double>::infinity();
}

// Events observed where none are expected: unconstrained factors that start at 0 are moved to 1.
bool Minimizer::make_finite() {
  ++point.n_evaluations;
  if (std::isfinite(kernels_.nll(model_, data_, point.theta.data(), evaluation_))) return true;
  for (int i = 0; i < model_.n_params; ++i) {
    const bool free_factor =
        !fixed_[i] && model_.inverse_variance[i] == 0.0 && model_.tau[i] == 0.0;
    if (free_factor && point.theta[i] == 0.0) point.theta[i] = std::min(1.0, upper_[i]);
  }
  ++point.n_evaluations;
  return std::isfinite(kernels_.nll(model_, data_, point.theta.data(), evaluation_));
}

// Cuts the bounds at the kinks, on the side where the nll falls faster; pins where it rises on
// both.
void Minimizer::choose_sides() {
  range_lower_ = lower_;
  range_upper_ = upper_;
  std::fill(pinned_.begin(), pinned_.end(), 0);
  bool at_kink = false;
  for (int p : model_.kinked) {
    if (fixed_[p]) continue;
    if (point.theta[p] == 0.0) at_kink = true;
    if (point.theta[p] > 0.0) range_lower_[p] = std::max(lower_[p], 0.0);
    if (point.theta[p] < 0.0) range_upper_[p] = std::min(upper_[p], 0.0);
  }
  if (!at_kink) return;
  for (const double side : {-0.0, 0.0}) {
    trial_ = point.theta;
    for (int p : model_.kinked) {
      if (point.theta[p] == 0.0) trial_[p] = side;
    }
    ++point.n_evaluations;
    kernels_.gradient(model_, data_, trial_.data(), evaluation_,
                      std::signbit(side) ? product_.data() : step_.data());
  }
  for (int p : model_.kinked) {
    if (fixed_[p] || point.theta[p] != 0.0) continue;
    const double up = upper_[p] > 0.0 ? -step_[p] : 0.0;      // how fast it falls upwards
    const double down = lower_[p] < 0.0 ? product_[p] : 0.0;  // and downwards
    point.theta[p] = up >= down ? 0.0 : -0.0;
    pinned_[p] = up <= 0.0 && down <= 0.0;
    (up >= down ? range_lower_ : range_upper_)[p] = point.theta[p];
  }
}

// Puts parameters so close to a kink that it costs less than the tolerance onto it, where the other
// side is looked at too; each of them once. False if there is none.
bool Minimizer::move_to_kinks(double tolerance) {
  bool any = false;
  for (int p : model_.kinked) {
    const double cost = 0.5 * std::fabs(diagonal(p)) * point.theta[p] * point.theta[p];
    if (fixed_[p] || moved_[p] || point.theta[p] == 0.0 || cost > tolerance) continue;
    point.theta[p] = 0.0;
    moved_[p] = any = true;
  }
  return any;
}

bool Minimizer::differentiate() {
  ++point.n_evaluations;
  point.nll = kernels_.hessian(model_, data_, point.theta.data(), evaluation_,
                               point.gradient.data(), point.shape, hessian_);
  nu_ = evaluation_.nu;
  metric_known_ = false;
  return std::isfinite(point.nll) && all_finite(point.gradient) && all_finite(hessian_.A) &&
         all_finite(hessian_.B) && all_finite(hessian_.D);
}

// Damping is in units of the diagonal; the row sums see to it that enough of it always helps.
void Minimizer::set_damping(double damping) {
  damping_ = damping;
  if (damping == 0.0) return;
  if (!metric_known_) {
    kernels_.row_sums(point.shape, hessian_, metric_.data());
    for (int i = 0; i < model_.n_params; ++i) {
      metric_[i] = std::fabs(diagonal(i)) + row_sum_share * metric_[i] + metric_floor;
    }
    metric_known_ = true;
  }
  for (int i = 0; i < model_.n_params; ++i) shift_[i] = damping * metric_[i];
}

// After a factorisation that failed: enough to bend the direction it failed at upwards.
void Minimizer::raise_damping() {
  set_damping(std::max(damping_, first_damping));
  kernels_.descent_curvature(point.shape, point.factor, trial_.data());
  kernels_.multiply(point.shape, hessian_, trial_.data(), product_.data());
  double size = 0.0;
  for (int i = 0; i < model_.n_params; ++i) size += metric_[i] * trial_[i] * trial_[i];
  const double needed = -dot(trial_, product_) / size;
  set_damping(std::max(2.0 * needed, 4.0 * damping_));
}

Minimizer::Quadratic Minimizer::solve_damped_quadratic() {
  Quadratic step = solve_quadratic();
  while (step == Quadratic::indefinite && damping_ < last_damping) {
    raise_damping();
    step = solve_quadratic();
  }
  return step;
}

// Over the parameters that are not held.
bool Minimizer::factorise_free() {
  for (int i = 0; i < model_.n_params; ++i) point.factor.free[i] = !point.held[i];
  const double* shift = damping_ > 0.0 ? shift_.data() : nullptr;
  return kernels_.factorise(point.shape, hessian_, shift, point.factor);
}

double Minimizer::diagonal(int p) const {
  if (model_.is_local(p)) return hessian_.D[point.shape.entry[p - model_.n_global]];
  return hessian_.A[static_cast<std::size_t>(p) * model_.n_global + p];
}

// Minimises the quadratic model within the bounds: fills step_, held and edm. Violated bounds are
// held all at once and released one by one; where that does not settle, the step is cut at the
// first bound it meets, which lowers the model too but solves nothing.
Minimizer::Quadratic Minimizer::solve_quadratic() {
  for (int i = 0; i < model_.n_params; ++i) {
    const bool at_lower = point.theta[i] <= range_lower_[i] && point.gradient[i] > 0.0;
    const bool at_upper = point.theta[i] >= range_upper_[i] && point.gradient[i] < 0.0;
    point.held[i] = fixed_[i] || pinned_[i] || at_lower || at_upper;
    step_[i] = 0.0;
  }
  for (int change = 0; change < max_active_set_changes; ++change) {
    if (!newton_step()) return Quadratic::indefinite;
    bool violated = false;
    for (int i = 0; i < model_.n_params; ++i) {
      if (point.held[i]) continue;
      const double target = point.theta[i] + step_[i];
      if (target >= range_lower_[i] && target <= range_upper_[i]) continue;
      point.held[i] = 1;
      step_[i] = (target < range_lower_[i] ? range_lower_[i] : range_upper_[i]) - point.theta[i];
      violated = true;
    }
    if (violated || release_worst()) continue;
    point.edm = predicted_decrease();
    if (point.edm >= 0.0) return Quadratic::solved;
    break;
  }
  return truncate_step() ? Quadratic::truncated : Quadratic::indefinite;
}

// step_ of the parameters not held, given the steps of those held; false if not positive definite.
bool Minimizer::newton_step() {
  for (int i = 0; i < model_.n_params; ++i) {
    if (!point.held[i]) step_[i] = 0.0;
  }
  if (!factorise_free()) return false;
  kernels_.multiply(point.shape, hessian_, step_.data(), product_.data());
  for (int i = 0; i < model_.n_params; ++i) trial_[i] = -(point.gradient[i] + product_[i]);
  kernels_.solve(point.shape, point.factor, trial_.data());
  for (int i = 0; i < model_.n_params; ++i) {
    if (!point.held[i]) step_[i] = trial_[i];
  }
  return true;
}

// Releases the held parameter whose multiplier points inwards most; false if there is none.
bool Minimizer::release_worst() {
  kernels_.multiply(point.shape, hessian_, step_.data(), product_.data());
  int worst = -1;
  double most = 1e-20;  // in nll: what releasing it could gain
  for (int i = 0; i < model_.n_params; ++i) {
    if (!point.held[i] || fixed_[i] || pinned_[i]) continue;
    const bool at_lower = point.theta[i] + step_[i] <= range_lower_[i];
    const double inward = (at_lower ? -1.0 : 1.0) * (point.gradient[i] + product_[i]);
    const double gain = inward * inward / std::max(std::fabs(diagonal(i)), 1e-300);
    if (inward > 0.0 && gain > most) {
      worst = i;
      most = gain;
    }
  }
  if (worst >= 0) point.held[worst] = 0;
  return worst >= 0;
}

// A Newton step of the parameters away from their bounds, as far as the first bound.
bool Minimizer::truncate_step() {
  for (int i = 0; i < model_.n_params; ++i) {
    const bool at_lower = point.theta[i] <= range_lower_[i] && point.gradient[i] >= 0.0;
    const bool at_upper = point.theta[i] >= range_upper_[i] && point.gradient[i] <= 0.0;
    point.held[i] = fixed_[i] || pinned_[i] || at_lower || at_upper;
    step_[i] = 0.0;
  }
  for (;;) {
    if (!newton_step()) return false;
    double length = 1.0;
    int blocking = -1;
    for (int i = 0; i < model_.n_params; ++i) {
      if (point.held[i] || step_[i] == 0.0) continue;
      const double bound = step_[i] < 0.0 ? range_lower_[i] : range_upper_[i];
      const double reach = (bound - point.theta[i]) / step_[i];
      if (reach < length) {
        length = reach;
        blocking = i;
      }
    }
    if (length > 0.0) {
      for (double& x : step_) x *= length;
      point.edm = predicted_decrease();
      return true;
    }
    point.held[blocking] = 1;
    step_[blocking] = 0.0;
  }
}

// -(g^T d + d^T H d / 2) of step_
double Minimizer::predicted_decrease() {
  kernels_.multiply(point.shape, hessian_, step_.data(), product_.data());
  double curvature = dot(step_, product_);
  for (int i = 0; i < model_.n_params && damping_ > 0.0; ++i) {
    curvature += shift_[i] * step_[i] * step_[i];
  }
  return -(slope() + 0.5 * curvature);
}

double Minimizer::slope() const { return dot(point.gradient, step_); }

// Moves theta along step_ until the nll falls enough; false if it never does.
bool Minimizer::search_line(double initial_slope) {
  double t = 1.0;
  for (int k = 0; k < max_halvings; ++k) {
    for (int i = 0; i < model_.n_params; ++i) {
      trial_[i] =
          std::min(std::max(point.theta[i] + t * step_[i], range_lower_[i]), range_upper_[i]);
      if (fixed_[i] || step_[i] == 0.0) trial_[i] = point.theta[i];
    }
    ++point.n_evaluations;
    kernels_.expected(model_, trial_.data(), evaluation_);
    const double change = kernels_.difference(model_, data_, trial_.data(), evaluation_.nu.data(),
                                              point.theta.data(), nu_.data());
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

// At a stationary point with an indefinite Hessian: down the negative curvature, if there is any.
bool Minimizer::escape_saddle() {
  if (factorise_free()) return false;
  point.undetermined = model_.external[point.factor.failed];
  kernels_.descent_curvature(point.shape, point.factor, step_.data());
  kernels_.multiply(point.shape, hessian_, step_.data(), product_.data());
  double size = 0.0;
  for (int i = 0; i < model_.n_params; ++i) {
    if (point.held[i]) step_[i] = 0.0;
    size += metric_[i] * step_[i] * step_[i];
  }
  const double bend = dot(step_, product_);
  if (!(bend < -1e-9 * size)) return false;  // flat, not a saddle
  const double length = 1.0 / std::sqrt(-bend);
  for (const double sign : {slope() > 0.0 ? -1.0 : 1.0, slope() > 0.0 ? 1.0 : -1.0}) {
    Doubles direction = step_;
    for (double& x : step_) x *= sign * length;
    if (search_line(-0.5)) return true;
    step_ = direction;
  }
  return false;
}

void Minimizer::run(const FitProblem& problem) {
  load(problem);
  point.status = iterate(problem);
}

// A stationary point with a positive definite Hessian: is it the only minimum nearby? Not if a
// parameter is undetermined but for rounding, nor if it can leave a bound, against which it is
// hardly pressed, along a flat direction.
FitStatus Minimizer::judge(double tolerance) {
  if (point.factor.weakest_pivot < no_pivot) {
    point.undetermined = model_.external[point.factor.weakest];
    return FitStatus::singular;
  }
  const std::vector<char> held = point.held;
  for (int i = 0; i < model_.n_params; ++i) {
    if (!held[i] || fixed_[i] || pinned_[i]) continue;
    const double gain = 0.5 * point.gradient[i] * point.gradient[i];
    if (gain <= tolerance * std::fabs(diagonal(i))) point.held[i] = 0;
  }
  if (point.held == held) return FitStatus::converged;
  const bool definite = factorise_free();
  if (!definite || point.factor.weakest_pivot < no_pivot) {
    point.undetermined = model_.external[definite ? point.factor.weakest : point.factor.failed];
  }
  point.held = held;
  factorise_free();
  return point.undetermined >= 0 ? FitStatus::singular : FitStatus::converged;
}

FitStatus Minimizer::iterate(const FitProblem& problem) {
  if (!make_finite()) {
    point.nll = std::numeric_limits<double>::infinity();
    return FitStatus::infinite;
  }
  int n_polish_steps = 0;
  for (;;) {
    choose_sides();
    if (!differentiate()) return FitStatus::not_finite;
    set_damping(0.0);
    Quadratic step = solve_damped_quadratic();
    if (step == Quadratic::indefinite || !std::isfinite(point.edm)) return FitStatus::not_finite;
    const bool stationary = step == Quadratic::solved && point.edm < polish * problem.tolerance;
    const bool weak =
        point.factor.weakest_pivot < weak_pivot && point.edm > polish_weak * problem.tolerance;
    if (stationary && weak && n_polish_steps < max_polish_steps) {
      ++n_polish_steps;  // so that what is undetermined shows
    } else if (stationary) {
      if (damping_ > 0.0) {  // stationary, but what does the Hessian itself say?
        set_damping(0.0);
        if (!escape_saddle()) return FitStatus::singular;
        ++point.n_iterations;
        continue;
      }
      if (move_to_kinks(problem.tolerance)) continue;
      return judge(problem.tolerance);
    }
    if (point.n_iterations == problem.max_iterations) return FitStatus::max_iterations;
    while (!search_line(slope())) {
      if (damping_ == 0.0 && step == Quadratic::solved && point.edm < problem.tolerance) {
        return judge(problem.tolerance);
      }
      if (damping_ > last_damping) return FitStatus::stalled;
      set_damping(std::max(10.0 * damping_, restart_damping));
      step = solve_damped_quadratic();
      if (step == Quadratic::indefinite) return FitStatus::stalled;
    }
    ++point.n_iterations;
  }
}

}  // namespace nextstat
