// What the bindings of fits share.
#pragma once

#include "bindings/bind.h"

namespace nextstat {

// A minimum, with the caller's numbering of the parameters. Does not need its model.
struct ExternalMinimum {
  std::vector<int> external;  // (P,) internal -> caller's parameter
  Minimum minimum;

  py::array_t<double> reorder(const Doubles& values) const {
    py::array_t<double> out(static_cast<py::ssize_t>(values.size()));
    double* x = out.mutable_data();
    for (std::size_t i = 0; i < values.size(); ++i) x[external[i]] = values[i];
    return out;
  }

  // Other numbers in the same structure make no difference here.
  void check_belongs(const Model& model) const {
    const ArrowShape& shape = minimum.shape;
    if (external == model.external && shape.n_global == model.n_global &&
        shape.n_coupled == model.n_coupled && shape.block == model.local_block) {
      return;
    }
    throw std::invalid_argument("minimum is that of another model: it has " +
                                std::to_string(shape.size()) + " parameters, " +
                                std::to_string(shape.n_global) + " of them global, the model " +
                                std::to_string(model.n_params) + " and " +
                                std::to_string(model.n_global) + "; fit the model itself");
  }
};

// A fit problem that owns its arrays.
struct OwnedProblem {
  OwnedProblem(Array init_, Array lower_, Array upper_, Flags fixed_, double tolerance_,
               int max_iterations_, double precision_, int n_starts_)
      : init(std::move(init_)), lower(std::move(lower_)), upper(std::move(upper_)),
        fixed(std::move(fixed_)), tolerance(tolerance_), max_iterations(max_iterations_),
        precision(precision_), n_starts(n_starts_) {}

  FitProblem of(const Model& model) const {
    const bool several = init.ndim() == 2 && init.shape(1) == model.n_params && init.shape(0) > 0;
    if (!several) check_length(init, model.n_params, "init");
    const auto n_inits = static_cast<int>(several ? init.shape(0) : 1);
    check_length(lower, model.n_params, "lower");
    check_length(upper, model.n_params, "upper");
    check_length(fixed, model.n_params, "fixed");
    return {init.data(), lower.data(),   upper.data(), reinterpret_cast<const char*>(fixed.data()),
            tolerance,   max_iterations, precision,    n_starts,
            n_inits};
  }

  Array init, lower, upper;
  Flags fixed;
  double tolerance;
  int max_iterations;
  double precision;
  int n_starts;
};

}  // namespace nextstat
