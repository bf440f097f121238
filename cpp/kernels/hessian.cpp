// Second derivatives. Compiled once per instruction set (see kernels/kernels.h).
//
// Notation of model/model.h. With w_b = d nll/d nu_b = 1 - n_b/nu_b, W_b = n_b/nu_b^2 and
// J_bi = d nu_b / d theta_i,
//   H = J^T W J + sum_b w_b d2 nu_b + constraints.
// The second term costs one rank-two update per sample instead of one per bin: with the
// log-derivatives d_i = (d F/d theta_i) / F of the normsys, c_k = sum_b w_b G_b F (S + q' A)_kb of
// the histosys and s = sum_b w_b G_b F N_b, a sample adds
//   d u^T + u d^T  with  u = c + s d / 2,
// plus diagonal terms and the entries of its linear factors.
#include <Eigen/Core>
#include <cmath>

#include "formulas/distributions.h"
#include "kernels/likelihood.h"
#include "kernels/yields.h"
#include "support/interrupt.h"
#include "support/panels.h"

namespace nextstat {
namespace NEXTSTAT_LEVEL {

namespace {

using MatrixMap = Eigen::Map<Eigen::MatrixXd>;

void fill_zero(double* x, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) x[i] = 0.0;
}

// A sample that touches a smaller share of the columns updates the Hessian entry by entry.
constexpr double sparse_fraction = 0.45;

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
      const double n_columns = columns;
      allow_interrupt(n_columns *
                      (n_columns * group.n_samples + channel.n_bins * (1.0 + group.n_factors)));
      fill_zero(e.J_group.data(), size);
      for (int s = group.sample; s < group.sample + group.n_samples; ++s)
        add_sample(channel, group, s);
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
    double* d = e.d.data();
    double* u = e.u.data();
    fill_zero(d, sample.n_touched);
    fill_zero(u, sample.n_touched);
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
      u[m.histo_slot[sample.histo + k]] += mixed;
      diagonal(p) += q2 * bend;
      for (int j = 0; j < sample.n_factors; ++j) {
        global(m.factor_param[sample.factor + j], p) +=
            R * other_linear(m, sample, theta, j) * unscaled;
      }
    }
    for (int k = 0; k < sample.n_norm; ++k) {
      const int instance = m.by_sample_norm[sample.norm + k];
      const int p = m.instance_param[instance];
      const double dlog = e.dlog[instance];
      double* __restrict J = e.J_group.data() + static_cast<std::size_t>(block.column[p]) * bins;
      const double step = F * dlog;
      for (int b = 0; b < bins; ++b) J[b] += step * cells[b];
      d[m.norm_slot[sample.norm + k]] = dlog;
      u[m.norm_slot[sample.norm + k]] += 0.5 * total * dlog;
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
    if (sample.n_norm > 0) add_rank_two(sample);
  }

  // H += d u^T + u d^T: entry by entry where a sample touches few of the columns, else as two rows
  // of the matrix product.
  void add_rank_two(const Sample& sample) {
    const int n = sample.n_touched;
    const int* __restrict param = m.touched.data() + sample.touched;
    const double* __restrict d = e.d.data();
    const double* __restrict u = e.u.data();
    if (n < sparse_fraction * columns) {
      for (int j = 0; j < n; ++j) {
        double* __restrict column = H.A.data() + static_cast<std::size_t>(param[j]) * m.n_global;
        const double dj = d[j], uj = u[j];
        for (int i = j; i < n; ++i) column[param[i]] += d[i] * uj + u[i] * dj;
      }
      return;
    }
    double* x = e.X.data() + static_cast<std::size_t>(rows) * columns;
    double* y = e.Y.data() + static_cast<std::size_t>(rows) * columns;
    fill_zero(x, 2 * static_cast<std::size_t>(columns));
    fill_zero(y, 2 * static_cast<std::size_t>(columns));
    for (int k = 0; k < n; ++k) {
      const int column = block.column[param[k]];
      x[column] = y[columns + column] = d[k];
      y[column] = x[columns + column] = u[k];
    }
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
        const double* __restrict from = e.J_group.data() + b;
        if (m.is_local(p)) {
          double* __restrict column = local_column(p);
          for (int k = 0; k < columns; ++k) {
            column[block.globals[k]] += w * others * from[static_cast<std::size_t>(k) * bins];
          }
        } else {
          for (int k = 0; k < columns; ++k) {
            if (block.globals[k] == p) continue;
            global(p, block.globals[k]) += w * others * from[static_cast<std::size_t>(k) * bins];
          }
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
        const double step = other_factors(m, group, theta, b, f) * e.group_yield[group.row + b];
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
      double* __restrict column = local_column(local[i]);
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
      add_lower_product(X, Y, A);
      return;
    }
    MatrixMap product(e.product.data(), columns, columns);
    product.triangularView<Eigen::Lower>().setZero();
    add_lower_product(X, Y, product);
    for (int j = 0; j < columns; ++j) {
      double* column = H.A.data() + static_cast<std::size_t>(block.globals[j]) * m.n_global;
      for (int i = j; i < columns; ++i) column[block.globals[i]] += product(i, j);
    }
  }

  // The lower triangle of C += X Y^T.
  static void add_lower_product(const MatrixMap& X, const MatrixMap& Y, MatrixMap& C) {
    in_panels(C.cols(), 2.0 * static_cast<double>(X.size()), [&](Eigen::Index j, Eigen::Index n) {
      const Eigen::Index below = C.cols() - j - n;
      C.block(j, j, n, n).triangularView<Eigen::Lower>() +=
          X.middleRows(j, n) * Y.middleRows(j, n).transpose();
      if (below == 0) return;
      C.block(j + n, j, below, n).noalias() += X.bottomRows(below) * Y.middleRows(j, n).transpose();
    });
  }

  double& diagonal(int p) {
    if (m.is_local(p)) return H.D[shape.entry[p - m.n_global]];
    return H.A[static_cast<std::size_t>(p) * m.n_global + p];
  }

  // Column of B that couples a local to the globals.
  double* local_column(int p) {
    return H.B.data() + static_cast<std::size_t>(p - m.n_global) * m.n_global;
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
      H.D[shape.entry[p - m.n_global]] = data.constraint_weight * second;
    } else {
      H.A[static_cast<std::size_t>(p) * m.n_global + p] = data.constraint_weight * second;
    }
  }
}

}  // namespace

double hessian(const Model& m, const Data& data, const double* theta, Evaluation& e,
               double* gradient, const ArrowShape& shape, Arrow& H) {
  const double value = gradient_at<second_derivative>(m, data, theta, e, gradient);
  fill_zero(H.A.data(), H.A.size());
  fill_zero(H.B.data(), H.B.size());
  fill_zero(H.D.data(), H.D.size());
  constraint_hessian(m, data, theta, shape, H);
  for (const Block& block : m.blocks) {
    BlockHessian(m, theta, e, shape, block, H).accumulate();
  }
  return value;
}

}  // namespace NEXTSTAT_LEVEL
}  // namespace nextstat
