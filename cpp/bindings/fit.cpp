// fit and the minimum it returns.
#include "fit.h"

namespace nextstat {

namespace {

SharedMinimum fit(std::shared_ptr<SharedModel> model, const Data& data, Array init, Array lower,
                  Array upper, Flags fixed, double tolerance, int max_iterations) {
  const ProblemArrays arrays(*model, std::move(init), std::move(lower), std::move(upper),
                             std::move(fixed), tolerance, max_iterations);
  const FitProblem problem = arrays.problem();
  py::gil_scoped_release release;
  Minimizer minimizer(*model, data);
  minimizer.run(problem);
  return SharedMinimum{std::move(model), std::move(minimizer.minimum)};
}

py::array_t<double> errors(const SharedMinimum& self) {
  std::vector<double> variance(self.minimum.shape.size());
  {
    py::gil_scoped_release release;
    kernels().inverse_diagonal(self.minimum.shape, self.minimum.factor, variance.data());
    for (double& v : variance) v = std::sqrt(v);
  }
  return to_external(*self.model, variance);
}

py::array_t<double> covariance(const SharedMinimum& self) {
  const py::ssize_t P = self.minimum.shape.size();
  py::array_t<double> out({P, P});
  double* external = out.mutable_data();
  py::gil_scoped_release release;
  std::vector<double> internal(static_cast<std::size_t>(P) * P);
  kernels().inverse(self.minimum.shape, self.minimum.factor, internal.data());
  const std::vector<int>& to = self.model->external;
  for (py::ssize_t j = 0; j < P; ++j) {
    for (py::ssize_t i = 0; i < P; ++i) external[to[j] * P + to[i]] = internal[j * P + i];
  }
  return out;
}

py::array_t<bool> held(const SharedMinimum& self) {
  const auto& flags = self.minimum.held;
  py::array_t<bool> out(static_cast<py::ssize_t>(flags.size()));
  for (std::size_t i = 0; i < flags.size(); ++i) {
    out.mutable_data()[self.model->external[i]] = flags[i] != 0;
  }
  return out;
}

}  // namespace

void bind_fit(py::module_& m) {
  m.def("fit", &fit, py::arg("model"), py::arg("data"), py::arg("init"), py::arg("lower"),
        py::arg("upper"), py::arg("fixed"), py::arg("tolerance"), py::arg("max_iterations"));

  py::class_<SharedMinimum>(m, "Minimum")
      .def_property_readonly("status",
                             [](const SharedMinimum& s) { return static_cast<int>(s.minimum.status); })
      .def_property_readonly("nll", [](const SharedMinimum& s) { return s.minimum.nll; })
      .def_property_readonly("edm", [](const SharedMinimum& s) { return s.minimum.edm; })
      .def_property_readonly("n_iter", [](const SharedMinimum& s) { return s.minimum.n_iterations; })
      .def_property_readonly("n_evaluations",
                             [](const SharedMinimum& s) { return s.minimum.n_evaluations; })
      .def_property_readonly("gradient_norm",
                             [](const SharedMinimum& s) { return s.minimum.projected_gradient_norm(); })
      .def_property_readonly(
          "values", [](const SharedMinimum& s) { return to_external(*s.model, s.minimum.theta); })
      .def_property_readonly("held", &held)
      .def("errors", &errors)
      .def("covariance", &covariance);
}

}  // namespace nextstat
