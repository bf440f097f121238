// Refits with one parameter held at given values: what impacts and profiles are made of.
#pragma once

#include <vector>

#include "fit/descent.h"

namespace nextstat {

struct Refit {
  double poi;  // fitted parameter of interest
  FitStatus status;
};

// For each k, the fit with parameters[k] (caller's numbering) fixed at values[k], in parallel.
// A refit starts from the linear response of `global` and takes quasi-Newton steps with its
// factorised Hessian (the held parameter projected out); where bounds interfere or that does not
// converge, the bounded Newton method takes over. Results do not depend on the thread count.
std::vector<Refit> refit_shifted(const Model& model, const Data& data, const Minimum& global,
                                 const FitProblem& problem, int poi,
                                 const std::vector<int>& parameters, const Doubles& values,
                                 int n_threads);

}  // namespace nextstat
