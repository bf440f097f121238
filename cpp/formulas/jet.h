// A number with its first two derivatives along a line. Evaluating a formula with jets
// differentiates it exactly, by the rules of Leibniz and Faa di Bruno.
#pragma once

#include <cmath>

namespace nextstat {

struct Jet {
  double f = 0.0, d = 0.0, dd = 0.0;

  Jet() = default;
  Jet(double value) : f(value) {}  // a constant: implicit, so that formulas read as with doubles
  Jet(double value, double first, double second) : f(value), d(first), dd(second) {}

  Jet& operator+=(const Jet& x) { return *this = Jet(f + x.f, d + x.d, dd + x.dd); }
  Jet& operator-=(const Jet& x) { return *this = Jet(f - x.f, d - x.d, dd - x.dd); }
  Jet& operator*=(const Jet& x) {
    return *this = Jet(f * x.f, d * x.f + f * x.d, dd * x.f + 2.0 * d * x.d + f * x.dd);
  }
};

// g(x) for a function with the derivatives g1, g2 at x.
static inline Jet chain(const Jet& x, double g, double g1, double g2) {
  return Jet(g, g1 * x.d, g2 * x.d * x.d + g1 * x.dd);
}

static inline Jet operator+(Jet x, const Jet& y) { return x += y; }
static inline Jet operator-(Jet x, const Jet& y) { return x -= y; }
static inline Jet operator*(Jet x, const Jet& y) { return x *= y; }
static inline Jet operator-(const Jet& x) { return Jet(-x.f, -x.d, -x.dd); }

static inline Jet inverse(const Jet& x) {
  const double r = 1.0 / x.f;
  return chain(x, r, -r * r, 2.0 * r * r * r);
}
static inline Jet operator/(const Jet& x, const Jet& y) { return x * inverse(y); }

static inline Jet exp(const Jet& x) {
  const double e = std::exp(x.f);
  return chain(x, e, e, e);
}
static inline Jet log(const Jet& x) {
  return chain(x, std::log(x.f), 1.0 / x.f, -1.0 / (x.f * x.f));
}

static inline double value_of(double x) { return x; }
static inline double value_of(const Jet& x) { return x.f; }

}  // namespace nextstat
