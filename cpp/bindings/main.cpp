// The extension module nextstat._core.
#include "bindings/bind.h"

namespace nextstat {
void bind_model(py::module_& m);
void bind_likelihood(py::module_& m);
void bind_fit(py::module_& m);
void bind_ranking(py::module_& m);
void bind_sensitivity(py::module_& m);
void bind_toys(py::module_& m);
void bind_runtime(py::module_& m);
}  // namespace nextstat

PYBIND11_MODULE(_core, m) {
  m.doc() =
      "Numerical core of nextstat: model, likelihood, minimiser, ranking, sensitivities, toys.";
  nextstat::bind_model(m);
  nextstat::bind_likelihood(m);
  nextstat::bind_fit(m);
  nextstat::bind_ranking(m);
  nextstat::bind_sensitivity(m);
  nextstat::bind_toys(m);
  nextstat::bind_runtime(m);
}
