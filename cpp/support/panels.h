// Products of large matrices, some columns at a time, so that they can be interrupted.
#pragma once

#include <Eigen/Core>
#include <algorithm>

#include "support/interrupt.h"

namespace nextstat {
namespace NEXTSTAT_LEVEL {

// f(first column, number) for panels of n columns, each of which needs so many operations; all at
// once where that takes but a moment.
template <class F>
void in_panels(Eigen::Index n, double work_per_column, F f) {
  constexpr double moment = 1.5e9;  // operations
  constexpr double narrowest = 32.0;
  const double columns = std::max(moment / std::max(work_per_column, 1.0), narrowest);
  const auto width = static_cast<Eigen::Index>(std::min(columns, static_cast<double>(n)));
  for (Eigen::Index first = 0; first < n; first += width) {
    const Eigen::Index number = std::min(width, n - first);
    allow_interrupt(work_per_column * static_cast<double>(number));
    f(first, number);
  }
}

}  // namespace NEXTSTAT_LEVEL
}  // namespace nextstat
