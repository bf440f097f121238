#include "kernels/sensitivity.h"

#include <cmath>

#include "model/model_spec.h"

namespace nextstat {

namespace {

using std::exp;
using std::log;

// A normsys factor, its derivative in the parameter and those in its ends lo and hi.
template <class T>
struct Norm {
  T f, slope, lo, hi;
};

template <class T>
Norm<T> normsys(NormCode code, double lo, double hi, const T& a) {
  if (code == NormCode::code4 && std::fabs(value_of(a)) < 1.0) {
    double c[6], c_lo[6], c_hi[6];
    code4_coefficients(lo, hi, c);
    code4_sensitivities(lo, hi, c_lo, c_hi);
    T f(1.0), slope(0.0), by_lo(0.0), by_hi(0.0), power(1.0);
    for (int i = 0; i < 6; ++i) {
      slope += power * ((i + 1) * c[i]);
      power *= a;
      f += power * c[i];
      by_lo += power * c_lo[i];
      by_hi += power * c_hi[i];
    }
    return {f, slope, by_lo, by_hi};
  }
  const bool down = std::signbit(value_of(a));
  const double end = down ? lo : hi, rate = down ? -std::log(lo) : std::log(hi);
  const T f = exp(a * rate), in_end = a * f * ((down ? -1.0 : 1.0) / end);
  return {f, f * rate, down ? in_end : T(0.0), down ? T(0.0) : in_end};
}

// The expected events and what they are made of, see model/model.h; then, backwards, their
// derivatives.
template <class T>
class Yields {
 public:
  Yields(const ModelSpec& given, const T* params)
      : spec(given), shape(sample_shapes(given)), theta(params), n_samples(shape.cell.size()),
        factors(n_samples), binwise(n_samples), F(n_samples, T(1.0)),
        N(given.nominal.begin(), given.nominal.end()), G(given.nominal.size(), T(1.0)) {
    for (std::size_t i = 0; i < spec.norm_param.size(); ++i) {
      norms.push_back(
          normsys(spec.norm_code, spec.norm_lo[i], spec.norm_hi[i], theta[spec.norm_param[i]]));
      F[spec.norm_sample[i]] *= norms[i].f;
    }
    R = F;
    for (std::size_t i = 0; i < spec.factor_param.size(); ++i) {
      factors[spec.factor_sample[i]].push_back(spec.factor_param[i]);
      F[spec.factor_sample[i]] *= theta[spec.factor_param[i]];
    }
    for (std::size_t i = 0; i < spec.binwise_first.size(); ++i) {
      const int s = spec.binwise_sample[i];
      binwise[s].push_back(spec.binwise_first[i]);
      for (int b = 0; b < shape.n_bins[s]; ++b) {
        G[shape.cell[s] + b] *= theta[spec.binwise_first[i] + b];
      }
    }
    add_histosys();
    int bin = 0, s = 0;
    for (std::size_t c = 0; c < spec.channel_bins.size(); ++c) {
      nu.resize(bin + spec.channel_bins[c], T(0.0));
      for (int k = 0; k < spec.channel_samples[c]; ++k, ++s) {
        first_bin.push_back(bin);
        for (int b = 0; b < shape.n_bins[s]; ++b) {
          const int cell = shape.cell[s] + b;
          nu[bin + b] += F[s] * G[cell] * N[cell];
        }
      }
      bin += spec.channel_bins[c];
    }
  }

  std::vector<T> nu;  // (n_bins,)

  // Derivatives of sum_b weight_b nu_b with the weights (n_bins,) held.
  Sensitivities<T> backwards(const std::vector<T>& weight) const {
    Sensitivities<T> out;
    out.params.assign(spec.constraint.size(), T(0.0));
    out.constraint_scale = out.params;
    out.nominal.resize(spec.nominal.size());
    std::vector<T> by_factor(n_samples, T(0.0));
    for (std::size_t s = 0; s < n_samples; ++s) {
      for (int b = 0; b < shape.n_bins[s]; ++b) {
        const int cell = shape.cell[s] + b;
        const T wG = weight[first_bin[s] + b] * G[cell];
        by_factor[s] += wG * N[cell];
        out.nominal[cell] = wG * F[s];
      }
      for (std::size_t i = 0; i < factors[s].size(); ++i) {
        out.params[factors[s][i]] += by_factor[s] * others(R[s], factors[s], 0, i);
      }
      for (std::size_t i = 0; i < binwise[s].size(); ++i) {
        for (int b = 0; b < shape.n_bins[s]; ++b) {
          const T yield = weight[first_bin[s] + b] * F[s] * N[shape.cell[s] + b];
          out.params[binwise[s][i] + b] += others(yield, binwise[s], b, i);
        }
      }
    }
    for (std::size_t i = 0; i < norms.size(); ++i) {
      const int s = spec.norm_sample[i];
      const T rest = by_factor[s] * F[s] / norms[i].f;
      out.params[spec.norm_param[i]] += rest * norms[i].slope;
      out.norm_lo.push_back(rest * norms[i].lo);
      out.norm_hi.push_back(rest * norms[i].hi);
    }
    histosys_backwards(out);
    return out;
  }

 private:
  // N += a S + q(a) A with S = (hi - lo) / 2, A = c (hi + lo - 2 nominal)
  void add_histosys() {
    const double c = even_scale(spec.histo_code);
    std::size_t entry = 0;
    for (std::size_t j = 0; j < spec.histo_param.size(); ++j) {
      const int s = spec.histo_sample[j];
      const T a = theta[spec.histo_param[j]], q = even_part(spec.histo_code, a).value * c;
      for (int b = 0; b < shape.n_bins[s]; ++b, ++entry) {
        const double hi = spec.histo_hi[entry], lo = spec.histo_lo[entry];
        const double nominal = spec.nominal[shape.cell[s] + b];
        N[shape.cell[s] + b] += a * (0.5 * (hi - lo)) + q * ((hi - nominal) + (lo - nominal));
      }
    }
  }

  void histosys_backwards(Sensitivities<T>& out) const {
    const double c = even_scale(spec.histo_code);
    const std::vector<T> by_cell = out.nominal;
    std::size_t entry = 0;
    for (std::size_t j = 0; j < spec.histo_param.size(); ++j) {
      const int s = spec.histo_sample[j];
      const T a = theta[spec.histo_param[j]];
      const auto even = even_part(spec.histo_code, a);
      const T q = even.value * c, slope = even.first * c;
      for (int b = 0; b < shape.n_bins[s]; ++b, ++entry) {
        const int cell = shape.cell[s] + b;
        const double hi = spec.histo_hi[entry], lo = spec.histo_lo[entry];
        const double nominal = spec.nominal[cell];
        const T d = by_cell[cell];
        out.histo_hi.push_back(d * (q + a * 0.5));
        out.histo_lo.push_back(d * (q - a * 0.5));
        out.nominal[cell] -= d * q * 2.0;
        out.params[spec.histo_param[j]] +=
            d * (slope * ((hi - nominal) + (lo - nominal)) + T(0.5 * (hi - lo)));
      }
    }
  }

  // start times all parameters but the i-th of a list, each `offset` further on; any may be 0.
  T others(T start, const std::vector<int>& list, int offset, std::size_t i) const {
    for (std::size_t k = 0; k < list.size(); ++k) {
      if (k != i) start *= theta[list[k] + offset];
    }
    return start;
  }

  const ModelSpec& spec;
  const SampleShape shape;
  const T* theta;
  const std::size_t n_samples;
  std::vector<std::vector<int>> factors;  // normfactor and lumi parameters of each sample
  std::vector<std::vector<int>> binwise;  // first parameters of each sample's bin-wise factors
  std::vector<int> first_bin;             // (n_samples,)
  std::vector<Norm<T>> norms;             // (I,)
  std::vector<T> R, F;                    // (n_samples,) see model/model.h
  std::vector<T> N, G;                    // (cells,)
};

// Adds the constraints' part. A Gaussian one is (a - t)^2 / (2 s^2) + ln s, a Poisson one
// tau t - a ln(tau t) + constants.
template <class T>
void add_constraints(const ModelSpec& spec, const T* theta, const double* aux,
                     Sensitivities<T>& out) {
  for (std::size_t p = 0, k = 0; p < spec.constraint.size(); ++p) {
    const auto kind = static_cast<Constraint>(spec.constraint[p]);
    if (kind == Constraint::none) continue;
    const double a = aux[k++], scale = spec.constraint_scale[p];
    if (kind == Constraint::gaussian) {
      const T pull = (theta[p] - T(a)) * (1.0 / scale);
      out.params[p] += pull * (1.0 / scale);
      out.constraint_scale[p] = (T(1.0) - pull * pull) * (1.0 / scale);
      out.aux.push_back(-pull * (1.0 / scale));
    } else {
      out.params[p] += a == 0.0 ? T(scale) : T(scale) - T(a) / theta[p];
      out.constraint_scale[p] = theta[p] - T(a / scale);
      out.aux.push_back(-log(theta[p] * scale));
    }
  }
}

}  // namespace

template <class T>
Sensitivities<T> nll_sensitivities(const ModelSpec& spec, const T* theta, const double* n,
                                   const double* aux) {
  const Yields<T> yields(spec, theta);
  const std::size_t n_bins = yields.nu.size();
  std::vector<T> weight(n_bins), data(n_bins);
  for (std::size_t b = 0; b < n_bins; ++b) {
    const T& nu = yields.nu[b];
    const bool clipped =
        n[b] == 0.0 && value_of(nu) < 0.0;  // counts as 0, see formulas/distributions.h
    weight[b] = clipped ? T(0.0) : n[b] == 0.0 ? T(1.0) : T(1.0) - T(n[b]) / nu;
    data[b] = n[b] == 0.0 && value_of(nu) <= 0.0 ? T(0.0) : -log(nu);
  }
  Sensitivities<T> out = yields.backwards(weight);
  out.data = std::move(data);
  add_constraints(spec, theta, aux, out);
  return out;
}

template Sensitivities<double> nll_sensitivities(const ModelSpec&, const double*, const double*,
                                                 const double*);
template Sensitivities<Jet> nll_sensitivities(const ModelSpec&, const Jet*, const double*,
                                              const double*);

Sensitivities<double> yield_sensitivities(const ModelSpec& spec, const double* theta,
                                          const double* weight) {
  const Yields<double> yields(spec, theta);
  return yields.backwards(std::vector<double>(weight, weight + yields.nu.size()));
}

}  // namespace nextstat
