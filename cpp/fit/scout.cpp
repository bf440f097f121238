#include "fit/scout.h"

#include <algorithm>
#include <cmath>

namespace nextstat {

namespace {

constexpr int memory = 10;     // steps that the metric remembers
constexpr int max_steps = 40;  // of a descent
constexpr int max_halvings = 12;
constexpr double longest_step = 0.2;  // in widths: longer ones jump over basins
constexpr double armijo = 1e-4;
constexpr double back = 0.01;         // in widths of constraints, or errors: the same basin again
constexpr double hopeless = 1e-3;     // EDM, of the height above the minimum that is left
constexpr double least_bend = 1e-12;  // of a step that the metric learns from

}  // namespace

Scout::Scout(const Model& model, const Range& bounds, const Doubles& width, Evaluation& evaluation)
    : theta(model.n_params), model_(model), bounds_(bounds), width_(width), evaluation_(evaluation),
      kernels_(kernels()), near_(model.n_params), diagonal_(model.n_params),
      gradient_(model.n_params), direction_(model.n_params), trial_(model.n_params),
      trial_gradient_(model.n_params), pairs_(memory), share_(memory) {
  for (Pair& pair : pairs_) {
    pair.step.resize(model.n_params);
    pair.change.resize(model.n_params);
  }
}

void Scout::leave(const Minimum& minimum, const QuadraticModel& quadratic) {
  left_ = &minimum;
  home_ = minimum.theta;
  home_nll_ = minimum.nll;
  for (int i = 0; i < model_.n_params; ++i) {
    const bool constrained = model_.inverse_variance[i] + model_.tau[i] > 0.0;
    diagonal_[i] = std::max(std::fabs(quadratic.diagonal(i)), 1e-300);
    near_[i] = back * (constrained ? width_[i] : 1.0 / std::sqrt(diagonal_[i]));
  }
}

// direction_ <- the metric's inverse times it, over what may move.
void Scout::apply_metric() {
  trial_ = direction_;
  if (left_->status == FitStatus::converged) {
    kernels_.solve(left_->shape, left_->factor, direction_.data());
  } else {
    std::fill(direction_.begin(), direction_.end(), 0.0);
  }
  for (int i = 0; i < model_.n_params; ++i) {
    const bool covered = left_->status == FitStatus::converged && left_->factor.free[i];
    if (!covered && !bounds_.frozen[i]) direction_[i] = trial_[i] / diagonal_[i];
  }
}

// The step of the metric, with what cannot move left out, and what it promises.
void Scout::find_direction() {
  const auto stuck = [this](int i) {
    return bounds_.frozen[i] || (theta[i] <= bounds_.lower[i] && gradient_[i] > 0.0) ||
           (theta[i] >= bounds_.upper[i] && gradient_[i] < 0.0);
  };
  for (int i = 0; i < model_.n_params; ++i) direction_[i] = stuck(i) ? 0.0 : -gradient_[i];
  const int n = std::min(n_pairs_, memory);
  for (int k = n_pairs_ - 1; k >= n_pairs_ - n; --k) {
    const Pair& pair = pairs_[k % memory];
    share_[k % memory] = pair.scale * dot(pair.step, direction_);
    for (int i = 0; i < model_.n_params; ++i) {
      direction_[i] -= share_[k % memory] * pair.change[i];
    }
  }
  apply_metric();
  for (int k = n_pairs_ - n; k < n_pairs_; ++k) {
    const Pair& pair = pairs_[k % memory];
    const double share = share_[k % memory] - pair.scale * dot(pair.change, direction_);
    for (int i = 0; i < model_.n_params; ++i) direction_[i] += share * pair.step[i];
  }
  double slope = 0.0;
  for (int i = 0; i < model_.n_params; ++i) {
    if (stuck(i)) direction_[i] = 0.0;
    slope += gradient_[i] * direction_[i];
  }
  if (!(slope < 0.0)) {  // the bounds turned it upwards
    slope = 0.0;
    for (int i = 0; i < model_.n_params; ++i) {
      direction_[i] = stuck(i) ? 0.0 : -gradient_[i] / diagonal_[i];
      slope += gradient_[i] * direction_[i];
    }
    n_pairs_ = 0;
  }
  edm = -0.5 * slope;
}

// Along the direction as far as the nll falls; false if it does not.
bool Scout::advance(const Data& data) {
  double longest = 1.0;  // in the longest step
  for (int i = 0; i < model_.n_params; ++i) {
    longest = std::max(longest, std::fabs(direction_[i]) / (longest_step * width_[i]));
  }
  double t = 1.0 / longest;
  for (int halving = 0; halving < max_halvings; ++halving) {
    double slope = 0.0;
    for (int i = 0; i < model_.n_params; ++i) {
      trial_[i] =
          std::min(std::max(theta[i] + t * direction_[i], bounds_.lower[i]), bounds_.upper[i]);
      if (direction_[i] == 0.0) trial_[i] = theta[i];
      slope += gradient_[i] * (trial_[i] - theta[i]);
    }
    ++n_evaluations;
    const double value =
        kernels_.gradient(model_, data, trial_.data(), evaluation_, trial_gradient_.data());
    const double change = value - nll;
    if (change <= armijo * slope && change < 0.0) {
      Pair& pair = pairs_[n_pairs_ % memory];
      double bend = 0.0, size = 0.0;
      for (int i = 0; i < model_.n_params; ++i) {
        pair.step[i] = trial_[i] - theta[i];
        pair.change[i] = trial_gradient_[i] - gradient_[i];
        bend += pair.step[i] * pair.change[i];
        size += diagonal_[i] * pair.step[i] * pair.step[i];
      }
      if (bend > least_bend * size) {
        pair.scale = 1.0 / bend;
        ++n_pairs_;
      }
      theta.swap(trial_);
      gradient_.swap(trial_gradient_);
      nll = value;
      return true;
    }
    if (std::isfinite(change)) {  // minimum of the parabola through both values and the slope
      const double best = -0.5 * slope / (change - slope);
      t *= std::min(std::max(best, 0.1), 0.5);
    } else {
      t *= 0.25;
    }
  }
  return false;
}

bool Scout::is_back(const Doubles& at, const Doubles* step) const {
  for (int i = 0; i < model_.n_params; ++i) {
    const double end = at[i] + (step != nullptr ? (*step)[i] : 0.0);
    if (std::fabs(end - home_[i]) > near_[i]) return false;
  }
  return true;
}

bool Scout::is_higher(double at, double promised) const {
  return promised < hopeless * (at - home_nll_);
}

Scout::End Scout::descend(const Data& data, double gain) {
  n_pairs_ = 0;
  n_evaluations = 1;
  nll = kernels_.gradient(model_, data, theta.data(), evaluation_, gradient_.data());
  int n_hopeless = 0;
  for (int step = 0; step < max_steps; ++step) {
    if (!std::isfinite(nll)) return End::lost;
    if (nll < home_nll_ - gain) return End::lower;
    find_direction();
    if (is_back(theta, edm < near_edm ? &direction_ : nullptr)) return End::back;
    n_hopeless = is_higher(std::max(nll, home_nll_ + gain), edm) ? n_hopeless + 1 : 0;
    if (n_hopeless == 2) return End::higher;
    if (!advance(data)) return End::lost;
  }
  return End::lost;
}

}  // namespace nextstat
