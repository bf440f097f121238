// Poisson and normal variates, as pure functions of the uniform numbers of a datum.
//
// The same everywhere: only additions, products, quotients, square roots, floor and frexp, all of
// which IEEE 754 rounds in one way, and no function of the C library that may differ in its last
// digit. Compile without contraction to fused products (-ffp-contract=off; -fmad=false on a GPU).
// What is guaranteed: the same mean, to the last bit, gives the same variates on any platform. The
// means themselves are the kernels' and may differ by rounding between instruction sets; where they
// do, a count differs with a probability of about the difference in the mean, and no other datum
// does.
#pragma once

#include <cmath>

#include "toys/random.h"

namespace nextstat {

// c[0] + c[1] x + c[2] x^2 ...
template <int n>
inline double polynomial(const double (&c)[n], double x) {
  double sum = c[n - 1];
  for (int k = n - 2; k >= 0; --k) sum = sum * x + c[k];
  return sum;
}

// ln x of a positive, normal number: ln(2^e m) = e ln 2 + 2 artanh((m - 1) / (m + 1)).
inline double natural_log(double x) {
  constexpr double ln2 = 0.693147180559945309417, sqrt_half = 0.70710678118654752440;
  constexpr double artanh[] = {2.0,        2.0 / 3.0,  2.0 / 5.0,  2.0 / 7.0,
                               2.0 / 9.0,  2.0 / 11.0, 2.0 / 13.0, 2.0 / 15.0,
                               2.0 / 17.0, 2.0 / 19.0, 2.0 / 21.0};
  int exponent;
  double m = std::frexp(x, &exponent);
  if (m < sqrt_half) {
    m *= 2.0;
    --exponent;
  }
  const double t = (m - 1.0) / (m + 1.0);
  return exponent * ln2 + t * polynomial(artanh, t * t);
}

// exp(-x) for 0 <= x < 40: 2^-k exp(-r), with the Taylor series for |r| <= ln 2 / 2.
inline double exp_minus(double x) {
  constexpr double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
  const double k = std::floor(x * 1.44269504088896340736 + 0.5);
  const double r = k * ln2_high - x + k * ln2_low;
  double sum = 1.0;
  for (int n = 14; n > 0; --n) sum = 1.0 + sum * r / n;
  return sum / static_cast<double>(std::uint64_t{1} << static_cast<int>(k));
}

// A standard normal variate: the quantile of a uniform number, to 1e-15 (Wichura, algorithm AS 241,
// Applied Statistics 37 (1988) 477).
inline double normal_quantile(double p) {
  constexpr double centre[][8] = {
      {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
       1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
       3.3430575583588128105e4, 2.5090809287301226727e3},
      {1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
       2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4,
       5.2264952788528545610e3}};
  constexpr double flank[][8] = {
      {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
       3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
       2.27238449892691845833e-2, 7.74545014278341407640e-4},
      {1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
       1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
       1.05075007164441684324e-9}};
  constexpr double tail[][8] = {
      {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
       2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
       2.71155556874348757815e-5, 2.01033439929228813265e-7},
      {1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
       7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
       2.04426310338993978564e-15}};
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(centre[0], r) / polynomial(centre[1], r);
  }
  const double r = std::sqrt(-natural_log(q < 0.0 ? p : 1.0 - p));
  const double x = r <= 5.0 ? polynomial(flank[0], r - 1.6) / polynomial(flank[1], r - 1.6)
                            : polynomial(tail[0], r - 5.0) / polynomial(tail[1], r - 5.0);
  return q < 0.0 ? -x : x;
}

// ln k! - [ln(2 pi k) / 2 + k ln k - k], k >= 1: Stirling's series, and where that is too short
// a table.
inline double stirling_rest(double k) {
  constexpr double table[] = {0.081061466795327258,  0.041340695955409294,  0.027677925684998339,
                              0.020790672103765093,  0.016644691189821192,  0.013876128823070748,
                              0.011896709945891770,  0.010411265261972096,  0.0092554621827127329,
                              0.0083305634333628713, 0.0075736754879518408, 0.0069428401072095299,
                              0.0064089941880042071, 0.0059513701127588477, 0.0055547335519628014};
  constexpr double series[] = {1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0};
  if (k < 16.0) return table[static_cast<int>(k) - 1];
  return polynomial(series, 1.0 / (k * k)) / k;
}

// k ln(k / mean) - (k - mean), k >= 1, without loss of digits where both are close (Loader, "Fast
// and accurate computation of binomial probabilities", 2000).
inline double half_deviance(double k, double mean) {
  const double excess = k - mean, t = excess / (k + mean);
  if (std::fabs(t) >= 0.1) return k * natural_log(k / mean) - excess;
  const double t2 = t * t;
  double sum = excess * t, term = 2.0 * k * t;
  for (int n = 3;; n += 2) {
    term *= t2;
    const double next = sum + term / n;
    if (next == sum) return sum;
    sum = next;
  }
}

// Counts of a mean below 10: the quantile of one uniform number, by adding probabilities up.
inline double poisson_by_inversion(double mean, double p) {
  double probability = exp_minus(mean), k = 0.0;
  while (p > probability) {
    p -= probability;
    k += 1.0;
    probability *= mean / k;
    if (k > mean && probability < 0x1p-60) break;  // what is left of p is rounding
  }
  return k;
}

// Counts of a mean of 10 or more, by transformed rejection with squeeze (algorithm PTRS of
// Hoermann, "The transformed rejection method for generating Poisson random variables",
// Insurance: Mathematics and Economics 12 (1993) 39). The integer part of the mean is kept apart:
// so the count is exact as long as doubles hold it.
inline double poisson_by_rejection(double mean, Draws& draws) {
  constexpr double two_pi = 6.28318530717958647693;
  const double whole = std::floor(mean), rest = mean - whole;
  const double b = 0.931 + 2.53 * std::sqrt(mean);
  const double a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
  const double squeeze = 0.9277 - 3.6224 / (b - 2.0);
  for (;;) {
    const Uniforms uniforms = draws.next();
    const double u = uniforms.first - 0.5, v = uniforms.second;
    const double edge = 0.5 - std::fabs(u);
    const double k = whole + std::floor((2.0 * a / edge + b) * u + rest + 0.43);
    if (edge >= 0.07 && v <= squeeze) return k;
    if (k < 0.0 || (edge < 0.013 && v > edge)) continue;
    const double ratio = v * inverse_alpha / (a / (edge * edge) + b);
    const double fall = k > 0.0 ? half_deviance(k, mean) + stirling_rest(k) : mean;
    const double root = k > 0.0 ? std::sqrt(two_pi * k) : 1.0;
    if (natural_log(ratio * root) <= -fall) return k;
  }
}

// A Poisson variate of any finite mean; 0 where it is not positive. From 2^53 on, where doubles
// leave out integers, the normal distribution with the skewness of the exact one (Cornish-Fisher):
// their distribution functions differ by 1e-16, a double's rounding.
inline double poisson_variate(double mean, Draws& draws) {
  constexpr double last_exact = 0x1p53;
  if (mean <= 0.0) return 0.0;
  if (mean < 10.0) return poisson_by_inversion(mean, draws.next().first);
  if (mean < last_exact) return poisson_by_rejection(mean, draws);
  const double z = normal_quantile(draws.next().first);
  return mean + (std::sqrt(mean) * z + (z * z - 1.0) / 6.0);
}

inline double normal_variate(Draws& draws) { return normal_quantile(draws.next().first); }

}  // namespace nextstat
