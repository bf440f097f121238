// Likelihood, gradient, Hessian of one instruction set. What they do: kernels/kernels.h.
#pragma once

#include "kernels/yields.h"

namespace nextstat {
namespace NEXTSTAT_LEVEL {

void expected(const Model& m, const double* theta, Evaluation& e);

double nll(const Model& m, const Data& data, const double* theta, Evaluation& e);

double gradient(const Model& m, const Data& data, const double* theta, Evaluation& e,
                double* gradient);

// The gradient, with everything of the given order left in the evaluation.
template <Order order>
double gradient_at(const Model& m, const Data& data, const double* theta, Evaluation& e,
                   double* gradient);

double hessian(const Model& m, const Data& data, const double* theta, Evaluation& e,
               double* gradient, const ArrowShape& shape, Arrow& H);

double difference(const Model& m, const Data& data, const double* theta1, const double* nu1,
                  const double* theta0, const double* nu0);

}  // namespace NEXTSTAT_LEVEL
}  // namespace nextstat
