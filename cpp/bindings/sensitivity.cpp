// Derivatives in templates, data and parameters, as dicts of arrays in the caller's order.
#include "../sensitivity.h"

#include "bind.h"

namespace nextstat {

namespace {

constexpr double Jet::* along[] = {&Jet::d, &Jet::dd};

py::array_t<double> as_array(const std::vector<double>& values) {
  return py::array_t<double>(static_cast<py::ssize_t>(values.size()), values.data());
}

// First and second derivatives along the line, (2, n).
py::array_t<double> as_array(const std::vector<Jet>& values) {
  const auto n = static_cast<py::ssize_t>(values.size());
  py::array_t<double> out({py::ssize_t{2}, n});
  double* x = out.mutable_data();
  for (const auto order : along) {
    for (const Jet& value : values) *x++ = value.*order;
  }
  return out;
}

template <class T>
py::dict as_dict(const Sensitivities<T>& found) {
  py::dict out;
  out["params"] = as_array(found.params);
  out["nominal"] = as_array(found.nominal);
  out["norm_lo"] = as_array(found.norm_lo);
  out["norm_hi"] = as_array(found.norm_hi);
  out["histo_lo"] = as_array(found.histo_lo);
  out["histo_hi"] = as_array(found.histo_hi);
  out["constraint_scale"] = as_array(found.constraint_scale);
  out["data"] = as_array(found.data);
  out["aux"] = as_array(found.aux);
  return out;
}

py::dict nll_dict(const SharedModel& model, const Data& data, const Array& params) {
  check_length(params, model.n_params, "params");
  const double* theta = params.data();
  Sensitivities<double> found;
  {
    py::gil_scoped_release release;
    found = nll_sensitivities(model.spec, theta, data.n.data(), data.aux.data());
  }
  return as_dict(found);
}

py::dict nll_dict_along(const SharedModel& model, const Data& data, const Array& params,
                        const Array& direction) {
  check_length(params, model.n_params, "params");
  check_length(direction, model.n_params, "direction");
  std::vector<Jet> theta;
  for (int p = 0; p < model.n_params; ++p) {
    theta.emplace_back(params.data()[p], direction.data()[p], 0.0);
  }
  Sensitivities<Jet> found;
  {
    py::gil_scoped_release release;
    found = nll_sensitivities(model.spec, theta.data(), data.n.data(), data.aux.data());
  }
  return as_dict(found);
}

py::dict yield_dict(const SharedModel& model, const Array& params, const Array& weight) {
  check_length(params, model.n_params, "params");
  check_length(weight, model.n_bins, "weight");
  const double *theta = params.data(), *w = weight.data();
  Sensitivities<double> found;
  {
    py::gil_scoped_release release;
    found = yield_sensitivities(model.spec, theta, w);
  }
  return as_dict(found);
}

}  // namespace

void bind_sensitivity(py::module_& m) {
  m.def("nll_sensitivities", &nll_dict, py::arg("model"), py::arg("data"), py::arg("params"));
  m.def("nll_sensitivities_along", &nll_dict_along, py::arg("model"), py::arg("data"),
        py::arg("params"), py::arg("direction"));
  m.def("yield_sensitivities", &yield_dict, py::arg("model"), py::arg("params"), py::arg("weight"));
}

}  // namespace nextstat
