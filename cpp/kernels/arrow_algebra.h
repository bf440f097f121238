// Linear algebra of arrow matrices of one instruction set. What the functions do:
// kernels/kernels.h.
#pragma once

#include "kernels/kernels.h"

namespace nextstat {
namespace NEXTSTAT_LEVEL {

bool factorise(const ArrowShape& shape, const Arrow& H, const double* shift, ArrowFactor& factor);

void row_sums(const ArrowShape& shape, const Arrow& H, double* sums);

void solve(const ArrowShape& shape, const ArrowFactor& factor, double* x);

void multiply(const ArrowShape& shape, const Arrow& H, const double* x, double* y);

void inverse(const ArrowShape& shape, const ArrowFactor& factor, double* inverse);

void inverse_diagonal(const ArrowShape& shape, const ArrowFactor& factor, double* diagonal);

void descent_curvature(const ArrowShape& shape, const ArrowFactor& factor, double* v);

}  // namespace NEXTSTAT_LEVEL
}  // namespace nextstat
