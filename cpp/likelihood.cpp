// Likelihood, gradient and Hessian. Compiled once per instruction set (see kernels.h).
//
// Notation of model.h. With w_b = d nll/d nu_b = 1 - n_b/nu_b and W_b = n_b/nu_b^2:
//   gradient   g_i = sum_b w_b J_bi,                       J_bi = d nu_b / d theta_i
//   Hessian    H   = J^T W J + sum_b w_b d2 nu_b + constraints.
// The second term costs one rank-two update per sample instead of one per bin: with the
// log-derivatives d_i = (d F/d theta_i) / F of the normsys, c_k = sum_b w_b G_b F (S + q' A)_kb of
// the histosys and s = sum_b w_b G_b F N_b, a sample adds
//   d u^T + u d^T  with  u = c + s d / 2,
// plus diagonal terms. Linear factors (normfactor, lumi, bin-wise) may be exactly zero, so their
// derivatives are products of the *other* factors, never quotients.
#include "likelihood.h"

#include <Eigen/Core>
#include <cmath>

#include "distributions.h"

namespace nextstat {
namespace NEXTSTAT_LEVEL {

namespace {

using Matrix = Eigen::MatrixXd;
using MatrixMap = Eigen::Map<Matrix>;

void fill_zero(double* x, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) x[i] = 0.0;
}

enum Order : int { value_only = 0, first_derivative = 1, second_derivative = 2 };

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
            c1[i] + a * (2.0 * c2[i] +
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

// Fills e.R, L, F, N, group_factor, group_yield, nu.
template <Order order>
void evaluate(const Model& m, const double* theta, Evaluation& e) {
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
  for (int p : m.histo_params) {
    const Even even = even_part(m.spec.histo_code, theta[p]);
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
        for (int k = 0; k < sample.n_factors; ++k) linear *= theta[m.factor_param[sample.factor + k]];
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

// Fills e.weight and e.curvature; returns the sum of the Poisson terms.
double poisson_terms(const Model& m, const Data& data, Evaluation& e) {
  double sum = 0.0;
  for (int b = 0; b < m.n_bins; ++b) {
    const Term term = poisson_derivatives(e.nu[b], data.n[b]);
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
  return sum;
}

double constraint_gradient(const Model& m, const Data& data, const double* theta, double* gradient) {
  double sum = 0.0;
  for (int p = 0; p < m.n_params; ++p) {
    const Term term = gaussian_derivatives(theta[p], data.center[p], m.inverse_variance[p]);
    sum += term.value;
    gradient[p] = term.first;
  }
  for (int p : m.poisson_param) {
    const Term term = poisson_constraint_derivatives(theta[p], data.center[p], m.tau[p]);
    sum += term.value;
    gradient[p] = term.first;
  }
  return sum;
}

// Product of the bin-wise factors of a group in bin b, leaving out rows `skip` and `skip2`.
double other_factors(const Model& m, const Group& group, const double* theta, int b, int skip,
                     int skip2 = -1) {
  double product = 1.0;
  for (int f = group.factor; f < group.factor + group.n_factors; ++f) {
    if (f != skip && f != skip2) product *= theta[m.binwise[m.binwise_offset[f] + b]];
  }
  return product;
}

// Product of the linear factors of a sample, leaving out positions `skip` and `skip2`.
double other_linear(const Model& m, const Sample& sample, const double* theta, int skip,
                    int skip2 = -1) {
  double product = 1.0;
  for (int k = 0; k < sample.n_factors; ++k) {
    if (k != skip && k != skip2) product *= theta[m.factor_param[sample.factor + k]];
  }
  return product;
}

// e.sample_slope = d nll/d F_s, e.cell_slope = d nll/d N_sb (without the linear factors if
// `without_linear`), from e.weight.
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

void expected(const Model& m, const double* theta, Evaluation& e) {
  evaluate<value_only>(m, theta, e);
}

double nll(const Model& m, const Data& data, const double* theta, Evaluation& e) {
  evaluate<value_only>(m, theta, e);
  double sum = 0.0;
  for (int b = 0; b < m.n_bins; ++b) sum += poisson(e.nu[b], data.n[b]);
  return sum + constraint_terms(m, data, theta) + data.constant;
}

double gradient(const Model& m, const Data& data, const double* theta, Evaluation& e,
                double* gradient) {
  evaluate<first_derivative>(m, theta, e);
  const double sum = poisson_terms(m, data, e) + constraint_gradient(m, data, theta, gradient);
  slopes(m, e);
  yields_gradient(m, theta, e, gradient);
  return sum + data.constant;
}

double difference(const Model& m, const Data& data, const double* theta1, const double* nu1,
                  const double* theta0, const double* nu0) {
  double sum = 0.0;
  for (int b = 0; b < m.n_bins; ++b) sum += poisson_difference(nu1[b], nu0[b], data.n[b]);
  for (int p = 0; p < m.n_params; ++p) {
    sum += gaussian_difference(theta1[p], theta0[p], data.center[p], m.inverse_variance[p]);
  }
  for (int p : m.poisson_param) {
    sum += poisson_constraint_difference(theta1[p], theta0[p], data.center[p], m.tau[p]);
  }
  return sum;
}

namespace {

// Second derivatives over one block of channels. Column indices refer to block.globals.
class BlockHessian {
 public:
  BlockHessian(const Model& model, const double* parameters, Evaluation& evaluation,
               const ArrowShape& arrow_shape, const Block& channel_block, Arrow& hessian)
      : m(model), theta(parameters), e(evaluation), shape(arrow_shape), block(channel_block),
        H(hessian), columns(static_cast<int>(channel_block.globals.size())) {}

  void accumulate() {
    for (int c : block.channels) add_channel(m.channels[c]);
    add_products();
  }

 private:
  void add_channel(const Channel& channel) {
    const std::size_t size = static_cast<std::size_t>(columns) * channel.n_bins;
    fill_zero(e.J.data(), size);
    for (int g = channel.group; g < channel.group + channel.n_groups; ++g) {
      const Group& group = m.groups[g];
      fill_zero(e.J_group.data(), size);
      for (int s = group.sample; s < group.sample + group.n_samples; ++s) add_sample(channel, group, s);
      add_binwise(channel, group);
    }
    add_fisher(channel);
  }

  // d/d theta_i of sum_s F_s N_sb into J_group (bins, columns), the rank-two rows into X and Y,
  // and the entries of the linear factors.
  void add_sample(const Channel& channel, const Group& group, int s) {
    const Sample& sample = m.samples[s];
    const int bins = channel.n_bins;
    const double F = e.F[s], R = e.R[s];
    const double* __restrict cells = e.N.data() + sample.cell;
    const double* __restrict slope = e.cell_slope.data() + sample.cell;
    const double* __restrict w = e.weight.data() + channel.bin;
    const double* __restrict G = e.group_factor.data() + group.row;
    double* d = e.X.data() + static_cast<std::size_t>(rows) * columns;
    double* u = d + columns;
    fill_zero(d, 2 * static_cast<std::size_t>(columns));
    const double total = e.sample_slope[s] * F;

    for (int k = 0; k < sample.n_histo; ++k) {
      const int instance = m.by_sample_histo[sample.histo + k];
      const int p = m.histo_param[instance];
      const double q1 = e.even1[p], q2 = e.even2[p];
      const double* __restrict S = m.S.data() + m.histo_offset[instance];
      const double* __restrict A = m.A.data() + m.histo_offset[instance];
      double* __restrict J = e.J_group.data() + static_cast<std::size_t>(block.column[p]) * bins;
      double mixed = 0.0, bend = 0.0, unscaled = 0.0;
      for (int b = 0; b < bins; ++b) {
        const double template_slope = S[b] + q1 * A[b];
        J[b] += F * template_slope;
        mixed += slope[b] * template_slope;
        bend += slope[b] * A[b];
        unscaled += w[b] * G[b] * template_slope;
      }
      u[block.column[p]] += mixed;
      diagonal(p) += q2 * bend;
      for (int j = 0; j < sample.n_factors; ++j) {
        global(m.factor_param[sample.factor + j], p) += R * other_linear(m, sample, theta, j) * unscaled;
      }
    }
    for (int k = 0; k < sample.n_norm; ++k) {
      const int instance = m.by_sample_norm[sample.norm + k];
      const int p = m.instance_param[instance];
      const double dlog = e.dlog[instance];
      double* __restrict J = e.J_group.data() + static_cast<std::size_t>(block.column[p]) * bins;
      const double step = F * dlog;
      for (int b = 0; b < bins; ++b) J[b] += step * cells[b];
      d[block.column[p]] = dlog;
      u[block.column[p]] += 0.5 * total * dlog;
      diagonal(p) += total * (e.d2[instance] - dlog * dlog);
      for (int j = 0; j < sample.n_factors; ++j) {
        global(m.factor_param[sample.factor + j], p) +=
            R * other_linear(m, sample, theta, j) * dlog * e.sample_slope[s];
      }
    }
    for (int j = 0; j < sample.n_factors; ++j) {
      const int p = m.factor_param[sample.factor + j];
      double* __restrict J = e.J_group.data() + static_cast<std::size_t>(block.column[p]) * bins;
      const double step = R * other_linear(m, sample, theta, j);
      for (int b = 0; b < bins; ++b) J[b] += step * cells[b];
      for (int i = 0; i < j; ++i) {
        global(m.factor_param[sample.factor + i], p) +=
            R * other_linear(m, sample, theta, i, j) * e.sample_slope[s];
      }
    }
    if (sample.n_norm == 0) return;  // d = 0
    double* y = e.Y.data() + static_cast<std::size_t>(rows) * columns;
    for (int k = 0; k < columns; ++k) y[k] = u[k];
    for (int k = 0; k < columns; ++k) y[columns + k] = d[k];
    rows += 2;
  }

  // Multiplies J_group by the bin-wise factors into J, and adds the entries of those factors.
  void add_binwise(const Channel& channel, const Group& group) {
    const int bins = channel.n_bins;
    const double* __restrict G = e.group_factor.data() + group.row;
    const double* yield = e.group_yield.data() + group.row;
    for (int k = 0; k < columns; ++k) {
      double* __restrict J = e.J.data() + static_cast<std::size_t>(k) * bins;
      const double* __restrict from = e.J_group.data() + static_cast<std::size_t>(k) * bins;
      for (int b = 0; b < bins; ++b) J[b] += G[b] * from[b];
    }
    for (int f = group.factor; f < group.factor + group.n_factors; ++f) {
      for (int b = 0; b < bins; ++b) {
        const int p = m.binwise[m.binwise_offset[f] + b];
        const double w = e.weight[channel.bin + b];
        const double others = other_factors(m, group, theta, b, f);
        if (!m.is_local(p)) {
          e.J[static_cast<std::size_t>(block.column[p]) * bins + b] += others * yield[b];
        }
        for (int k = 0; k < columns; ++k) {
          const double step = w * others * e.J_group[static_cast<std::size_t>(k) * bins + b];
          if (step != 0.0) coupling(p, block.globals[k]) += step;
        }
        for (int f2 = group.factor; f2 < f; ++f2) {
          coupling(p, m.binwise[m.binwise_offset[f2] + b]) +=
              w * yield[b] * other_factors(m, group, theta, b, f, f2);
        }
      }
    }
  }

  // J^T W J: rows sqrt(W_b) J_b for the globals, and the locals' part directly.
  void add_fisher(const Channel& channel) {
    const int bins = channel.n_bins;
    for (int b = 0; b < bins; ++b) {
      const double W = e.curvature[channel.bin + b];
      if (W == 0.0) continue;
      const double root = std::sqrt(W);
      double* x = e.X.data() + static_cast<std::size_t>(rows) * columns;
      double* y = e.Y.data() + static_cast<std::size_t>(rows) * columns;
      for (int k = 0; k < columns; ++k) {
        x[k] = y[k] = root * e.J[static_cast<std::size_t>(k) * bins + b];
      }
      ++rows;
      add_local_fisher(channel, b, W);
    }
  }

  // Locals of bin b: their slopes d nu_b/d gamma, gathered over the groups of the channel.
  void add_local_fisher(const Channel& channel, int b, double W) {
    int* local = e.local.data();
    double* local_slope = e.local_slope.data();
    int n_local = 0;
    for (int g = channel.group; g < channel.group + channel.n_groups; ++g) {
      const Group& group = m.groups[g];
      for (int f = group.factor; f < group.factor + group.n_factors; ++f) {
        const int p = m.binwise[m.binwise_offset[f] + b];
        if (!m.is_local(p)) continue;
        const double step =
            other_factors(m, group, theta, b, f) * e.group_yield[group.row + b];
        int k = 0;
        while (k < n_local && local[k] != p) ++k;
        if (k == n_local) {
          local[k] = p;
          local_slope[k] = 0.0;
          ++n_local;
        }
        local_slope[k] += step;
      }
    }
    for (int i = 0; i < n_local; ++i) {
      const double Wi = W * local_slope[i];
      double* __restrict column =
          H.B.data() + static_cast<std::size_t>(local[i] - m.n_global) * m.n_global;
      for (int k = 0; k < columns; ++k) {
        column[block.globals[k]] += Wi * e.J[static_cast<std::size_t>(k) * channel.n_bins + b];
      }
      diagonal(local[i]) += Wi * local_slope[i];
      for (int j = 0; j < i; ++j) coupling(local[i], local[j]) += Wi * local_slope[j];
    }
  }

  // A += lower triangle of X Y^T over the rows gathered.
  void add_products() {
    if (rows == 0 || columns == 0) return;
    const MatrixMap X(e.X.data(), columns, rows), Y(e.Y.data(), columns, rows);
    MatrixMap A(H.A.data(), m.n_global, m.n_global);
    if (columns == m.n_global) {
      A.triangularView<Eigen::Lower>() += X * Y.transpose();
      return;
    }
    MatrixMap product(e.product.data(), columns, columns);
    product.triangularView<Eigen::Lower>() = X * Y.transpose();
    for (int j = 0; j < columns; ++j) {
      double* column = H.A.data() + static_cast<std::size_t>(block.globals[j]) * m.n_global;
      for (int i = j; i < columns; ++i) column[block.globals[i]] += product(i, j);
    }
  }

  double& diagonal(int p) {
    if (m.is_local(p)) return H.D[shape.entry[p - m.n_global]];
    return H.A[static_cast<std::size_t>(p) * m.n_global + p];
  }

  // Entry (p, q) of two different globals; either order.
  double& global(int p, int q) {
    const int row = p > q ? p : q, column = p > q ? q : p;
    return H.A[static_cast<std::size_t>(column) * m.n_global + row];
  }

  // Entry (p, q) of two different parameters of any kind.
  double& coupling(int p, int q) {
    const bool p_local = m.is_local(p), q_local = m.is_local(q);
    if (!p_local && !q_local) return global(p, q);
    if (p_local && q_local) {
      const int row = p > q ? p : q, column = p > q ? q : p;
      return H.D[shape.entry[column - m.n_global] + row - column];
    }
    const int l = p_local ? p : q, g = p_local ? q : p;
    return H.B[static_cast<std::size_t>(l - m.n_global) * m.n_global + g];
  }

  const Model& m;
  const double* theta;
  Evaluation& e;
  const ArrowShape& shape;
  const Block& block;
  Arrow& H;
  const int columns;
  int rows = 0;
};

void constraint_hessian(const Model& m, const Data& data, const double* theta,
                        const ArrowShape& shape, Arrow& H) {
  for (int p = 0; p < m.n_params; ++p) {
    double second = m.inverse_variance[p];
    if (m.tau[p] > 0.0) {
      second = poisson_constraint_derivatives(theta[p], data.center[p], m.tau[p]).second;
    }
    if (m.is_local(p)) {
      H.D[shape.entry[p - m.n_global]] = second;
    } else {
      H.A[static_cast<std::size_t>(p) * m.n_global + p] = second;
    }
  }
}

}  // namespace

double hessian(const Model& m, const Data& data, const double* theta, Evaluation& e,
               double* gradient, const ArrowShape& shape, Arrow& H) {
  evaluate<second_derivative>(m, theta, e);
  const double sum = poisson_terms(m, data, e) + constraint_gradient(m, data, theta, gradient);
  slopes(m, e);
  yields_gradient(m, theta, e, gradient);
  fill_zero(H.A.data(), H.A.size());
  fill_zero(H.B.data(), H.B.size());
  fill_zero(H.D.data(), H.D.size());
  constraint_hessian(m, data, theta, shape, H);
  for (const Block& block : m.blocks) {
    BlockHessian(m, theta, e, shape, block, H).accumulate();
  }
  return sum + data.constant;
}

}  // namespace NEXTSTAT_LEVEL
}  // namespace nextstat
