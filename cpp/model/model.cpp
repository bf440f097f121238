#include "model/model.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "model/folded.h"
#include "model/model_spec.h"
#include "model/residues.h"

namespace nextstat {

namespace {

constexpr std::size_t max_bent = 12;  // parameters that every fit may look beyond

std::atomic<std::uint64_t> n_models{0};

// A block of second derivatives is shared by all channels that see most of the globals.
constexpr double dense_fraction = 0.6;

int total(const std::vector<int>& n) { return std::accumulate(n.begin(), n.end(), 0); }

// (n,) -> permutation that sorts by the given keys, stable
template <class Key>
std::vector<int> sorted_order(int n, Key key) {
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return key(i) < key(j); });
  return order;
}

// S and A of one histosys instance; true if it changes anything.
bool template_rows(const ModelSpec& spec, int cell, int entry, int n_bins, Doubles& S, Doubles& A) {
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

// Fills a model from its spec, one part after the other.
class Builder {
 public:
  explicit Builder(Model& model) : m(model), spec(model.spec), shape(sample_shapes(model.spec)) {}

  void build() {
    validate(spec);
    m.n_params = static_cast<int>(spec.constraint.size());
    m.n_samples = static_cast<int>(shape.channel.size());
    m.n_bins = total(spec.channel_bins);
    m.n_cells = static_cast<int>(spec.nominal.size());
    bin_begin.assign(spec.channel_bins.size() + 1, 0);
    std::partial_sum(spec.channel_bins.begin(), spec.channel_bins.end(), bin_begin.begin() + 1);
    order_samples();
    find_active();
    order_parameters();
    lay_out_channels();
    add_factors();
    add_normsys();
    add_histosys();
    find_touched();
    add_constraints();
    find_kinks();
    find_bends();
    group_channels();
    m.emptiable = find_emptiable(m);
  }

 private:
  void find_bends() {
    const Folds folds = find_folds(spec);
    for (int p : folds.folded) m.folded.push_back(m.internal[p]);
    m.bend.resize(m.n_params);
    for (int p = 0; p < m.n_params; ++p) m.bend[m.internal[p]] = folds.bend[p];
    for (int p = 0; p < m.n_params; ++p) {
      if (m.bend[p] > 0.0) m.most_bent.push_back(p);
    }
    std::stable_sort(m.most_bent.begin(), m.most_bent.end(),
                     [this](int p, int q) { return m.bend[p] > m.bend[q]; });
    const std::size_t most = std::max<std::size_t>(max_bent, m.folded.size());
    if (m.most_bent.size() > most) m.most_bent.resize(most);
  }

  // Samples of a channel with the same bin-wise factors stand together.
  void order_samples() {
    factors_of.resize(m.n_samples);
    for (std::size_t i = 0; i < spec.binwise_first.size(); ++i) {
      factors_of[spec.binwise_sample[i]].push_back(spec.binwise_first[i]);
    }
    for (auto& firsts : factors_of) std::sort(firsts.begin(), firsts.end());
    sample_order = sorted_order(
        m.n_samples, [&](int s) { return std::make_pair(shape.channel[s], factors_of[s]); });
    m.sample_index.resize(m.n_samples);
    for (int s = 0; s < m.n_samples; ++s) m.sample_index[sample_order[s]] = s;
  }

  // Which bins each bin-wise parameter scales, which modifiers do something, and which parameters
  // are global therefore.
  void find_active() {
    bins_of.resize(m.n_params);
    is_global.assign(m.n_params, 0);
    for (std::size_t i = 0; i < spec.binwise_first.size(); ++i) {
      const int s = spec.binwise_sample[i];
      for (int b = 0; b < shape.n_bins[s]; ++b) {
        bins_of[spec.binwise_first[i] + b].insert(bin_begin[shape.channel[s]] + b);
      }
    }
    for (int p = 0; p < m.n_params; ++p) is_global[p] = bins_of[p].size() > 1;
    for (int p : spec.factor_param) is_global[p] = 1;
    for (std::size_t i = 0; i < spec.norm_param.size(); ++i) {
      if (spec.norm_lo[i] == 1.0 && spec.norm_hi[i] == 1.0) continue;
      active_norm.push_back(static_cast<int>(i));
      is_global[spec.norm_param[i]] = 1;
    }
    Doubles S, A;
    int entry = 0;
    for (std::size_t i = 0; i < spec.histo_param.size(); ++i) {
      const int s = spec.histo_sample[i];
      histo_entry.push_back(entry);
      S.clear();
      A.clear();
      if (template_rows(spec, shape.cell[s], entry, shape.n_bins[s], S, A)) {
        active_histo.push_back(static_cast<int>(i));
        is_global[spec.histo_param[i]] = 1;
      }
      entry += shape.n_bins[s];
    }
  }

  // Globals, then locals by bin, then locals that act on nothing.
  void order_parameters() {
    const int nowhere = m.n_bins;
    m.external = sorted_order(m.n_params, [&](int p) {
      if (is_global[p]) return std::make_pair(0, 0);
      return std::make_pair(1, bins_of[p].empty() ? nowhere : *bins_of[p].begin());
    });
    m.internal.resize(m.n_params);
    for (int i = 0; i < m.n_params; ++i) m.internal[m.external[i]] = i;
    m.n_global = static_cast<int>(std::count(is_global.begin(), is_global.end(), 1));
    m.n_local = m.n_params - m.n_global;
    m.n_coupled = 0;
    m.local_block.push_back(0);
    for (int l = 0; l < m.n_local; ++l) {
      const auto& bins = bins_of[m.external[m.n_global + l]];
      if (!bins.empty()) ++m.n_coupled;
      const bool last = l + 1 == m.n_local;
      if (last || bins.empty() || bins_of[m.external[m.n_global + l + 1]] != bins) {
        m.local_block.push_back(l + 1);
      }
    }
  }

  void lay_out_channels() {
    m.n_rows = 0;
    int s = 0;
    for (std::size_t c = 0; c < spec.channel_bins.size(); ++c) {
      Channel channel{bin_begin[c],
                      spec.channel_bins[c],
                      s,
                      spec.channel_samples[c],
                      static_cast<int>(m.groups.size()),
                      0};
      const int end = s + spec.channel_samples[c];
      while (s < end) {
        s = add_group(channel, s, end);
        ++channel.n_groups;
      }
      m.channels.push_back(channel);
    }
  }

  // The group that starts with sample s; returns the first sample after it.
  int add_group(const Channel& channel, int s, int end) {
    const auto& firsts = factors_of[sample_order[s]];
    Group group{s, 0, m.n_rows, static_cast<int>(m.binwise_offset.size()),
                static_cast<int>(firsts.size())};
    for (int first : firsts) {
      m.binwise_offset.push_back(static_cast<int>(m.binwise.size()));
      for (int b = 0; b < channel.n_bins; ++b) m.binwise.push_back(m.internal[first + b]);
    }
    for (; s < end && factors_of[sample_order[s]] == firsts; ++s) {
      m.samples.push_back(Sample{static_cast<int>(m.nominal.size()), 0, 0, 0, 0, 0, 0, 0, 0});
      const auto from = spec.nominal.begin() + shape.cell[sample_order[s]];
      m.nominal.insert(m.nominal.end(), from, from + channel.n_bins);
      ++group.n_samples;
    }
    m.n_rows += channel.n_bins;
    m.groups.push_back(group);
    return s;
  }

  void add_factors() {
    const auto order = sorted_order(static_cast<int>(spec.factor_param.size()),
                                    [&](int i) { return m.sample_index[spec.factor_sample[i]]; });
    for (int i : order) {
      Sample& sample = m.samples[m.sample_index[spec.factor_sample[i]]];
      if (sample.n_factors++ == 0) sample.factor = static_cast<int>(m.factor_param.size());
      m.factor_param.push_back(m.internal[spec.factor_param[i]]);
    }
  }

  void add_normsys() {
    const auto order = sorted_order(static_cast<int>(active_norm.size()), [&](int k) {
      const int i = active_norm[k];
      return std::make_pair(m.internal[spec.norm_param[i]], m.sample_index[spec.norm_sample[i]]);
    });
    for (int k : order) {
      const int i = active_norm[k];
      const int p = m.internal[spec.norm_param[i]];
      if (m.norm_param.empty() || m.norm_param.back() != p) {
        m.norm_param.push_back(p);
        m.norm_begin.push_back(static_cast<int>(m.norm_sample.size()));
      }
      double coefficient[6];
      code4_coefficients(spec.norm_lo[i], spec.norm_hi[i], coefficient);
      for (int j = 0; j < 6; ++j) m.norm_coefficient[j].push_back(coefficient[j]);
      m.log_hi.push_back(std::log(spec.norm_hi[i]));
      m.log_lo.push_back(std::log(spec.norm_lo[i]));
      m.norm_sample.push_back(m.sample_index[spec.norm_sample[i]]);
      m.instance_param.push_back(p);
    }
    m.norm_begin.push_back(static_cast<int>(m.norm_sample.size()));
    m.by_sample_norm = sorted_order(static_cast<int>(m.norm_sample.size()),
                                    [&](int i) { return m.norm_sample[i]; });
    for (std::size_t k = 0; k < m.by_sample_norm.size(); ++k) {
      Sample& sample = m.samples[m.norm_sample[m.by_sample_norm[k]]];
      if (sample.n_norm++ == 0) sample.norm = static_cast<int>(k);
    }
  }

  void add_histosys() {
    const auto order = sorted_order(static_cast<int>(active_histo.size()), [&](int k) {
      const int i = active_histo[k];
      return std::make_pair(m.internal[spec.histo_param[i]], m.sample_index[spec.histo_sample[i]]);
    });
    std::vector<int> sample_of;
    for (int k : order) {
      const int i = active_histo[k];
      const int p = m.internal[spec.histo_param[i]], from = spec.histo_sample[i];
      const int offset = static_cast<int>(m.S.size());
      template_rows(spec, shape.cell[from], histo_entry[i], shape.n_bins[from], m.S, m.A);
      m.histo_param.push_back(p);
      m.histo_offset.push_back(offset);
      if (m.histo_params.empty() || m.histo_params.back() != p) m.histo_params.push_back(p);
      sample_of.push_back(m.sample_index[from]);
      extend_runs(p, m.samples[sample_of.back()].cell, shape.n_bins[from], offset);
    }
    m.by_sample_histo =
        sorted_order(static_cast<int>(sample_of.size()), [&](int i) { return sample_of[i]; });
    for (std::size_t k = 0; k < m.by_sample_histo.size(); ++k) {
      Sample& sample = m.samples[sample_of[m.by_sample_histo[k]]];
      if (sample.n_histo++ == 0) sample.histo = static_cast<int>(k);
    }
  }

  void extend_runs(int param, int cell, int length, int offset) {
    const bool symmetric =
        std::all_of(m.A.begin() + offset, m.A.end(), [](double a) { return a == 0.0; });
    if (!m.runs.empty() && m.runs.back().param == param &&
        m.runs.back().cell + m.runs.back().length == cell) {
      m.runs.back().length += length;
      m.runs.back().symmetric = m.runs.back().symmetric && symmetric;
    } else {
      m.runs.push_back(Run{param, cell, length, offset, symmetric});
    }
  }

  // What each sample's second derivatives involve.
  void find_touched() {
    m.norm_slot.resize(m.by_sample_norm.size());
    m.histo_slot.resize(m.by_sample_histo.size());
    for (Sample& sample : m.samples) {
      std::set<int> used;
      for (int k = sample.norm; k < sample.norm + sample.n_norm; ++k) used.insert(norm_at(k));
      for (int k = sample.histo; k < sample.histo + sample.n_histo; ++k) used.insert(histo_at(k));
      sample.touched = static_cast<int>(m.touched.size());
      sample.n_touched = static_cast<int>(used.size());
      m.touched.insert(m.touched.end(), used.begin(), used.end());
      const auto slot = [&](int param) {
        const auto first = m.touched.begin() + sample.touched;
        return static_cast<int>(std::lower_bound(first, m.touched.end(), param) - first);
      };
      for (int k = sample.norm; k < sample.norm + sample.n_norm; ++k) {
        m.norm_slot[k] = slot(norm_at(k));
      }
      for (int k = sample.histo; k < sample.histo + sample.n_histo; ++k) {
        m.histo_slot[k] = slot(histo_at(k));
      }
    }
  }

  int norm_at(int k) const { return m.instance_param[m.by_sample_norm[k]]; }
  int histo_at(int k) const { return m.histo_param[m.by_sample_histo[k]]; }

  void add_constraints() {
    m.inverse_variance.assign(m.n_params, 0.0);
    m.tau.assign(m.n_params, 0.0);
    for (int p = 0; p < m.n_params; ++p) {
      const int i = m.internal[p];
      const double scale = spec.constraint_scale[p];
      switch (static_cast<Constraint>(spec.constraint[p])) {
        case Constraint::none:
          continue;
        case Constraint::gaussian:
          m.inverse_variance[i] = 1.0 / (scale * scale);
          break;
        case Constraint::poisson:
          m.tau[i] = scale;
          m.poisson_param.push_back(i);
          break;
      }
      m.aux_param.push_back(i);
    }
  }

  void find_kinks() {
    std::set<int> kinks;
    if (has_kink(spec.norm_code)) kinks.insert(m.norm_param.begin(), m.norm_param.end());
    if (has_kink(spec.histo_code)) {
      for (const Run& run : m.runs) {
        if (!run.symmetric) kinks.insert(run.param);
      }
    }
    m.kinked.assign(kinks.begin(), kinks.end());
  }

  // One block for all channels that see most globals, one for each other channel.
  void group_channels() {
    Block dense;
    dense.globals.resize(m.n_global);
    std::iota(dense.globals.begin(), dense.globals.end(), 0);
    for (std::size_t c = 0; c < m.channels.size(); ++c) {
      const std::set<int> seen = globals_of(m.channels[c]);
      if (static_cast<double>(seen.size()) >= dense_fraction * m.n_global) {
        dense.channels.push_back(static_cast<int>(c));
      } else {
        m.blocks.push_back(Block{{static_cast<int>(c)}, {seen.begin(), seen.end()}, {}});
      }
    }
    if (!dense.channels.empty()) m.blocks.push_back(dense);
    for (Block& block : m.blocks) {
      block.column.assign(m.n_global, -1);
      for (std::size_t k = 0; k < block.globals.size(); ++k) {
        block.column[block.globals[k]] = static_cast<int>(k);
      }
    }
  }

  std::set<int> globals_of(const Channel& channel) const {
    std::set<int> seen;
    for (int s = channel.sample; s < channel.sample + channel.n_samples; ++s) {
      const Sample& sample = m.samples[s];
      const auto first = m.touched.begin() + sample.touched;
      seen.insert(first, first + sample.n_touched);
      for (int k = 0; k < sample.n_factors; ++k) seen.insert(m.factor_param[sample.factor + k]);
    }
    for (int g = channel.group; g < channel.group + channel.n_groups; ++g) {
      const Group& group = m.groups[g];
      for (int f = group.factor; f < group.factor + group.n_factors; ++f) {
        for (int b = 0; b < channel.n_bins; ++b) {
          const int p = m.binwise[m.binwise_offset[f] + b];
          if (!m.is_local(p)) seen.insert(p);
        }
      }
    }
    return seen;
  }

  Model& m;
  const ModelSpec& spec;
  const SampleShape shape;
  std::vector<int> bin_begin;                // (C + 1,)
  std::vector<std::vector<int>> factors_of;  // first parameters of each of the caller's samples
  std::vector<int> sample_order;             // internal -> the caller's samples
  std::vector<std::set<int>> bins_of;        // bins a bin-wise parameter scales
  std::vector<char> is_global;
  std::vector<int> active_norm, active_histo;  // modifiers that do something
  std::vector<int> histo_entry;                // first template entry of each histosys
};

}  // namespace

Model::Model(ModelSpec given) : serial(++n_models), spec(std::move(given)) {
  Builder(*this).build();
}

}  // namespace nextstat
