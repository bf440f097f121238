// Refits with one parameter shifted.
#include "bindings/fit.h"
#include "fit/refits.h"
#include "support/parallel.h"

namespace nextstat {

namespace {

py::tuple refit_shifted_arrays(const SharedModel& model, const ExternalMinimum& minimum,
                               const Data& data, const OwnedProblem& owned, int poi,
                               const std::vector<int>& parameters, const Array& shifted,
                               int n_threads) {
  check_belongs(data, model);
  minimum.check_belongs(model);
  const FitProblem problem = owned.of(model);
  const Doubles values(shifted.data(), shifted.data() + shifted.size());
  check_length(shifted, static_cast<py::ssize_t>(parameters.size()), "values");
  for (int p : parameters) check_parameter(p, model, "a parameter");
  check_parameter(poi, model, "poi");
  std::vector<Refit> refits;
  {
    const Unlocked unlocked;
    refits = refit_shifted(model, data, minimum.minimum, problem, poi, parameters, values,
                           usable_threads(n_threads));
  }
  py::array_t<double> fitted(static_cast<py::ssize_t>(refits.size()));
  py::array_t<int> status(static_cast<py::ssize_t>(refits.size()));
  for (std::size_t k = 0; k < refits.size(); ++k) {
    fitted.mutable_data()[k] = refits[k].poi;
    status.mutable_data()[k] = static_cast<int>(refits[k].status);
  }
  return py::make_tuple(fitted, status);
}

}  // namespace

void bind_ranking(py::module_& m) {
  m.def("refit_shifted", &refit_shifted_arrays, py::arg("model"), py::arg("minimum"),
        py::arg("data"), py::arg("problem"), py::arg("poi"), py::arg("parameters"),
        py::arg("values"), py::arg("n_threads"));
}

}  // namespace nextstat
