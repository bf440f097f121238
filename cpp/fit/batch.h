// Fits and tests of many datasets in parallel. Results do not depend on the thread count.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <vector>

#include "fit/descent.h"

namespace nextstat {

// The dataset of a number; throws if it cannot be one.
using Datasets = std::function<Data(std::int64_t)>;

// The starting values of `problem` are tried first, then `second_init` (P,) where they fail.
struct BatchProblem {
  FitProblem problem;
  const double* second_init;
};

// One row per dataset, parameters in the caller's order. Where the work was interrupted, rows up to
// the first that was not done.
struct BatchFits {
  Doubles values, errors;         // (n, P); errors NaN where there are none
  Doubles nll, edm;               // (n,)
  Doubles deviance;               // (n,) 2 (nll - its value if every expectation were the datum)
  std::vector<int> status;        // (n,) FitStatus
  std::vector<int> n_iterations;  // (n,)
  std::exception_ptr interrupted;
};

BatchFits fit_each(const Model& model, const Datasets& datasets, std::int64_t first, int n,
                   const BatchProblem& problem, int n_threads);

// On which side of a tested value a fitted one counts as disagreement.
enum class Side : int { either = 0, below = 1, above = 2 };

// Where the work was interrupted, rows up to the first that was not done.
struct BatchTests {
  Doubles statistic;        // (n,) -2 ln of the profile likelihood ratio, 0 on the other side
  Doubles fitted;           // (n,) parameter of interest
  std::vector<int> status;  // (n,) of the first fit that did not converge, or 0
  std::exception_ptr interrupted;
};

// Tests of poi = value.
BatchTests test_each(const Model& model, const Datasets& datasets, std::int64_t first, int n,
                     const BatchProblem& problem, int poi, double value, Side side, int n_threads);

}  // namespace nextstat
