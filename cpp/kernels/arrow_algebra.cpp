// Linear algebra of arrow matrices. Compiled once per instruction set (see kernels/kernels.h).
#include "kernels/arrow_algebra.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "support/interrupt.h"
#include "support/panels.h"

namespace nextstat {
namespace NEXTSTAT_LEVEL {

namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using MatrixMap = Eigen::Map<Matrix>;
using ConstMatrixMap = Eigen::Map<const Matrix>;
using VectorMap = Eigen::Map<Vector>;
using ConstVectorMap = Eigen::Map<const Vector>;

// A pivot this small beside its diagonal entry is rounding: the matrix is singular.
constexpr double pivot_tolerance = 1e-11;

void note_pivot(ArrowFactor& f, int parameter, double ratio) {
  if (ratio >= f.weakest_pivot) return;
  f.weakest = parameter;
  f.weakest_pivot = ratio;
}

// Cholesky of a small block in place (n, n), of parameters from `first`; the failing column, or -1.
int cholesky_block(double* a, int n, int first, ArrowFactor& f) {
  for (int j = 0; j < n; ++j) {
    const double before = a[j * n + j];
    double pivot = before;
    for (int k = 0; k < j; ++k) pivot -= a[k * n + j] * a[k * n + j];
    if (!(pivot > pivot_tolerance * before)) return j;
    note_pivot(f, first + j, pivot / before);
    const double root = std::sqrt(pivot);
    a[j * n + j] = root;
    for (int i = j + 1; i < n; ++i) {
      double sum = a[j * n + i];
      for (int k = 0; k < j; ++k) sum -= a[k * n + i] * a[k * n + j];
      a[j * n + i] = sum / root;
    }
  }
  return -1;
}

// x <- L^-1 x for a small lower block.
void forward_block(const double* l, int n, double* x) {
  for (int i = 0; i < n; ++i) {
    for (int k = 0; k < i; ++k) x[i] -= l[k * n + i] * x[k];
    x[i] /= l[i * n + i];
  }
}

// x <- L^-T x for a small lower block.
void backward_block(const double* l, int n, double* x) {
  for (int i = n - 1; i >= 0; --i) {
    for (int k = i + 1; k < n; ++k) x[i] -= l[i * n + k] * x[k];
    x[i] /= l[i * n + i];
  }
}

int n_blocks(const ArrowShape& shape) { return static_cast<int>(shape.block.size()) - 1; }

// L -= Z Z^T, lower triangle.
template <class Lower, class Factor>
void subtract_square(Lower&& L, const Factor& Z) {
  in_panels(L.cols(), 2.0 * static_cast<double>(Z.size()), [&](Eigen::Index j, Eigen::Index n) {
    const Eigen::Index below = L.cols() - j - n;
    L.block(j, j, n, n).template selfadjointView<Eigen::Lower>().rankUpdate(Z.middleRows(j, n), -1);
    if (below == 0) return;
    L.block(j + n, j, below, n).noalias() -= Z.bottomRows(below) * Z.middleRows(j, n).transpose();
  });
}

// Cholesky of a lower triangle in place; the failing column, or -1. Eigen's, block by block where
// that takes long.
Eigen::Index cholesky(MatrixMap& L) {
  const Eigen::Index G = L.cols();
  constexpr Eigen::Index block = 128, long_ago = 1000;
  if (G < long_ago) return Eigen::internal::llt_inplace<double, Eigen::Lower>::blocked(L);
  for (Eigen::Index k = 0; k < G; k += block) {
    const Eigen::Index n = std::min(block, G - k), below = G - k - n;
    auto corner = L.block(k, k, n, n);
    auto column = L.block(k + n, k, below, n);
    const Eigen::Index failed = Eigen::internal::llt_inplace<double, Eigen::Lower>::blocked(corner);
    if (failed >= 0) return k + failed;
    corner.adjoint().triangularView<Eigen::Upper>().solveInPlace<Eigen::OnTheRight>(column);
    subtract_square(L.bottomRightCorner(below, below), column);
  }
  return -1;
}

// L^-1
Matrix inverse_lower(const ConstMatrixMap& L) {
  const Eigen::Index G = L.cols();
  Matrix inverse = Matrix::Identity(G, G);
  in_panels(G, static_cast<double>(L.size()), [&](Eigen::Index j, Eigen::Index n) {
    auto panel = inverse.block(j, j, G - j, n);
    L.bottomRightCorner(G - j, G - j).triangularView<Eigen::Lower>().solveInPlace(panel);
  });
  return inverse;
}

// M Z for a lower M.
Matrix lower_times(const Matrix& M, const ConstMatrixMap& Z) {
  Matrix product(Z.rows(), Z.cols());
  in_panels(Z.cols(), static_cast<double>(M.size()), [&](Eigen::Index j, Eigen::Index n) {
    product.middleCols(j, n) = M.triangularView<Eigen::Lower>() * Z.middleCols(j, n);
  });
  return product;
}

void copy(const Doubles& from, Doubles& to) {
  const double* __restrict source = from.data();
  double* __restrict target = to.data();
  for (std::size_t i = 0; i < from.size(); ++i) target[i] = source[i];
}

// Rows and columns of parameters that are not free become those of the identity.
void mask(const ArrowShape& shape, ArrowFactor& f) {
  const int G = shape.n_global;
  MatrixMap L(f.L.data(), G, G), Z(f.Z.data(), G, shape.n_coupled);
  for (int g = 0; g < G; ++g) {
    if (f.free[g]) continue;
    L.col(g).setZero();
    L.row(g).setZero();
    L(g, g) = 1.0;
    Z.row(g).setZero();
  }
  for (int k = 0; k < n_blocks(shape); ++k) {
    const int first = shape.block[k], size = shape.block[k + 1] - first;
    MatrixMap D(f.LD.data() + shape.block_offset[k], size, size);
    for (int j = 0; j < size; ++j) {
      if (f.free[G + first + j]) continue;
      D.col(j).setZero();
      D.row(j).setZero();
      D(j, j) = 1.0;
      if (first + j < shape.n_coupled) Z.col(first + j).setZero();
    }
  }
}

}  // namespace

bool factorise(const ArrowShape& shape, const Arrow& H, const double* shift, ArrowFactor& f) {
  const int G = shape.n_global;
  copy(H.A, f.L);
  copy(H.B, f.Z);
  copy(H.D, f.LD);
  f.failed = f.weakest = -1;
  f.weakest_pivot = 1.0;
  mask(shape, f);
  MatrixMap L(f.L.data(), G, G), Z(f.Z.data(), G, shape.n_coupled);
  Vector before(G);
  for (int g = 0; g < G; ++g) {
    if (shift != nullptr) L(g, g) += shift[g];
    before[g] = L(g, g);
  }
  for (int k = 0; k < n_blocks(shape); ++k) {
    const int first = shape.block[k], size = shape.block[k + 1] - first;
    double* D = f.LD.data() + shape.block_offset[k];
    for (int j = 0; j < size && shift != nullptr; ++j) D[j * size + j] += shift[G + first + j];
    const int failed = cholesky_block(D, size, G + first, f);
    if (failed >= 0) {
      f.failed = G + first + failed;
      return false;
    }
    if (first >= shape.n_coupled) continue;
    // Z = B L_D^-T
    for (int j = 0; j < size; ++j) {
      for (int i = 0; i < j; ++i) Z.col(first + j) -= D[i * size + j] * Z.col(first + i);
      Z.col(first + j) /= D[j * size + j];
    }
  }
  if (shape.n_coupled > 0) subtract_square(L, Z);
  if (G == 0) return true;
  const Eigen::Index failed = cholesky(L);
  if (failed >= 0) {
    f.failed = static_cast<int>(failed);
    return false;
  }
  for (int g = 0; g < G; ++g) {
    const double pivot = L(g, g) * L(g, g);
    if (!(pivot > pivot_tolerance * before[g])) {
      f.failed = g;
      return false;
    }
    note_pivot(f, g, pivot / before[g]);
  }
  return true;
}

void solve(const ArrowShape& shape, const ArrowFactor& f, double* x) {
  const int G = shape.n_global;
  allow_interrupt(static_cast<double>(f.L.size() + f.Z.size()));
  for (int i = 0; i < shape.size(); ++i) {
    if (!f.free[i]) x[i] = 0.0;
  }
  VectorMap global(x, G), local(x + G, shape.n_local);
  const ConstMatrixMap L(f.L.data(), G, G), Z(f.Z.data(), G, shape.n_coupled);
  for (int k = 0; k < n_blocks(shape); ++k) {
    forward_block(f.LD.data() + shape.block_offset[k], shape.block[k + 1] - shape.block[k],
                  x + G + shape.block[k]);
  }
  global.noalias() -= Z * local.head(shape.n_coupled);
  L.triangularView<Eigen::Lower>().solveInPlace(global);
  L.transpose().triangularView<Eigen::Upper>().solveInPlace(global);
  local.head(shape.n_coupled).noalias() -= Z.transpose() * global;
  for (int k = 0; k < n_blocks(shape); ++k) {
    backward_block(f.LD.data() + shape.block_offset[k], shape.block[k + 1] - shape.block[k],
                   x + G + shape.block[k]);
  }
}

void row_sums(const ArrowShape& shape, const Arrow& H, double* sums) {
  const int G = shape.n_global, K = shape.n_coupled;
  for (int i = 0; i < shape.size(); ++i) sums[i] = 0.0;
  const auto add = [&](int i, int j, double value) {
    sums[i] += std::fabs(value);
    if (i != j) sums[j] += std::fabs(value);
  };
  const ConstMatrixMap A(H.A.data(), G, G), B(H.B.data(), G, K);
  for (int j = 0; j < G; ++j) {
    for (int i = j; i < G; ++i) add(i, j, A(i, j));
  }
  for (int j = 0; j < K; ++j) {
    for (int i = 0; i < G; ++i) add(i, G + j, B(i, j));
  }
  for (int k = 0; k < n_blocks(shape); ++k) {
    const int first = shape.block[k], size = shape.block[k + 1] - first;
    const ConstMatrixMap D(H.D.data() + shape.block_offset[k], size, size);
    for (int j = 0; j < size; ++j) {
      for (int i = j; i < size; ++i) add(G + first + i, G + first + j, D(i, j));
    }
  }
}

void multiply(const ArrowShape& shape, const Arrow& H, const double* x, double* y) {
  const int G = shape.n_global, K = shape.n_coupled;
  const ConstMatrixMap A(H.A.data(), G, G), B(H.B.data(), G, K);
  const ConstVectorMap global(x, G), local(x + G, shape.n_local);
  VectorMap out_global(y, G), out_local(y + G, shape.n_local);
  out_global.noalias() = A.selfadjointView<Eigen::Lower>() * global;
  out_global.noalias() += B * local.head(K);
  out_local.head(K).noalias() = B.transpose() * global;
  out_local.tail(shape.n_local - K).setZero();
  for (int k = 0; k < n_blocks(shape); ++k) {
    const int first = shape.block[k], size = shape.block[k + 1] - first;
    const double* D = H.D.data() + shape.block_offset[k];
    for (int j = 0; j < size; ++j) {
      out_local[first + j] += D[j * size + j] * local[first + j];
      for (int i = j + 1; i < size; ++i) {
        out_local[first + i] += D[j * size + i] * local[first + j];
        out_local[first + j] += D[j * size + i] * local[first + i];
      }
    }
  }
}

void inverse_diagonal(const ArrowShape& shape, const ArrowFactor& f, double* diagonal) {
  const int G = shape.n_global, K = shape.n_coupled;
  const ConstMatrixMap L(f.L.data(), G, G), Z(f.Z.data(), G, K);
  const Matrix inverse = inverse_lower(L);
  for (int g = 0; g < G; ++g)
    diagonal[g] = f.free[g] ? inverse.col(g).tail(G - g).squaredNorm() : 0.0;
  const Matrix Y = lower_times(inverse, Z);  // (G, K)
  Vector unit(shape.n_local);
  for (int k = 0; k < n_blocks(shape); ++k) {
    const int first = shape.block[k], size = shape.block[k + 1] - first;
    const double* LD = f.LD.data() + shape.block_offset[k];
    for (int j = 0; j < size; ++j) {
      // column j of the block's inverse factor: v = L_D^-1 e_j, variance |v|^2 + |Y v|^2
      auto v = unit.head(size);
      v.setZero();
      v[j] = 1.0;
      forward_block(LD, size, v.data());
      double variance = v.squaredNorm();
      if (size == 1 && first < K) {
        variance += v[0] * v[0] * Y.col(first).squaredNorm();
      } else if (first < K) {
        variance += (Y.middleCols(first, size) * v).squaredNorm();
      }
      diagonal[G + first + j] = f.free[G + first + j] ? variance : 0.0;
    }
  }
}

void inverse(const ArrowShape& shape, const ArrowFactor& f, double* out) {
  const int G = shape.n_global, K = shape.n_coupled, P = shape.size();
  const ConstMatrixMap L(f.L.data(), G, G), Z(f.Z.data(), G, K);
  MatrixMap C(out, P, P);
  C.setZero();
  const Matrix root = inverse_lower(L);
  Matrix Y = lower_times(root, Z);  // (G, K) L^-1 B L_D^-T
  Matrix V = Matrix::Zero(shape.n_local, shape.n_local);
  for (int k = 0; k < n_blocks(shape); ++k) {
    const int first = shape.block[k], size = shape.block[k + 1] - first;
    const ConstMatrixMap LD(f.LD.data() + shape.block_offset[k], size, size);
    Matrix inverse_block = Matrix::Identity(size, size);
    LD.triangularView<Eigen::Lower>().solveInPlace(inverse_block);
    V.block(first, first, size, size) = inverse_block.transpose() * inverse_block;
    // Y <- L^-1 B D^-1
    if (first < K) Y.middleCols(first, size) = (Y.middleCols(first, size) * inverse_block).eval();
  }
  in_panels(G, 2.0 * static_cast<double>(root.size()), [&](Eigen::Index j, Eigen::Index n) {
    const Eigen::Index rows = G - j, below = rows - n;
    C.block(j, j, rows, n).noalias() =
        root.bottomRightCorner(rows, rows).transpose() * root.block(j, j, rows, n);
    C.block(j, j + n, n, below) = C.block(j + n, j, below, n).transpose();
  });
  C.bottomRightCorner(shape.n_local, shape.n_local) = V;
  in_panels(K, 2.0 * static_cast<double>(root.size() + Y.size()),
            [&](Eigen::Index j, Eigen::Index n) {
              C.block(0, G + j, G, n).noalias() = -root.transpose() * Y.middleCols(j, n);
              C.block(G, G + j, K, n).noalias() += Y.transpose() * Y.middleCols(j, n);
            });
  C.block(G, 0, K, G) = C.block(0, G, G, K).transpose();
  for (int i = 0; i < P; ++i) {
    if (f.free[i]) continue;
    C.row(i).setZero();
    C.col(i).setZero();
  }
}

void descent_curvature(const ArrowShape& shape, const ArrowFactor& f, double* v) {
  const int G = shape.n_global;
  VectorMap(v, shape.size()).setZero();
  if (f.failed >= G) {  // within the block of a local
    int k = 0;
    while (shape.block[k + 1] <= f.failed - G) ++k;
    const int first = shape.block[k], size = shape.block[k + 1] - first;
    const int j = f.failed - G - first;
    const ConstMatrixMap LD(f.LD.data() + shape.block_offset[k], size, size);
    VectorMap head(v + G + first, j);
    head = -LD.row(j).head(j).transpose();
    LD.topLeftCorner(j, j).transpose().triangularView<Eigen::Upper>().solveInPlace(head);
    v[f.failed] = 1.0;
    return;
  }
  // globals: v_head = -L_head^-T L_row^T, then the locals follow as -D^-1 B^T v
  const int j = f.failed;
  const ConstMatrixMap L(f.L.data(), G, G), Z(f.Z.data(), G, shape.n_coupled);
  VectorMap head(v, j);
  head = -L.row(j).head(j).transpose();
  L.topLeftCorner(j, j).transpose().triangularView<Eigen::Upper>().solveInPlace(head);
  v[j] = 1.0;
  VectorMap local(v + G, shape.n_coupled);
  local.noalias() = -(Z.transpose() * ConstVectorMap(v, G));
  for (int k = 0; k < n_blocks(shape) && shape.block[k] < shape.n_coupled; ++k) {
    backward_block(f.LD.data() + shape.block_offset[k], shape.block[k + 1] - shape.block[k],
                   v + G + shape.block[k]);
  }
}

}  // namespace NEXTSTAT_LEVEL
}  // namespace nextstat
