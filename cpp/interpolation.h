// Interpolation between the -1, 0 and +1 sigma templates of a systematic, with two derivatives.
//
// Every histosys code has the form  delta(a) = a S + q(a) A  with template rows
//   S = (hi - lo) / 2   and   A = c (hi + lo - 2 nominal),
// so that the codes differ only in the scalar q and the constant c (HistFactory note,
// CERN-OPEN-2012-016, section 4.1). The sign bit of a chooses the side at the kink of code0 and
// code1: -0.0 means the left derivative, +0.0 the right one.
#pragma once

#include <cmath>

namespace nextstat {

enum class NormCode : int { code1 = 1, code4 = 4 };
enum class HistoCode : int { code0 = 0, code2 = 2, code4p = 4 };

static inline bool has_kink(NormCode code) { return code == NormCode::code1; }
static inline bool has_kink(HistoCode code) { return code == HistoCode::code0; }

// The even part of a histosys interpolation: q(a), q'(a), q''(a).
struct Even {
  double value, first, second;
};

static inline double even_scale(HistoCode code) {
  return code == HistoCode::code4p ? 1.0 / 16.0 : 1.0 / 2.0;
}

static inline Even even_part(HistoCode code, double a) {
  const double side = std::signbit(a) ? -1.0 : 1.0;
  const double a2 = a * a;
  const bool inside = a2 < 1.0;
  switch (code) {
    case HistoCode::code0:  // |a|
      return {side * a, side, 0.0};
    case HistoCode::code2:  // a^2, continued with its slope
      if (inside) return {a2, 2.0 * a, 2.0};
      return {2.0 * side * a - 1.0, 2.0 * side, 0.0};
    case HistoCode::code4p:  // 15 a^2 - 10 a^4 + 3 a^6, continued as 8 |a|
      break;
  }
  if (inside) {
    return {a2 * (15.0 + a2 * (-10.0 + 3.0 * a2)), a * (30.0 + a2 * (-40.0 + 18.0 * a2)),
            30.0 + a2 * (-120.0 + 90.0 * a2)};
  }
  return {8.0 * side * a, 8.0 * side, 0.0};
}

// Coefficients c_1..c_6 of the code4 polynomial 1 + sum_i c_i a^i on |a| < 1, which matches the
// exponentials hi^a and lo^-a in value, slope and curvature at a = +1 and a = -1.
static inline void code4_coefficients(double lo, double hi, double c[6]) {
  const double log_hi = std::log(hi), log_lo = std::log(lo);
  // even and odd parts of value - 1, slope and curvature at a = 1
  const double even0 = 0.5 * (hi + lo) - 1.0, odd0 = 0.5 * (hi - lo);
  const double up1 = hi * log_hi, down1 = lo * log_lo;
  const double even1 = 0.5 * (up1 + down1), odd1 = 0.5 * (up1 - down1);
  const double up2 = up1 * log_hi, down2 = down1 * log_lo;
  const double even2 = 0.5 * (up2 + down2), odd2 = 0.5 * (up2 - down2);
  c[0] = (15.0 * odd0 - 7.0 * odd1 + odd2) / 8.0;
  c[2] = (-10.0 * odd0 + 10.0 * odd1 - 2.0 * odd2) / 8.0;
  c[4] = (3.0 * odd0 - 3.0 * odd1 + odd2) / 8.0;
  c[1] = (24.0 * even0 - 9.0 * even1 + even2) / 8.0;
  c[3] = (-24.0 * even0 + 14.0 * even1 - 2.0 * even2) / 8.0;
  c[5] = (8.0 * even0 - 5.0 * even1 + even2) / 8.0;
}

}  // namespace nextstat
