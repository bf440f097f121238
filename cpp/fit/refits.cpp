#include "fit/refits.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "support/parallel.h"

namespace nextstat {

namespace {

constexpr double refit_edm = 1e-12;     // in nll: a relative error of 1e-6 sigma in the parameter
constexpr double least_progress = 0.7;  // share of the slope along a step that may remain after it
constexpr int max_pairs = 25;
constexpr double work_per_thread = 1e4;  // refits x parameters that make another thread worthwhile

// Limited-memory BFGS around the factorised Hessian of the global fit.
class ShiftedFit {
 public:
  ShiftedFit(const Model& model, const Data& data, const Minimum& global, const FitProblem& problem)
      : model_(model), data_(data), global_(global), problem_(problem), kernels_(kernels()),
        evaluation_(model), response_(model.n_params), theta_(model.n_params),
        gradient_(model.n_params), next_(model.n_params), direction_(model.n_params) {}

  Refit run(int poi, int parameter, double value) {
    const int k = model_.internal[parameter];
    const bool linear_start = !global_.held[k] && start(k, value) && beats_plain_shift(k, value);
    if (linear_start && descend(k)) {
      return {theta_[model_.internal[poi]], FitStatus::converged};
    }
    return newton(poi, parameter, value, linear_start);
  }

 private:
  // theta = global minimum + linear response to the shift; false if that leaves the bounds.
  bool start(int k, double value) {
    for (double& x : response_) x = 0.0;
    response_[k] = 1.0;
    kernels_.solve(global_.shape, global_.factor, response_.data());
    const double shift = (value - global_.theta[k]) / response_[k];
    for (int i = 0; i < model_.n_params; ++i) {
      theta_[i] = global_.theta[i] + shift * response_[i];
    }
    theta_[k] = value;
    return within_bounds(k);
  }

  // Whether the linear response is lower than the shift of one parameter alone. If not, the
  // likelihood is far from a parabola, and quasi-Newton steps might end in another basin.
  bool beats_plain_shift(int k, double value) {
    kernels_.expected(model_, theta_.data(), evaluation_);
    const Doubles response_nu = evaluation_.nu;
    next_ = global_.theta;
    next_[k] = value;
    kernels_.expected(model_, next_.data(), evaluation_);
    return kernels_.difference(model_, data_, theta_.data(), response_nu.data(), next_.data(),
                               evaluation_.nu.data()) <= 0.0;
  }

  bool within_bounds(int k) const {
    for (int i = 0; i < model_.n_params; ++i) {
      const int p = model_.external[i];
      if (i == k || global_.held[i]) continue;
      if (!(theta_[i] >= problem_.lower[p] && theta_[i] <= problem_.upper[p])) return false;
    }
    return true;
  }

  bool descend(int k) {
    n_pairs_ = 0;
    differentiate(k, gradient_);
    const Doubles start = theta_, start_nu = evaluation_.nu;
    for (int iteration = 0; iteration < max_pairs; ++iteration) {
      apply_inverse(k);
      const double slope = dot(gradient_, direction_);
      if (!(slope <= 0.0)) return false;
      if (-0.5 * slope < refit_edm) {
        return held_parameters_stay(k) && lower_than(start, start_nu);
      }
      if (!advance(k, slope)) return false;
      if (!remember()) return false;
      gradient_.swap(next_);
    }
    return false;
  }

  // Moves theta along the direction, to where the slope has mostly gone; a full step, or one step
  // of the secant method after it. Leaves the gradient there in next_.
  bool advance(int k, double slope) {
    double length = 1.0;
    for (int trial = 0; trial < 3; ++trial) {
      const double move = trial == 0 ? 1.0 : length - previous_length_;
      for (std::size_t i = 0; i < theta_.size(); ++i) theta_[i] += move * direction_[i];
      if (!within_bounds(k) || !differentiate(k, next_)) return false;
      const double rest = dot(next_, direction_);
      if (std::fabs(rest) <= least_progress * -slope) {
        for (double& x : direction_) x *= length;
        return true;
      }
      if (!(rest > slope)) return false;  // concave
      previous_length_ = length;
      length = std::min(std::max(length * slope / (slope - rest), 0.1 * length), 3.0 * length);
    }
    return false;
  }

  bool differentiate(int k, Doubles& gradient) {
    const double nll =
        kernels_.gradient(model_, data_, theta_.data(), evaluation_, gradient.data());
    held_gradient_ = gradient;
    for (int i = 0; i < model_.n_params; ++i) {
      if (i == k || global_.held[i]) gradient[i] = 0.0;
    }
    return std::isfinite(nll);
  }

  // Parameters at a bound in the global fit must still be pushed against it.
  bool held_parameters_stay(int k) const {
    for (int i = 0; i < model_.n_params; ++i) {
      const int p = model_.external[i];
      if (!global_.held[i] || i == k || problem_.fixed[p]) continue;
      const bool at_lower = theta_[i] <= problem_.lower[p] && held_gradient_[i] >= 0.0;
      const bool at_upper = theta_[i] >= problem_.upper[p] && held_gradient_[i] <= 0.0;
      if (!at_lower && !at_upper) return false;
    }
    return true;
  }

  // direction = -H^-1 gradient by the two-loop recursion over the remembered pairs.
  void apply_inverse(int k) {
    const std::size_t P = model_.n_params;
    double weight[max_pairs];
    for (std::size_t i = 0; i < P; ++i) direction_[i] = -gradient_[i];
    for (int j = n_pairs_ - 1; j >= 0; --j) {
      weight[j] = dot(steps_[j], direction_) / curvature_[j];
      for (std::size_t i = 0; i < P; ++i) direction_[i] -= weight[j] * changes_[j][i];
    }
    kernels_.solve(global_.shape, global_.factor, direction_.data());
    const double along = direction_[k] / response_[k];
    for (std::size_t i = 0; i < P; ++i) direction_[i] -= along * response_[i];
    direction_[k] = 0.0;
    for (int j = 0; j < n_pairs_; ++j) {
      const double rest = weight[j] - dot(changes_[j], direction_) / curvature_[j];
      for (std::size_t i = 0; i < P; ++i) direction_[i] += rest * steps_[j][i];
    }
  }

  // The nll has not risen since the start: quasi-Newton steps have not wandered off.
  bool lower_than(const Doubles& start, const Doubles& start_nu) const {
    return kernels_.difference(model_, data_, theta_.data(), evaluation_.nu.data(), start.data(),
                               start_nu.data()) <= refit_edm;
  }

  // Adds the last step and change of gradient to the pairs; false if the nll bends down there.
  bool remember() {
    const std::size_t P = model_.n_params;
    if (n_pairs_ == static_cast<int>(steps_.size())) {
      steps_.emplace_back(P);
      changes_.emplace_back(P);
      curvature_.push_back(0.0);
    }
    for (std::size_t i = 0; i < P; ++i) {
      steps_[n_pairs_][i] = direction_[i];
      changes_[n_pairs_][i] = next_[i] - gradient_[i];
    }
    curvature_[n_pairs_] = dot(steps_[n_pairs_], changes_[n_pairs_]);
    if (!(curvature_[n_pairs_] > 0.0)) return false;
    ++n_pairs_;
    return true;
  }

  // The bounded Newton method, from the linear response if there is one.
  Refit newton(int poi, int parameter, double value, bool linear_start) {
    const int k = model_.internal[parameter];
    Doubles init(model_.n_params);
    std::vector<char> fixed(problem_.fixed, problem_.fixed + model_.n_params);
    if (linear_start) linear_start = start(k, value);
    for (int i = 0; i < model_.n_params; ++i) {
      init[model_.external[i]] = linear_start ? theta_[i] : global_.theta[i];
    }
    init[parameter] = value;
    fixed[parameter] = 1;
    if (!minimizer_) minimizer_ = std::make_unique<Minimizer>(model_);
    minimizer_->run(data_, FitProblem{init.data(), problem_.lower, problem_.upper, fixed.data(),
                                      problem_.tolerance, problem_.max_iterations});
    return {minimizer_->point.theta[model_.internal[poi]], minimizer_->point.status};
  }

  const Model& model_;
  const Data& data_;
  const Minimum& global_;
  const FitProblem& problem_;
  const Kernels& kernels_;
  Evaluation evaluation_;
  Doubles response_, theta_, gradient_, next_, direction_, held_gradient_;
  std::vector<Doubles> steps_, changes_;
  Doubles curvature_;
  int n_pairs_ = 0;
  double previous_length_ = 1.0;
  std::unique_ptr<Minimizer> minimizer_;
};

}  // namespace

std::vector<Refit> refit_shifted(const Model& model, const Data& data, const Minimum& global,
                                 const FitProblem& problem, int poi,
                                 const std::vector<int>& parameters, const Doubles& values,
                                 int n_threads) {
  const int n = static_cast<int>(parameters.size());
  std::vector<Refit> refits(n);
  const double work = static_cast<double>(n) * model.n_params / work_per_thread;
  n_threads = std::min(n_threads, 1 + static_cast<int>(work));
  parallel_for(
      n, n_threads, [&] { return ShiftedFit(model, data, global, problem); },
      [&](ShiftedFit& fit, int k) { refits[k] = fit.run(poi, parameters[k], values[k]); });
  return refits;
}

}  // namespace nextstat
