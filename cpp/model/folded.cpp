#include "model/folded.h"

#include <algorithm>
#include <cmath>

#include "model/model_spec.h"

namespace nextstat {

namespace {

constexpr double noticed = 0.2;  // in statistical errors

// Both variations of the expectation by one parameter, and the expectation. (n_bins,) each
struct Variations {
  explicit Variations(int n_bins) : up(n_bins), down(n_bins) {}

  void add(int b, double to_up, double to_down) {
    if (to_up == 0.0 && to_down == 0.0) return;
    if (up[b] == 0.0 && down[b] == 0.0) touched.push_back(b);
    up[b] += to_up;
    down[b] += to_down;
  }

  void clear() {
    for (int b : touched) up[b] = down[b] = 0.0;
    touched.clear();
  }

  // What both have in common, in statistical errors of the expectation.
  double fold(const Doubles& expected) const {
    double sum = 0.0;
    for (int b : touched) {
      if (up[b] * down[b] <= 0.0) continue;
      const double common = std::min(std::fabs(up[b]), std::fabs(down[b]));
      sum += common * common / std::max(expected[b], common);
    }
    return std::sqrt(sum);
  }

  // How far their mean is from none, in the same.
  double bend(const Doubles& expected) const {
    double sum = 0.0;
    for (int b : touched) {
      const double mean = 0.5 * std::fabs(up[b] + down[b]);
      if (mean > 0.0) sum += mean * mean / std::max(expected[b], mean);
    }
    return std::sqrt(sum);
  }

  Doubles up, down;
  std::vector<int> touched;
};

}  // namespace

Folds find_folds(const ModelSpec& spec) {
  const SampleShape shape = sample_shapes(spec);
  const std::size_t n_params = spec.constraint.size();
  std::vector<int> bin_begin, entry_begin;
  int n_bins = 0, n_entries = 0;
  for (int n : spec.channel_bins) {
    bin_begin.push_back(n_bins);
    n_bins += n;
  }
  std::vector<std::vector<int>> norms(n_params), histos(n_params);
  for (std::size_t i = 0; i < spec.norm_param.size(); ++i) {
    norms[spec.norm_param[i]].push_back(static_cast<int>(i));
  }
  for (std::size_t i = 0; i < spec.histo_param.size(); ++i) {
    histos[spec.histo_param[i]].push_back(static_cast<int>(i));
    entry_begin.push_back(n_entries);
    n_entries += shape.n_bins[spec.histo_sample[i]];
  }
  Doubles expected(n_bins);
  // f(bin, nominal yield, k) for each bin k of a sample
  const auto each_bin = [&](int s, auto f) {
    const int bin = bin_begin[shape.channel[s]], cell = shape.cell[s];
    for (int k = 0; k < shape.n_bins[s]; ++k) f(bin + k, spec.nominal[cell + k], k);
  };
  for (std::size_t s = 0; s < shape.channel.size(); ++s) {
    each_bin(static_cast<int>(s), [&](int b, double nominal, int) { expected[b] += nominal; });
  }
  Folds found;
  found.bend.resize(n_params);
  Variations variations(n_bins);
  for (std::size_t p = 0; p < n_params; ++p) {
    if (norms[p].empty() && histos[p].empty()) continue;
    variations.clear();
    for (int i : norms[p]) {
      each_bin(spec.norm_sample[i], [&](int b, double nominal, int) {
        variations.add(b, nominal * (spec.norm_hi[i] - 1.0), nominal * (spec.norm_lo[i] - 1.0));
      });
    }
    for (int i : histos[p]) {
      each_bin(spec.histo_sample[i], [&](int b, double nominal, int k) {
        const int entry = entry_begin[i] + k;
        variations.add(b, spec.histo_hi[entry] - nominal, spec.histo_lo[entry] - nominal);
      });
    }
    if (variations.fold(expected) > noticed) found.folded.push_back(static_cast<int>(p));
    found.bend[p] = variations.bend(expected);
  }
  return found;
}

}  // namespace nextstat
