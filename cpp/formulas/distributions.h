// The terms of the negative log-likelihood and their derivatives, one scalar at a time.
//
// Poisson terms are relative to their minimum at nu = n, and Gaussian ones drop the normalisation;
// Data::constant adds both back. *_difference is term(x1) - term(x0). Neither subtracts two large
// numbers, so that all stay exact at yields of 1e8.
#pragma once

#include <cmath>
#include <limits>

namespace nextstat {

struct Term {
  double value, first, second;
};

// ln(x1 / x0), exact for near and for far values.
static inline double log_ratio(double x1, double x0) {
  const double step = (x1 - x0) / x0;
  return step > -0.5 ? std::log1p(step) : std::log(x1 / x0);
}

// max(nu, 0), its kink rounded off over a width: width ln(1 + exp(nu / width)).
static inline double rounded_positive(double nu, double width) {
  const double positive = nu > 0.0 ? nu : 0.0;
  return width == 0.0 ? positive : positive + width * std::log1p(std::exp(-std::fabs(nu) / width));
}

static inline Term rounded_positive_derivatives(double nu, double width) {
  if (width == 0.0) return {nu > 0.0 ? nu : 0.0, nu < 0.0 ? 0.0 : 1.0, 0.0};
  const double slope = 1.0 / (1.0 + std::exp(-nu / width));
  return {rounded_positive(nu, width), slope, slope * (1.0 - slope) / width};
}

// Poisson term of one bin, (nu - n ln nu) - (n - n ln n). Where n = 0 a negative nu counts as 0,
// with the kink rounded off over `edge`; where n > 0 a non-positive nu is infinitely unlikely.
static inline double poisson(double nu, double n, double edge) {
  if (n == 0.0) return rounded_positive(nu, edge);
  if (!(nu > 0.0)) return std::numeric_limits<double>::infinity();
  return (nu - n) - n * log_ratio(nu, n);
}

// What `poisson` leaves out: the term at its minimum, n - n ln n + lnGamma(n + 1). Stirling's
// series keeps it exact where the three are large.
static inline double poisson_minimum(double n) {
  if (n == 0.0) return 0.0;
  if (n < 20.0) return n - n * std::log(n) + std::lgamma(n + 1.0);
  const double x = 1.0 / n, x2 = x * x;
  constexpr double two_pi = 6.28318530717958647693;
  return 0.5 * std::log(two_pi * n) +
         x * (1.0 / 12.0 - x2 * (1.0 / 360.0 - x2 * (1.0 / 1260.0 - x2 * (1.0 / 1680.0))));
}

static inline Term poisson_derivatives(double nu, double n, double edge) {
  if (n == 0.0) return rounded_positive_derivatives(nu, edge);
  const double ratio = n / nu;
  return {poisson(nu, n, edge), 1.0 - ratio, ratio / nu};
}

static inline double poisson_difference(double nu1, double nu0, double n, double edge) {
  if (n == 0.0) return rounded_positive(nu1, edge) - rounded_positive(nu0, edge);
  if (!(nu1 > 0.0)) return std::numeric_limits<double>::infinity();
  if (!(nu0 > 0.0)) return -std::numeric_limits<double>::infinity();
  return (nu1 - nu0) - n * log_ratio(nu1, nu0);
}

// Gaussian constraint (a - t)^2 / (2 s^2), given 1 / s^2.
static inline Term gaussian_derivatives(double t, double a, double inverse_variance) {
  const double pull = (t - a) * inverse_variance;
  return {0.5 * pull * (t - a), pull, inverse_variance};
}

static inline double gaussian_difference(double t1, double t0, double a, double inverse_variance) {
  return (t1 - t0) * (0.5 * (t1 + t0) - a) * inverse_variance;
}

// Poisson constraint: an auxiliary measurement a of the mean tau t.
static inline double poisson_constraint(double t, double a, double tau) {
  return poisson(tau * t, a, 0.0);
}

static inline Term poisson_constraint_derivatives(double t, double a, double tau) {
  if (a == 0.0) return {tau * t, tau, 0.0};
  return {poisson_constraint(t, a, tau), tau - a / t, a / (t * t)};
}

static inline double poisson_constraint_difference(double t1, double t0, double a, double tau) {
  return tau * (t1 - t0) - (a == 0.0 ? 0.0 : a * log_ratio(t1, t0));
}

}  // namespace nextstat
