#include "model/model_spec.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace nextstat {

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

void require_below(const std::vector<int>& index, int bound, const char* what) {
  for (int i : index) {
    if (i < 0 || i >= bound) throw std::invalid_argument(std::string(what) + " index out of range");
  }
}

}  // namespace

SampleShape sample_shapes(const ModelSpec& spec) {
  require(spec.channel_bins.size() == spec.channel_samples.size(),
          "channel arrays differ in length");
  for (std::size_t c = 0; c < spec.channel_bins.size(); ++c) {
    require(spec.channel_bins[c] > 0 && spec.channel_samples[c] >= 0,
            "channels must have a bin at least, and no negative number of samples");
  }
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

void validate(const ModelSpec& spec) {
  const SampleShape shape = sample_shapes(spec);
  const int n_params = static_cast<int>(spec.constraint.size());
  const int n_samples = static_cast<int>(shape.channel.size());
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
    require(first >= 0 && first <= n_params - shape.n_bins[spec.binwise_sample[i]],
            "bin-wise parameter index out of range");
  }
  for (std::size_t i = 0; i < spec.norm_lo.size(); ++i) {
    require(spec.norm_lo[i] > 0.0 && spec.norm_hi[i] > 0.0, "normsys factors must be positive");
  }
  require_below(spec.constraint, 3, "constraint");
  require(spec.norm_code == NormCode::code1 || spec.norm_code == NormCode::code4,
          "unknown code of normsys interpolation");
  require(spec.histo_code == HistoCode::code0 || spec.histo_code == HistoCode::code2 ||
              spec.histo_code == HistoCode::code4p,
          "unknown code of histosys interpolation");
  for (std::size_t p = 0; p < spec.constraint.size(); ++p) {
    require(spec.constraint[p] == static_cast<int>(Constraint::none) ||
                (spec.constraint_scale[p] > 0.0 && std::isfinite(spec.constraint_scale[p])),
            "constraint widths must be positive");
  }
}

}  // namespace nextstat
