#include "model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>

#include "distributions.h"

namespace nextstat {

namespace {

// A block of second derivatives is shared by all channels that see most of the globals.
constexpr double dense_fraction = 0.6;

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

void require_below(const std::vector<int>& index, int bound, const char* what) {
  for (int i : index) {
    if (i < 0 || i >= bound) throw std::invalid_argument(std::string(what) + " index out of range");
  }
}

int total(const std::vector<int>& counts) {
  return std::accumulate(counts.begin(), counts.end(), 0);
}

// (n,) -> permutation that sorts by the given keys, stable
template <class Key>
std::vector<int> sorted_order(int n, Key key) {
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return key(i) < key(j); });
  return order;
}

// Where each of the caller's samples lives: its channel, bins and first nominal entry.
struct SampleShape {
  std::vector<int> channel, n_bins, cell;
};

SampleShape sample_shapes(const ModelSpec& spec) {
  SampleShape shape;
  int cell = 0;
  for (std::size_t c = 0; c < spec.channel_bins.size(); ++c) {
    for (int s = 0; s < spec.channel_samples[c]; ++s) {
      shape.channel.push_back(static_cast<int>(c));
      shape.n_bins.push_back(spec.channel_bins[c]);
      shape.cell.push_back(cell);
      cell += spec.channel_bins[c];
    }
  }
  return shape;
}

void validate(const ModelSpec& spec, const SampleShape& shape) {
  const int n_params = static_cast<int>(spec.constraint.size());
  const int n_samples = static_cast<int>(shape.channel.size());
  require(spec.channel_bins.size() == spec.channel_samples.size(), "channel arrays differ in length");
  int cells = 0;
  for (int bins : shape.n_bins) cells += bins;
  require(static_cast<int>(spec.nominal.size()) == cells, "nominal has the wrong length");
  require(spec.norm_param.size() == spec.norm_sample.size() &&
              spec.norm_param.size() == spec.norm_lo.size() &&
              spec.norm_param.size() == spec.norm_hi.size(),
          "normsys arrays differ in length");
  require(spec.histo_param.size() == spec.histo_sample.size(), "histosys arrays differ in length");
  require(spec.factor_param.size() == spec.factor_sample.size(), "factor arrays differ in length");
  require(spec.binwise_first.size() == spec.binwise_sample.size(),
          "bin-wise arrays differ in length");
  require(spec.constraint_scale.size() == spec.constraint.size(),
          "constraint arrays differ in length");
  require_below(spec.norm_param, n_params, "normsys parameter");
  require_below(spec.norm_sample, n_samples, "normsys sample");
  require_below(spec.histo_param, n_params, "histosys parameter");
  require_below(spec.histo_sample, n_samples, "histosys sample");
  require_below(spec.factor_param, n_params, "factor parameter");
  require_below(spec.factor_sample, n_samples, "factor sample");
  require_below(spec.binwise_sample, n_samples, "bin-wise sample");
  int template_entries = 0;
  for (int s : spec.histo_sample) template_entries += shape.n_bins[s];
  require(static_cast<int>(spec.histo_lo.size()) == template_entries &&
              static_cast<int>(spec.histo_hi.size()) == template_entries,
          "histosys templates have the wrong length");
  for (std::size_t i = 0; i < spec.binwise_first.size(); ++i) {
    const int first = spec.binwise_first[i];
    require(first >= 0 && first + shape.n_bins[spec.binwise_sample[i]] <= n_params,
            "bin-wise parameter index out of range");
  }
  for (std::size_t i = 0; i < spec.norm_lo.size(); ++i) {
    require(spec.norm_lo[i] > 0.0 && spec.norm_hi[i] > 0.0, "normsys factors must be positive");
  }
  for (std::size_t p = 0; p < spec.constraint.size(); ++p) {
    require(spec.constraint[p] == static_cast<int>(Constraint::none) ||
                (spec.constraint_scale[p] > 0.0 && std::isfinite(spec.constraint_scale[p])),
            "constraint widths must be positive");
  }
}

// S and A of one histosys instance; true if it changes anything.
bool template_rows(const ModelSpec& spec, int cell, int entry, int n_bins, std::vector<double>& S,
                   std::vector<double>& A) {
  const double scale = even_scale(spec.histo_code);
  bool acts = false;
  for (int b = 0; b < n_bins; ++b) {
    const double hi = spec.histo_hi[entry + b], lo = spec.histo_lo[entry + b];
    const double nominal = spec.nominal[cell + b];
    const double even = (hi - nominal) + (lo - nominal);
    const double rounding = 4.0 * std::numeric_limits<double>::epsilon() *
                            (std::fabs(hi) + std::fabs(lo) + 2.0 * std::fabs(nominal));
    S.push_back(0.5 * (hi - lo));
    A.push_back(std::fabs(even) <= rounding ? 0.0 : scale * even);
    acts = acts || S.back() != 0.0 || A.back() != 0.0;
  }
  return acts;
}

}  // namespace

Model::Model(ModelSpec given) : spec(std::move(given)) {
  const SampleShape shape = sample_shapes(spec);
  validate(spec, shape);
  n_params = static_cast<int>(spec.constraint.size());
  n_samples = static_cast<int>(shape.channel.size());
  n_bins = total(spec.channel_bins);
  n_cells = static_cast<int>(spec.nominal.size());

  // Samples in groups: those of a channel with the same bin-wise factors stand together.
  std::vector<std::vector<int>> factors_of(n_samples);
  for (std::size_t i = 0; i < spec.binwise_first.size(); ++i) {
    factors_of[spec.binwise_sample[i]].push_back(spec.binwise_first[i]);
  }
  for (auto& firsts : factors_of) std::sort(firsts.begin(), firsts.end());
  const std::vector<int> order = sorted_order(
      n_samples, [&](int s) { return std::make_pair(shape.channel[s], factors_of[s]); });
  sample_index.resize(n_samples);
  for (int s = 0; s < n_samples; ++s) sample_index[order[s]] = s;

  // Which bins each bin-wise parameter scales, and which parameters act at all.
  std::vector<int> bin_begin(spec.channel_bins.size() + 1, 0);
  std::partial_sum(spec.channel_bins.begin(), spec.channel_bins.end(), bin_begin.begin() + 1);
  std::vector<std::set<int>> bins_of(n_params);
  std::vector<char> is_global(n_params, 0);
  for (std::size_t i = 0; i < spec.binwise_first.size(); ++i) {
    const int s = spec.binwise_sample[i];
    for (int b = 0; b < shape.n_bins[s]; ++b) {
      bins_of[spec.binwise_first[i] + b].insert(bin_begin[shape.channel[s]] + b);
    }
  }
  for (int p = 0; p < n_params; ++p) is_global[p] = bins_of[p].size() > 1;
  for (int p : spec.factor_param) is_global[p] = 1;

  std::vector<int> norm_kept, histo_kept;
  for (std::size_t i = 0; i < spec.norm_param.size(); ++i) {
    if (spec.norm_lo[i] == 1.0 && spec.norm_hi[i] == 1.0) continue;
    norm_kept.push_back(static_cast<int>(i));
    is_global[spec.norm_param[i]] = 1;
  }
  std::vector<int> histo_entry(spec.histo_param.size());
  std::vector<double> scratch_S, scratch_A;
  for (std::size_t i = 0, entry = 0; i < spec.histo_param.size(); ++i) {
    const int s = spec.histo_sample[i];
    histo_entry[i] = static_cast<int>(entry);
    scratch_S.clear();
    scratch_A.clear();
    if (template_rows(spec, shape.cell[s], histo_entry[i], shape.n_bins[s], scratch_S, scratch_A)) {
      histo_kept.push_back(static_cast<int>(i));
      is_global[spec.histo_param[i]] = 1;
    }
    entry += shape.n_bins[s];
  }

  // Internal parameter order: globals, locals by bin, locals that act on nothing.
  const int nowhere = n_bins;
  external = sorted_order(n_params, [&](int p) {
    if (is_global[p]) return std::make_pair(0, 0);
    return std::make_pair(1, bins_of[p].empty() ? nowhere : *bins_of[p].begin());
  });
  internal.resize(n_params);
  for (int i = 0; i < n_params; ++i) internal[external[i]] = i;
  n_global = static_cast<int>(std::count(is_global.begin(), is_global.end(), 1));
  n_local = n_params - n_global;
  n_coupled = 0;
  local_block.push_back(0);
  for (int l = 0; l < n_local; ++l) {
    const auto& bins = bins_of[external[n_global + l]];
    if (!bins.empty()) ++n_coupled;
    const bool last = l + 1 == n_local;
    if (last || bins.empty() || bins_of[external[n_global + l + 1]] != bins) {
      local_block.push_back(l + 1);
    }
  }

  // Channels, groups, samples and their cells.
  int row = 0, cell = 0;
  for (std::size_t c = 0, s = 0; c < spec.channel_bins.size(); ++c) {
    Channel channel{bin_begin[c], spec.channel_bins[c], static_cast<int>(s), spec.channel_samples[c],
                    static_cast<int>(groups.size()), 0};
    const std::size_t end = s + spec.channel_samples[c];
    while (s < end) {
      const auto& firsts = factors_of[order[s]];
      Group group{static_cast<int>(s), 0, row, static_cast<int>(binwise_offset.size()),
                  static_cast<int>(firsts.size())};
      for (int first : firsts) {
        binwise_offset.push_back(static_cast<int>(binwise.size()));
        for (int b = 0; b < channel.n_bins; ++b) binwise.push_back(internal[first + b]);
      }
      for (; s < end && factors_of[order[s]] == firsts; ++s) {
        samples.push_back(Sample{cell, 0, 0, 0, 0, 0, 0});
        const int from = shape.cell[order[s]];
        nominal.insert(nominal.end(), spec.nominal.begin() + from,
                       spec.nominal.begin() + from + channel.n_bins);
        cell += channel.n_bins;
        ++group.n_samples;
      }
      row += channel.n_bins;
      groups.push_back(group);
      ++channel.n_groups;
    }
    channels.push_back(channel);
  }
  n_rows = row;

  // Multiplicative factors of each sample.
  const std::vector<int> factor_order =
      sorted_order(static_cast<int>(spec.factor_param.size()),
                   [&](int i) { return sample_index[spec.factor_sample[i]]; });
  for (int i : factor_order) {
    Sample& sample = samples[sample_index[spec.factor_sample[i]]];
    if (sample.n_factors++ == 0) sample.factor = static_cast<int>(factor_param.size());
    factor_param.push_back(internal[spec.factor_param[i]]);
  }

  // normsys instances by parameter.
  const std::vector<int> norm_order =
      sorted_order(static_cast<int>(norm_kept.size()), [&](int i) {
        return std::make_pair(internal[spec.norm_param[norm_kept[i]]],
                              sample_index[spec.norm_sample[norm_kept[i]]]);
      });
  for (int k : norm_order) {
    const int i = norm_kept[k];
    const int p = internal[spec.norm_param[i]];
    if (norm_param.empty() || norm_param.back() != p) {
      norm_param.push_back(p);
      norm_begin.push_back(static_cast<int>(norm_sample.size()));
    }
    double coefficient[6];
    code4_coefficients(spec.norm_lo[i], spec.norm_hi[i], coefficient);
    for (int j = 0; j < 6; ++j) norm_coefficient[j].push_back(coefficient[j]);
    log_hi.push_back(std::log(spec.norm_hi[i]));
    log_lo.push_back(std::log(spec.norm_lo[i]));
    norm_sample.push_back(sample_index[spec.norm_sample[i]]);
    instance_param.push_back(p);
  }
  norm_begin.push_back(static_cast<int>(norm_sample.size()));
  by_sample_norm = sorted_order(static_cast<int>(norm_sample.size()),
                                [&](int i) { return norm_sample[i]; });
  for (std::size_t k = 0; k < by_sample_norm.size(); ++k) {
    Sample& sample = samples[norm_sample[by_sample_norm[k]]];
    if (sample.n_norm++ == 0) sample.norm = static_cast<int>(k);
  }

  // histosys instances by parameter and cell, and the runs they form.
  const std::vector<int> histo_order =
      sorted_order(static_cast<int>(histo_kept.size()), [&](int i) {
        return std::make_pair(internal[spec.histo_param[histo_kept[i]]],
                              sample_index[spec.histo_sample[histo_kept[i]]]);
      });
  std::vector<int> histo_sample;
  for (int k : histo_order) {
    const int i = histo_kept[k];
    const int p = internal[spec.histo_param[i]];
    const int s = sample_index[spec.histo_sample[i]];
    const int bins = shape.n_bins[spec.histo_sample[i]];
    const int offset = static_cast<int>(S.size());
    template_rows(spec, shape.cell[spec.histo_sample[i]], histo_entry[i], bins, S, A);
    const bool symmetric = std::all_of(A.begin() + offset, A.end(), [](double a) { return a == 0.0; });
    histo_param.push_back(p);
    histo_offset.push_back(offset);
    histo_sample.push_back(s);
    if (histo_params.empty() || histo_params.back() != p) histo_params.push_back(p);
    const int first_cell = samples[s].cell;
    if (!runs.empty() && runs.back().param == p &&
        runs.back().cell + runs.back().length == first_cell) {
      runs.back().length += bins;
      runs.back().symmetric = runs.back().symmetric && symmetric;
    } else {
      runs.push_back(Run{p, first_cell, bins, offset, symmetric});
    }
  }
  by_sample_histo = sorted_order(static_cast<int>(histo_sample.size()),
                                 [&](int i) { return histo_sample[i]; });
  for (std::size_t k = 0; k < by_sample_histo.size(); ++k) {
    Sample& sample = samples[histo_sample[by_sample_histo[k]]];
    if (sample.n_histo++ == 0) sample.histo = static_cast<int>(k);
  }

  // Constraints.
  inverse_variance.assign(n_params, 0.0);
  tau.assign(n_params, 0.0);
  for (int p = 0; p < n_params; ++p) {
    const int i = internal[p];
    switch (static_cast<Constraint>(spec.constraint[p])) {
      case Constraint::none:
        continue;
      case Constraint::gaussian:
        inverse_variance[i] = 1.0 / (spec.constraint_scale[p] * spec.constraint_scale[p]);
        break;
      case Constraint::poisson:
        tau[i] = spec.constraint_scale[p];
        poisson_param.push_back(i);
        break;
    }
    aux_param.push_back(i);
  }

  // Kinks of the interpolation.
  std::set<int> kinks;
  if (has_kink(spec.norm_code)) kinks.insert(norm_param.begin(), norm_param.end());
  if (has_kink(spec.histo_code)) {
    for (const Run& run : runs) {
      if (!run.symmetric) kinks.insert(run.param);
    }
  }
  kinked.assign(kinks.begin(), kinks.end());

  // Blocks of channels for the second derivatives.
  std::vector<std::set<int>> seen(channels.size());
  for (std::size_t c = 0; c < channels.size(); ++c) {
    for (int s = channels[c].sample; s < channels[c].sample + channels[c].n_samples; ++s) {
      const Sample& sample = samples[s];
      for (int k = 0; k < sample.n_norm; ++k) {
        seen[c].insert(instance_param[by_sample_norm[sample.norm + k]]);
      }
      for (int k = 0; k < sample.n_histo; ++k) {
        seen[c].insert(histo_param[by_sample_histo[sample.histo + k]]);
      }
      for (int k = 0; k < sample.n_factors; ++k) seen[c].insert(factor_param[sample.factor + k]);
    }
    for (int g = channels[c].group; g < channels[c].group + channels[c].n_groups; ++g) {
      for (int f = groups[g].factor; f < groups[g].factor + groups[g].n_factors; ++f) {
        for (int b = 0; b < channels[c].n_bins; ++b) {
          const int p = binwise[binwise_offset[f] + b];
          if (!is_local(p)) seen[c].insert(p);
        }
      }
    }
  }
  Block dense;
  dense.globals.resize(n_global);
  std::iota(dense.globals.begin(), dense.globals.end(), 0);
  for (std::size_t c = 0; c < channels.size(); ++c) {
    if (static_cast<double>(seen[c].size()) >= dense_fraction * n_global) {
      dense.channels.push_back(static_cast<int>(c));
    } else {
      blocks.push_back(Block{{static_cast<int>(c)}, {seen[c].begin(), seen[c].end()}, {}});
    }
  }
  if (!dense.channels.empty()) blocks.push_back(dense);
  for (Block& block : blocks) {
    block.column.assign(n_global, -1);
    for (std::size_t k = 0; k < block.globals.size(); ++k) {
      block.column[block.globals[k]] = static_cast<int>(k);
    }
  }
}

Data::Data(const Model& model, const double* counts, const double* measured)
    : n(counts, counts + model.n_bins), aux(measured, measured + model.aux_param.size()), center(model.n_params, 0.0), constant(0.0) {
  constexpr double log_sqrt_2pi = 0.91893853320467274178;
  for (double count : n) {
    if (!(count >= 0.0 && std::isfinite(count))) {
      throw std::invalid_argument("data must be finite and not negative");
    }
    constant += poisson_minimum(count);
  }
  for (std::size_t k = 0; k < model.aux_param.size(); ++k) {
    const int p = model.aux_param[k];
    const double a = aux[k];
    if (!std::isfinite(a)) throw std::invalid_argument("auxdata must be finite");
    center[p] = a;
    if (model.tau[p] > 0.0) {
      if (a < 0.0) throw std::invalid_argument("auxdata of a Poisson constraint must not be negative");
      constant += poisson_minimum(a);
    } else {
      constant += log_sqrt_2pi - 0.5 * std::log(model.inverse_variance[p]);
    }
  }
}

}  // namespace nextstat
