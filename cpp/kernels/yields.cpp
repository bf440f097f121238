// Expected yields (notation of model/model.h). Compiled once per instruction set (see
// kernels/kernels.h).
#include "kernels/yields.h"

#include <cmath>

#include "kernels/likelihood.h"
#include "model/residues.h"
#include "support/interrupt.h"

namespace nextstat {
namespace NEXTSTAT_LEVEL {

namespace {

// f, f'/f and f''/f of the normsys instances [begin, end) at parameter value a.
template <Order order>
void normsys(const Model& m, double a, int begin, int end, Evaluation& e) {
  double* __restrict f = e.factor.data();
  double* __restrict dlog = e.dlog.data();
  double* __restrict d2 = e.d2.data();
  if (m.spec.norm_code == NormCode::code4 && std::fabs(a) < 1.0) {
    const double* __restrict c1 = m.norm_coefficient[0].data();
    const double* __restrict c2 = m.norm_coefficient[1].data();
    const double* __restrict c3 = m.norm_coefficient[2].data();
    const double* __restrict c4 = m.norm_coefficient[3].data();
    const double* __restrict c5 = m.norm_coefficient[4].data();
    const double* __restrict c6 = m.norm_coefficient[5].data();
#pragma omp simd
    for (int i = begin; i < end; ++i) {
      const double value =
          1.0 + a * (c1[i] + a * (c2[i] + a * (c3[i] + a * (c4[i] + a * (c5[i] + a * c6[i])))));
      f[i] = value;
      if (order >= first_derivative) {
        const double slope =
            c1[i] +
            a * (2.0 * c2[i] +
                 a * (3.0 * c3[i] + a * (4.0 * c4[i] + a * (5.0 * c5[i] + a * 6.0 * c6[i]))));
        dlog[i] = slope / value;
      }
      if (order >= second_derivative) {
        const double bend =
            2.0 * c2[i] +
            a * (6.0 * c3[i] + a * (12.0 * c4[i] + a * (20.0 * c5[i] + a * 30.0 * c6[i])));
        d2[i] = bend / value;
      }
    }
    return;
  }
  const bool down = std::signbit(a);
  const double* __restrict log_side = down ? m.log_lo.data() : m.log_hi.data();
  const double sign = down ? -1.0 : 1.0;
  for (int i = begin; i < end; ++i) {
    const double rate = sign * log_side[i];
    f[i] = std::exp(a * rate);
    if (order >= first_derivative) dlog[i] = rate;
    if (order >= second_derivative) d2[i] = rate * rate;
  }
}

}  // namespace

template <Order order>
void evaluate(const Model& m, const double* theta, Evaluation& e) {
  allow_interrupt(static_cast<double>(m.n_cells + m.S.size() + m.norm_sample.size()));
  double* __restrict R = e.R.data();
  for (int s = 0; s < m.n_samples; ++s) R[s] = 1.0;
  for (std::size_t k = 0; k < m.norm_param.size(); ++k) {
    const double a = theta[m.norm_param[k]];
    const int begin = m.norm_begin[k], end = m.norm_begin[k + 1];
    if (order == value_only && a == 0.0) continue;  // f = 1
    normsys<order>(m, a, begin, end, e);
    const int* __restrict sample = m.norm_sample.data();
    const double* __restrict f = e.factor.data();
    for (int i = begin; i < end; ++i) R[sample[i]] *= f[i];
  }

  double* __restrict N = e.N.data();
  for (int i = 0; i < m.n_cells; ++i) N[i] = m.nominal[i];
  double reach = 0.0;  // largest |a|
  for (int p : m.histo_params) {
    if (std::fabs(theta[p]) > reach) reach = std::fabs(theta[p]);
    const Even<double> even = even_part(m.spec.histo_code, theta[p]);
    e.even[p] = even.value;
    e.even1[p] = even.first;
    e.even2[p] = even.second;
  }
  for (const Run& run : m.runs) {
    const double a = theta[run.param], q = e.even[run.param];
    if (a == 0.0) continue;  // q = 0 too
    double* __restrict cells = N + run.cell;
    const double* __restrict S = m.S.data() + run.offset;
    const double* __restrict A = m.A.data() + run.offset;
    if (run.symmetric) {
#pragma omp simd
      for (int i = 0; i < run.length; ++i) cells[i] += a * S[i];
    } else {
#pragma omp simd
      for (int i = 0; i < run.length; ++i) cells[i] += a * S[i] + q * A[i];
    }
  }

  if (reach > 0.0) clear_residues(m, theta, reach, e);

  for (const Channel& channel : m.channels) {
    const int bins = channel.n_bins;
    double* __restrict nu = e.nu.data() + channel.bin;
    for (int b = 0; b < bins; ++b) nu[b] = 0.0;
    for (int g = channel.group; g < channel.group + channel.n_groups; ++g) {
      const Group& group = m.groups[g];
      double* __restrict yield = e.group_yield.data() + group.row;
      double* __restrict G = e.group_factor.data() + group.row;
      for (int b = 0; b < bins; ++b) yield[b] = 0.0;
      for (int s = group.sample; s < group.sample + group.n_samples; ++s) {
        const Sample& sample = m.samples[s];
        double linear = 1.0;
        for (int k = 0; k < sample.n_factors; ++k)
          linear *= theta[m.factor_param[sample.factor + k]];
        e.L[s] = linear;
        const double F = linear * R[s];
        e.F[s] = F;
        const double* __restrict cells = N + sample.cell;
        for (int b = 0; b < bins; ++b) yield[b] += F * cells[b];
      }
      for (int b = 0; b < bins; ++b) G[b] = 1.0;
      for (int f = group.factor; f < group.factor + group.n_factors; ++f) {
        const int* __restrict param = m.binwise.data() + m.binwise_offset[f];
        for (int b = 0; b < bins; ++b) G[b] *= theta[param[b]];
      }
      for (int b = 0; b < bins; ++b) nu[b] += G[b] * yield[b];
    }
  }
}

template void evaluate<value_only>(const Model&, const double*, Evaluation&);
template void evaluate<first_derivative>(const Model&, const double*, Evaluation&);
template void evaluate<second_derivative>(const Model&, const double*, Evaluation&);

void expected(const Model& m, const double* theta, Evaluation& e) {
  evaluate<value_only>(m, theta, e);
}

}  // namespace NEXTSTAT_LEVEL
}  // namespace nextstat
