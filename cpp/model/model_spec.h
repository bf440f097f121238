// Checks on a spec, and where its samples live.
#pragma once

#include "model/model.h"

namespace nextstat {

// Where each of the caller's samples lives: its channel, bins and first nominal entry.
struct SampleShape {
  std::vector<int> channel, n_bins, cell;
};

SampleShape sample_shapes(const ModelSpec& spec);

// Throws std::invalid_argument if arrays do not fit together or numbers are impossible.
void validate(const ModelSpec& spec);

}  // namespace nextstat
