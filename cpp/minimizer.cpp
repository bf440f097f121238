#include "minimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nextstat {

namespace {

constexpr double polish = 1e-2;       // steps go on until the EDM is this far below the tolerance
constexpr double armijo = 1e-4;       // share of the predicted decrease a step must reach
constexpr double first_damping = 1e-3;
constexpr double last_damping = 1e9;
constexpr int max_active_set_changes = 40;
constexpr int max_halvings = 40;

bool all_finite(const std::vector<double>& x) {
  double sum = 0.0;
  for (double value : x) sum += value * 0.0;
  return sum == 0.0;
}

double dot(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

Minimum empty_minimum(const Model& model) {
  const std::size_t P = model.n_params;
  const ArrowShape shape(model);
  return Minimum{FitStatus::infinite, std::vector<double>(P), std::vector<double>(P),
                 std::vector<char>(P), 0.0, 0.0, 0, 0, shape, ArrowFactor(shape)};
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
    : minimum(empty_minimum(model)), model_(model), data_(data), kernels_(kernels()),
      hessian_(minimum.shape), evaluation_(model), lower_(model.n_params), upper_(model.n_params),
      range_lower_(model.n_params), range_upper_(model.n_params), fixed_(model.n_params),
      pinned_(model.n_params), step_(model.n_params), product_(model.n_params),
      trial_(model.n_params), nu_(model.n_bins) {
  evaluation_.reserve_second_derivatives(model);
}

void Minimizer::load(const FitProblem& problem) {
  for (int i = 0; i < model_.n_params; ++i) {
    const int p = model_.external[i];
    lower_[i] = problem.lower[p];
    upper_[i] = problem.upper[p];
    fixed_[i] = problem.fixed[p] || lower_[i] == upper_[i];
    minimum.theta[i] = problem.fixed[p] ? problem.init[p]
                                : std::min(std::max(problem.init[p], lower_[i]), upper_[i]);
  }
  minimum.n_iterations = minimum.n_evaluations = 0;
  minimum.edm = std::numeric_limits<double>::infinity();
}

// Events observed where none are expected: unconstrained factors that start at 0 are moved to 1.
bool Minimizer::make_finite() {
  ++minimum.n_evaluations;
  if (std::isfinite(kernels_.nll(model_, data_, minimum.theta.data(), evaluation_))) return true;
  for (int i = 0; i < model_.n_params; ++i) {
    const bool free_factor =
        !fixed_[i] && model_.inverse_variance[i] == 0.0 && model_.tau[i] == 0.0;
    if (free_factor && minimum.theta[i] == 0.0) minimum.theta[i] = std::min(1.0, upper_[i]);
  }
  ++minimum.n_evaluations;
  return std::isfinite(kernels_.nll(model_, data_, minimum.theta.data(), evaluation_));
}

// Cuts the bounds at the kinks, on the side where the nll falls; pins where it rises on both.
void Minimizer::choose_sides() {
  range_lower_ = lower_;
  range_upper_ = upper_;
  std::fill(pinned_.begin(), pinned_.end(), 0);
  bool at_kink = false;
  for (int p : model_.kinked) {
    if (fixed_[p]) continue;
    if (minimum.theta[p] == 0.0) at_kink = true;
    if (minimum.theta[p] > 0.0) range_lower_[p] = std::max(lower_[p], 0.0);
    if (minimum.theta[p] < 0.0) range_upper_[p] = std::min(upper_[p], 0.0);
  }
  if (!at_kink) return;
  for (const double side : {-0.0, 0.0}) {
    trial_ = minimum.theta;
    for (int p : model_.kinked) {
      if (minimum.theta[p] == 0.0) trial_[p] = side;
    }
    ++minimum.n_evaluations;
    kernels_.gradient(model_, data_, trial_.data(), evaluation_,
                      std::signbit(side) ? product_.data() : step_.data());
  }
  for (int p : model_.kinked) {
    if (fixed_[p] || minimum.theta[p] != 0.0) continue;
    if (step_[p] < 0.0 && upper_[p] > 0.0) {
      minimum.theta[p] = 0.0;
      range_lower_[p] = 0.0;
    } else if (product_[p] > 0.0 && lower_[p] < 0.0) {
      minimum.theta[p] = -0.0;
      range_upper_[p] = -0.0;
    } else {
      minimum.theta[p] = 0.0;
      pinned_[p] = 1;
    }
  }
}

bool Minimizer::differentiate() {
  ++minimum.n_evaluations;
  minimum.nll = kernels_.hessian(model_, data_, minimum.theta.data(), evaluation_, minimum.gradient.data(), minimum.shape,
                         hessian_);
  nu_ = evaluation_.nu;
  return std::isfinite(minimum.nll) && all_finite(minimum.gradient) && all_finite(hessian_.A) &&
         all_finite(hessian_.B) && all_finite(hessian_.D);
}

double Minimizer::diagonal(int p) const {
  if (model_.is_local(p)) return hessian_.D[minimum.shape.entry[p - model_.n_global]];
  return hessian_.A[static_cast<std::size_t>(p) * model_.n_global + p];
}

// Fills step_, held and edm. False if the (damped) Hessian is not positive definite.
bool Minimizer::solve_quadratic(double damping) {
  const int P = model_.n_params;
  for (int i = 0; i < P; ++i) {
    const bool at_lower = minimum.theta[i] <= range_lower_[i] && minimum.gradient[i] > 0.0;
    const bool at_upper = minimum.theta[i] >= range_upper_[i] && minimum.gradient[i] < 0.0;
    minimum.held[i] = fixed_[i] || pinned_[i] || at_lower || at_upper;
    step_[i] = 0.0;
  }
  for (int change = 0;; ++change) {
    for (int i = 0; i < P; ++i) {
      minimum.factor.free[i] = !minimum.held[i];
      if (!minimum.held[i]) step_[i] = 0.0;
    }
    if (!kernels_.factorise(minimum.shape, hessian_, damping, minimum.factor)) return false;
    kernels_.multiply(minimum.shape, hessian_, step_.data(), product_.data());
    for (int i = 0; i < P; ++i) trial_[i] = -(minimum.gradient[i] + product_[i]);
    kernels_.solve(minimum.shape, minimum.factor, trial_.data());
    bool violated = false;
    for (int i = 0; i < P; ++i) {
      if (minimum.held[i]) continue;
      const double target = minimum.theta[i] + trial_[i];
      step_[i] = trial_[i];
      if (target >= range_lower_[i] && target <= range_upper_[i]) continue;
      minimum.held[i] = 1;
      step_[i] = (target < range_lower_[i] ? range_lower_[i] : range_upper_[i]) - minimum.theta[i];
      violated = true;
    }
    if (violated && change < max_active_set_changes) continue;
    kernels_.multiply(minimum.shape, hessian_, step_.data(), product_.data());
    // A held parameter whose multiplier points inwards is released, the worst one first.
    int worst = -1;
    double worst_gain = 0.0;
    for (int i = 0; i < P && change < max_active_set_changes / 2; ++i) {
      if (!minimum.held[i] || fixed_[i] || pinned_[i]) continue;
      const bool at_lower = minimum.theta[i] + step_[i] <= range_lower_[i];
      const double slope = minimum.gradient[i] + product_[i];
      const double inward = at_lower ? -slope : slope;
      const double gain = inward * inward / std::max(std::fabs(diagonal(i)), 1e-300);
      if (inward > 0.0 && gain > 1e-20 && gain > worst_gain) {
        worst = i;
        worst_gain = gain;
      }
    }
    if (worst < 0) break;
    minimum.held[worst] = 0;
  }
  double curvature = dot(step_, product_);
  for (int i = 0; i < P && damping > 0.0; ++i) {
    curvature += damping * std::fabs(diagonal(i)) * step_[i] * step_[i];
  }
  minimum.edm = -(slope() + 0.5 * curvature);
  return true;
}

double Minimizer::slope() const { return dot(minimum.gradient, step_); }

// Moves theta along step_ until the nll falls enough; false if it never does.
bool Minimizer::search_line(double initial_slope) {
  double t = 1.0;
  for (int k = 0; k < max_halvings; ++k) {
    for (int i = 0; i < model_.n_params; ++i) {
      trial_[i] = std::min(std::max(minimum.theta[i] + t * step_[i], range_lower_[i]), range_upper_[i]);
      if (fixed_[i] || step_[i] == 0.0) trial_[i] = minimum.theta[i];
    }
    ++minimum.n_evaluations;
    kernels_.expected(model_, trial_.data(), evaluation_);
    const double change = kernels_.difference(model_, data_, trial_.data(), evaluation_.nu.data(),
                                              minimum.theta.data(), nu_.data());
    if (change <= armijo * t * initial_slope && change < 0.0) {
      minimum.theta.swap(trial_);
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
  for (int i = 0; i < model_.n_params; ++i) minimum.factor.free[i] = !minimum.held[i];
  if (kernels_.factorise(minimum.shape, hessian_, 0.0, minimum.factor)) return false;
  kernels_.descent_curvature(minimum.shape, minimum.factor, step_.data());
  kernels_.multiply(minimum.shape, hessian_, step_.data(), product_.data());
  double size = 0.0;
  for (int i = 0; i < model_.n_params; ++i) {
    if (minimum.held[i]) step_[i] = 0.0;
    size += std::fabs(diagonal(i)) * step_[i] * step_[i];
  }
  const double bend = dot(step_, product_);
  if (!(bend < -1e-9 * size)) return false;  // flat, not a saddle
  const double length = 1.0 / std::sqrt(-bend);
  for (const double sign : {slope() > 0.0 ? -1.0 : 1.0, slope() > 0.0 ? 1.0 : -1.0}) {
    std::vector<double> direction = step_;
    for (double& x : step_) x *= sign * length;
    if (search_line(-0.5)) return true;
    step_ = direction;
  }
  return false;
}

void Minimizer::run(const FitProblem& problem) {
  load(problem);
  minimum.status = iterate(problem);
}

FitStatus Minimizer::iterate(const FitProblem& problem) {
  if (!make_finite()) {
    minimum.nll = std::numeric_limits<double>::infinity();
    return FitStatus::infinite;
  }
  double damping = 0.0;
  for (;;) {
    choose_sides();
    if (!differentiate()) return FitStatus::not_finite;
    bool positive = solve_quadratic(damping);
    while (!positive && damping < last_damping) {
      damping = std::max(10.0 * damping, first_damping);
      positive = solve_quadratic(damping);
    }
    if (!positive || !std::isfinite(minimum.edm)) return FitStatus::not_finite;
    if (minimum.edm < polish * problem.tolerance) {
      if (damping == 0.0) return FitStatus::converged;
      if (solve_quadratic(0.0)) {
        damping = 0.0;
        if (minimum.edm < polish * problem.tolerance) return FitStatus::converged;
      } else if (escape_saddle()) {
        ++minimum.n_iterations;
        continue;
      } else {
        return FitStatus::singular;
      }
    }
    if (minimum.n_iterations == problem.max_iterations) return FitStatus::max_iterations;
    while (!search_line(slope())) {
      if (damping == 0.0 && minimum.edm < problem.tolerance) return FitStatus::converged;
      damping = std::max(10.0 * damping, first_damping);
      if (damping > last_damping || !solve_quadratic(damping)) return FitStatus::stalled;
    }
    ++minimum.n_iterations;
    damping = damping > first_damping ? 0.1 * damping : 0.0;
  }
}

}  // namespace nextstat
