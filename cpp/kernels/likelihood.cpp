// Likelihood and gradient. Compiled once per instruction set (see kernels/kernels.h).
//
// With w_b = d nll / d nu_b = 1 - n_b / nu_b, the gradient is the sum over bins of w_b d nu_b plus
// the constraints. It is gathered backwards: first d nll / d F_s of every sample and d nll / d N of
// every cell, then each modifier's share.
#include "kernels/likelihood.h"

#include <cmath>

#include "formulas/distributions.h"
#include "kernels/yields.h"

namespace nextstat {
namespace NEXTSTAT_LEVEL {

namespace {

// Fills e.weight and e.curvature; returns the sum of the Poisson terms.
double poisson_terms(const Model& m, const Data& data, Evaluation& e) {
  double sum = 0.0;
  for (int b = 0; b < m.n_bins; ++b) {
    const Term term = poisson_derivatives(e.nu[b], data.n[b], data.edge);
    sum += term.value;
    e.weight[b] = term.first;
    e.curvature[b] = term.second;
  }
  return sum;
}

double constraint_terms(const Model& m, const Data& data, const double* theta) {
  double sum = 0.0;
  const double* __restrict a = data.center.data();
  const double* __restrict iv = m.inverse_variance.data();
#pragma omp simd reduction(+ : sum)
  for (int p = 0; p < m.n_params; ++p) sum += 0.5 * (theta[p] - a[p]) * (theta[p] - a[p]) * iv[p];
  for (int p : m.poisson_param) sum += poisson_constraint(theta[p], data.center[p], m.tau[p]);
  return data.constraint_weight * sum;
}

double constraint_gradient(const Model& m, const Data& data, const double* theta,
                           double* gradient) {
  double sum = 0.0;
  for (int p = 0; p < m.n_params; ++p) {
    const Term term = gaussian_derivatives(theta[p], data.center[p], m.inverse_variance[p]);
    sum += term.value;
    gradient[p] = data.constraint_weight * term.first;
  }
  for (int p : m.poisson_param) {
    const Term term = poisson_constraint_derivatives(theta[p], data.center[p], m.tau[p]);
    sum += term.value;
    gradient[p] = data.constraint_weight * term.first;
  }
  return data.constraint_weight * sum;
}

// e.sample_slope = d nll / d F_s and e.cell_slope = d nll / d N_sb, from e.weight.
void slopes(const Model& m, Evaluation& e) {
  for (const Channel& channel : m.channels) {
    const double* __restrict w = e.weight.data() + channel.bin;
    for (int g = channel.group; g < channel.group + channel.n_groups; ++g) {
      const Group& group = m.groups[g];
      const double* __restrict G = e.group_factor.data() + group.row;
      for (int s = group.sample; s < group.sample + group.n_samples; ++s) {
        const double* __restrict cells = e.N.data() + m.samples[s].cell;
        double* __restrict slope = e.cell_slope.data() + m.samples[s].cell;
        const double F = e.F[s];
        double sum = 0.0;
        for (int b = 0; b < channel.n_bins; ++b) {
          const double wG = w[b] * G[b];
          sum += wG * cells[b];
          slope[b] = wG * F;
        }
        e.sample_slope[s] = sum;
      }
    }
  }
}

// The gradient from e.weight and the slopes; adds to what the constraints left there.
void yields_gradient(const Model& m, const double* theta, Evaluation& e, double* gradient) {
  for (std::size_t k = 0; k < m.norm_param.size(); ++k) {
    double sum = 0.0;
    for (int i = m.norm_begin[k]; i < m.norm_begin[k + 1]; ++i) {
      const int s = m.norm_sample[i];
      sum += e.sample_slope[s] * e.F[s] * e.dlog[i];
    }
    gradient[m.norm_param[k]] += sum;
  }
  for (const Run& run : m.runs) {
    const double q1 = e.even1[run.param];
    const double* __restrict slope = e.cell_slope.data() + run.cell;
    const double* __restrict S = m.S.data() + run.offset;
    const double* __restrict A = m.A.data() + run.offset;
    double sum = 0.0;
    if (run.symmetric) {
#pragma omp simd reduction(+ : sum)
      for (int i = 0; i < run.length; ++i) sum += slope[i] * S[i];
    } else {
#pragma omp simd reduction(+ : sum)
      for (int i = 0; i < run.length; ++i) sum += slope[i] * (S[i] + q1 * A[i]);
    }
    gradient[run.param] += sum;
  }
  for (int s = 0; s < m.n_samples; ++s) {
    const Sample& sample = m.samples[s];
    for (int k = 0; k < sample.n_factors; ++k) {
      gradient[m.factor_param[sample.factor + k]] +=
          e.sample_slope[s] * e.R[s] * other_linear(m, sample, theta, k);
    }
  }
  for (const Channel& channel : m.channels) {
    for (int g = channel.group; g < channel.group + channel.n_groups; ++g) {
      const Group& group = m.groups[g];
      const double* yield = e.group_yield.data() + group.row;
      for (int f = group.factor; f < group.factor + group.n_factors; ++f) {
        for (int b = 0; b < channel.n_bins; ++b) {
          gradient[m.binwise[m.binwise_offset[f] + b]] +=
              e.weight[channel.bin + b] * yield[b] * other_factors(m, group, theta, b, f);
        }
      }
    }
  }
}

}  // namespace

double nll(const Model& m, const Data& data, const double* theta, Evaluation& e) {
  evaluate<value_only>(m, theta, e);
  double sum = 0.0;
  for (int b = 0; b < m.n_bins; ++b) sum += poisson(e.nu[b], data.n[b], data.edge);
  return sum + constraint_terms(m, data, theta) + data.constant;
}

template <Order order>
double gradient_at(const Model& m, const Data& data, const double* theta, Evaluation& e,
                   double* gradient) {
  evaluate<order>(m, theta, e);
  const double sum = poisson_terms(m, data, e) + constraint_gradient(m, data, theta, gradient);
  slopes(m, e);
  yields_gradient(m, theta, e, gradient);
  return sum + data.constant;
}

template double gradient_at<first_derivative>(const Model&, const Data&, const double*, Evaluation&,
                                              double*);
template double gradient_at<second_derivative>(const Model&, const Data&, const double*,
                                               Evaluation&, double*);

double gradient(const Model& m, const Data& data, const double* theta, Evaluation& e,
                double* gradient) {
  return gradient_at<first_derivative>(m, data, theta, e, gradient);
}

double difference(const Model& m, const Data& data, const double* theta1, const double* nu1,
                  const double* theta0, const double* nu0) {
  double sum = 0.0;
  for (int b = 0; b < m.n_bins; ++b) {
    sum += poisson_difference(nu1[b], nu0[b], data.n[b], data.edge);
  }
  const double weight = data.constraint_weight;
  for (int p = 0; p < m.n_params; ++p) {
    sum +=
        weight * gaussian_difference(theta1[p], theta0[p], data.center[p], m.inverse_variance[p]);
  }
  for (int p : m.poisson_param) {
    sum += weight * poisson_constraint_difference(theta1[p], theta0[p], data.center[p], m.tau[p]);
  }
  return sum;
}

}  // namespace NEXTSTAT_LEVEL
}  // namespace nextstat
