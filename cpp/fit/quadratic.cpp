#include "fit/quadratic.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nextstat {

namespace {

constexpr double first_damping = 1e-9;
constexpr double restart_damping = 1e-4;  // where a line search failed
constexpr double last_damping = 1e6;
constexpr double row_sum_share = 1e-3;  // of the row sums in the metric of the damping
constexpr double metric_floor = 1e-8;   // for parameters without any second derivative
constexpr double least_gain = 1e-20;    // in nll: what releasing a parameter must promise
constexpr double flat = 1e-9;           // curvature, in units of the metric, that counts as none
constexpr int max_active_set_changes = 40;
constexpr int max_joint_releases = 4;

}  // namespace

QuadraticModel::QuadraticModel(const Model& model, Minimum& point, const Range& range)
    : hessian(point.shape), step(model.n_params), model_(model), kernels_(kernels()), point_(point),
      range_(range), product_(model.n_params), work_(model.n_params), curved_(model.n_params),
      metric_(model.n_params), shift_(model.n_params) {}

void QuadraticModel::renew() {
  damping_ = bend_ = 0.0;
  metric_known_ = false;
}

double QuadraticModel::diagonal(int p) const {
  if (model_.is_local(p)) return hessian.D[point_.shape.entry[p - model_.n_global]];
  return hessian.A[static_cast<std::size_t>(p) * model_.n_global + p];
}

QuadraticModel::Outcome QuadraticModel::solve() {
  Outcome outcome = solve_damped();
  while (outcome == Outcome::indefinite && damping_ < last_damping) {
    overcome_negative_curvature();
    outcome = solve_damped();
  }
  return outcome;
}

bool QuadraticModel::raise_damping() {
  if (damping_ > last_damping) return false;
  set_damping(std::max(10.0 * damping_, restart_damping));
  return true;
}

bool QuadraticModel::factorise_undamped() {
  damping_ = 0.0;
  return factorise_free();
}

bool QuadraticModel::factorise_free() {
  for (int i = 0; i < model_.n_params; ++i) point_.factor.free[i] = !point_.held[i];
  return kernels_.factorise(point_.shape, hessian, damped() ? shift_.data() : nullptr,
                            point_.factor);
}

// Damping is in units of the diagonal; the row sums see to it that enough of it always helps.
void QuadraticModel::set_damping(double damping) {
  damping_ = damping;
  if (!metric_known_) {
    kernels_.row_sums(point_.shape, hessian, metric_.data());
    for (int i = 0; i < model_.n_params; ++i) {
      metric_[i] = std::fabs(diagonal(i)) + row_sum_share * metric_[i] + metric_floor;
    }
    metric_known_ = true;
  }
  for (int i = 0; i < model_.n_params; ++i) shift_[i] = damping * metric_[i];
}

// After a factorisation that failed: enough damping to bend the direction it failed at upwards.
void QuadraticModel::overcome_negative_curvature() {
  set_damping(std::max(damping_, first_damping));
  kernels_.descent_curvature(point_.shape, point_.factor, work_.data());
  kernels_.multiply(point_.shape, hessian, work_.data(), product_.data());
  double size = 0.0;
  for (int i = 0; i < model_.n_params; ++i) size += metric_[i] * work_[i] * work_[i];
  const double bend = -dot(work_, product_);
  if (bend > flat * size) {
    curved_ = work_;
    bend_ = bend;
  }
  const double needed = bend / size;
  set_damping(std::max(2.0 * needed, 4.0 * damping_));
}

bool QuadraticModel::descend_curvature() {
  kernels_.descent_curvature(point_.shape, point_.factor, step.data());
  kernels_.multiply(point_.shape, hessian, step.data(), product_.data());
  double size = 0.0;
  for (int i = 0; i < model_.n_params; ++i) {
    if (point_.held[i]) step[i] = 0.0;
    size += metric_[i] * step[i] * step[i];
  }
  const double bend = dot(step, product_);
  if (!(bend < -flat * size)) return false;
  for (double& x : step) x /= std::sqrt(-bend);
  return true;
}

double QuadraticModel::prefer_curvature(const Doubles& width, double reach, double gain) {
  if (bend_ <= 0.0) return 0.0;
  const double sign = dot(point_.gradient, curved_) > 0.0 ? -1.0 : 1.0;
  double longest = std::numeric_limits<double>::infinity();
  for (int i = 0; i < model_.n_params; ++i) {
    if (curved_[i] == 0.0) continue;
    const double room = sign * curved_[i] > 0.0 ? range_.upper[i] - point_.theta[i]
                                                : point_.theta[i] - range_.lower[i];
    longest = std::min(longest, std::min(reach * width[i], room) / std::fabs(curved_[i]));
  }
  const double fall = -sign * dot(point_.gradient, curved_);
  const double decrease = longest * (fall + 0.5 * longest * bend_);
  if (!(decrease > gain * point_.edm) || !std::isfinite(decrease)) return 0.0;
  for (int i = 0; i < model_.n_params; ++i) step[i] = sign * longest * curved_[i];
  return decrease;
}

// Violated bounds are held all at once and released all at once, then one by one; where that does
// not settle, the step is cut at the first bound it meets.
QuadraticModel::Outcome QuadraticModel::solve_damped() {
  for (int i = 0; i < model_.n_params; ++i) {
    point_.held[i] =
        range_.frozen[i] || range_.held_at_lower(point_, i) || range_.held_at_upper(point_, i);
    step[i] = 0.0;
  }
  int n_releases = 0;
  for (int change = 0; change < max_active_set_changes; ++change) {
    if (!newton_step()) return Outcome::indefinite;
    bool violated = false;
    for (int i = 0; i < model_.n_params; ++i) {
      if (point_.held[i]) continue;
      const double target = point_.theta[i] + step[i];
      if (target >= range_.lower[i] && target <= range_.upper[i]) continue;
      point_.held[i] = 1;
      step[i] = (target < range_.lower[i] ? range_.lower[i] : range_.upper[i]) - point_.theta[i];
      violated = true;
    }
    if (violated || release(n_releases++ < max_joint_releases)) continue;
    point_.edm = predicted_decrease();
    if (point_.edm >= 0.0) return Outcome::solved;
    break;
  }
  return truncate_step() ? Outcome::truncated : Outcome::indefinite;
}

// The step of the parameters not held, given the steps of those held; false if not positive
// definite.
bool QuadraticModel::newton_step() {
  for (int i = 0; i < model_.n_params; ++i) {
    if (!point_.held[i]) step[i] = 0.0;
  }
  if (!factorise_free()) return false;
  kernels_.multiply(point_.shape, hessian, step.data(), product_.data());
  for (int i = 0; i < model_.n_params; ++i) work_[i] = -(point_.gradient[i] + product_[i]);
  kernels_.solve(point_.shape, point_.factor, work_.data());
  for (int i = 0; i < model_.n_params; ++i) {
    if (!point_.held[i]) step[i] = work_[i];
  }
  return true;
}

// Releases the held parameters whose multipliers point inwards, or only the one that does so most;
// false if there is none.
bool QuadraticModel::release(bool all) {
  kernels_.multiply(point_.shape, hessian, step.data(), product_.data());
  int worst = -1;
  double most = least_gain;
  for (int i = 0; i < model_.n_params; ++i) {
    if (!point_.held[i] || range_.frozen[i]) continue;
    const bool at_lower = point_.theta[i] + step[i] <= range_.lower[i];
    const double inward = (at_lower ? -1.0 : 1.0) * (point_.gradient[i] + product_[i]);
    const double gain = inward * inward / std::max(std::fabs(diagonal(i)), 1e-300);
    if (inward <= 0.0 || gain <= least_gain) continue;
    if (all) point_.held[i] = 0;
    if (gain > most || worst < 0) {
      worst = i;
      most = gain;
    }
  }
  if (worst >= 0) point_.held[worst] = 0;
  return worst >= 0;
}

// A Newton step of the parameters away from their bounds, as far as the first bound.
bool QuadraticModel::truncate_step() {
  for (int i = 0; i < model_.n_params; ++i) {
    const bool at_lower = point_.theta[i] <= range_.lower[i] && point_.gradient[i] >= 0.0;
    const bool at_upper = point_.theta[i] >= range_.upper[i] && point_.gradient[i] <= 0.0;
    point_.held[i] = range_.frozen[i] || at_lower || at_upper;
    step[i] = 0.0;
  }
  for (;;) {
    if (!newton_step()) return false;
    double length = 1.0;
    int blocking = -1;
    for (int i = 0; i < model_.n_params; ++i) {
      if (point_.held[i] || step[i] == 0.0) continue;
      const double bound = step[i] < 0.0 ? range_.lower[i] : range_.upper[i];
      const double reach = (bound - point_.theta[i]) / step[i];
      if (reach < length) {
        length = reach;
        blocking = i;
      }
    }
    if (length > 0.0) {
      for (double& x : step) x *= length;
      point_.edm = predicted_decrease();
      return true;
    }
    point_.held[blocking] = 1;
    step[blocking] = 0.0;
  }
}

// -(g^T d + d^T (H + damping) d / 2)
double QuadraticModel::predicted_decrease() {
  kernels_.multiply(point_.shape, hessian, step.data(), product_.data());
  double curvature = dot(step, product_);
  for (int i = 0; i < model_.n_params && damped(); ++i) curvature += shift_[i] * step[i] * step[i];
  return 0.0 - (slope() + 0.5 * curvature);  // no -0.0
}

}  // namespace nextstat
