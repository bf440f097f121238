// Interpolation between the -1, 0 and +1 sigma templates of a systematic, with two derivatives.
//
// Every histosys code has the form  delta(a) = a S + q(a) A  with template rows
//   S = (hi - lo) / 2   and   A = c (hi + lo - 2 nominal),
// so that the codes differ only in the scalar q and the constant c (HistFactory note,
// CERN-OPEN-2012-016, section 4.1). The sign bit of a chooses the side at the kink of code0 and
// code1: -0.0 means the left derivative, +0.0 the right one.
#pragma once

#include <cmath>

#include "formulas/jet.h"

namespace nextstat {

enum class NormCode : int { code1 = 1, code4 = 4 };
enum class HistoCode : int { code0 = 0, code2 = 2, code4p = 4 };

static inline bool has_kink(NormCode code) { return code == NormCode::code1; }
static inline bool has_kink(HistoCode code) { return code == HistoCode::code0; }

// The even part of a histosys interpolation: q(a), q'(a), q''(a). T = double, or Jet along a line.
template <class T>
struct Even {
  T value, first, second;
};

static inline double even_scale(HistoCode code) {
  return code == HistoCode::code4p ? 1.0 / 16.0 : 1.0 / 2.0;
}

template <class T>
static inline Even<T> even_part(HistoCode code, T a) {
  const double side = std::signbit(value_of(a)) ? -1.0 : 1.0;
  const T a2 = a * a;
  const bool inside = value_of(a2) < 1.0;
  switch (code) {
    case HistoCode::code0:  // |a|
      return {a * side, side, 0.0};
    case HistoCode::code2:  // a^2, continued with its slope
      if (inside) return {a2, a * 2.0, 2.0};
      return {a * (2.0 * side) - 1.0, 2.0 * side, 0.0};
    case HistoCode::code4p:  // 15 a^2 - 10 a^4 + 3 a^6, continued as 8 |a|
      break;
  }
  if (inside) {
    return {a2 * (a2 * (a2 * 3.0 - 10.0) + 15.0), a * (a2 * (a2 * 18.0 - 40.0) + 30.0),
            a2 * (a2 * 90.0 - 120.0) + 30.0};
  }
  return {a * (8.0 * side), 8.0 * side, 0.0};
}

// The polynomial's coefficients from values, slopes and curvatures at a = +1 (up) and a = -1 (down,
// with the sign of a slope outwards), where the polynomial is 1 at 0 and `one` = 1.
static inline void match_code4(const double up[3], const double down[3], double one, double c[6]) {
  // even and odd parts of value - 1, slope and curvature at a = 1
  const double even0 = 0.5 * (up[0] + down[0]) - one, odd0 = 0.5 * (up[0] - down[0]);
  const double even1 = 0.5 * (up[1] + down[1]), odd1 = 0.5 * (up[1] - down[1]);
  const double even2 = 0.5 * (up[2] + down[2]), odd2 = 0.5 * (up[2] - down[2]);
  c[0] = (15.0 * odd0 - 7.0 * odd1 + odd2) / 8.0;
  c[2] = (-10.0 * odd0 + 10.0 * odd1 - 2.0 * odd2) / 8.0;
  c[4] = (3.0 * odd0 - 3.0 * odd1 + odd2) / 8.0;
  c[1] = (24.0 * even0 - 9.0 * even1 + even2) / 8.0;
  c[3] = (-24.0 * even0 + 14.0 * even1 - 2.0 * even2) / 8.0;
  c[5] = (8.0 * even0 - 5.0 * even1 + even2) / 8.0;
}

// Coefficients c_1..c_6 of the code4 polynomial 1 + sum_i c_i a^i on |a| < 1, which matches the
// exponentials hi^a and lo^-a in value, slope and curvature at a = +1 and a = -1.
static inline void code4_coefficients(double lo, double hi, double c[6]) {
  const double log_hi = std::log(hi), log_lo = std::log(lo);
  const double up[3] = {hi, hi * log_hi, hi * log_hi * log_hi};
  const double down[3] = {lo, lo * log_lo, lo * log_lo * log_lo};
  match_code4(up, down, 1.0, c);
}

// Their derivatives in lo and in hi.
static inline void code4_sensitivities(double lo, double hi, double c_lo[6], double c_hi[6]) {
  const double log_hi = std::log(hi), log_lo = std::log(lo);
  const double up[3] = {1.0, log_hi + 1.0, log_hi * (log_hi + 2.0)};
  const double down[3] = {1.0, log_lo + 1.0, log_lo * (log_lo + 2.0)};
  const double none[3] = {0.0, 0.0, 0.0};
  match_code4(none, down, 0.0, c_lo);
  match_code4(up, none, 0.0, c_hi);
}

}  // namespace nextstat
