// Derivatives in templates, data and parameters, as flat arrays in the caller's order.
#include "kernels/sensitivity.h"

#include <algorithm>

#include "bindings/bind.h"

namespace nextstat {

namespace {

// Values, or first and second derivatives along a line.
void write(double*& to, const std::vector<double>& values) {
  to = std::copy(values.begin(), values.end(), to);
}

template <double Jet::* order>
void write_order(double*& to, const std::vector<Jet>& values) {
  for (const Jet& value : values) *to++ = value.*order;
}

// All fields but the parameters, one after the other; `data` and `aux` may be missing.
template <class T, class Write>
void write_fields(double* to, const Sensitivities<T>& found, Write write) {
  for (const auto* field : {&found.nominal, &found.norm_lo, &found.norm_hi, &found.histo_lo,
                            &found.histo_hi, &found.constraint_scale, &found.data, &found.aux}) {
    write(to, *field);
  }
}

// Their number.
py::ssize_t n_fields(const SharedModel& model) {
  const ModelSpec& spec = model.spec;
  return static_cast<py::ssize_t>(spec.nominal.size() + spec.norm_lo.size() + spec.norm_hi.size() +
                                  spec.histo_lo.size() + spec.histo_hi.size() +
                                  spec.constraint.size() + model.aux_param.size()) +
         model.n_bins;
}

// (derivatives in the parameters (P,), in all fields (n,))
py::tuple as_tuple(const SharedModel& model, const Sensitivities<double>& found) {
  py::array_t<double> params(model.n_params), fields(n_fields(model));
  double *to_params = params.mutable_data(), *to_fields = fields.mutable_data();
  write(to_params, found.params);
  std::fill(to_fields, to_fields + fields.size(), 0.0);
  write_fields(to_fields, found, write);
  return py::make_tuple(params, fields);
}

// The same along a line: (2, P), (2, n)
py::tuple as_tuple(const SharedModel& model, const Sensitivities<Jet>& found) {
  const py::ssize_t two = 2, n_params = model.n_params, n = n_fields(model);
  py::array_t<double> params({two, n_params}), fields({two, n});
  double* to = params.mutable_data();
  write_order<&Jet::d>(to, found.params);
  write_order<&Jet::dd>(to, found.params);
  write_fields(fields.mutable_data(), found, write_order<&Jet::d>);
  write_fields(fields.mutable_data() + n, found, write_order<&Jet::dd>);
  return py::make_tuple(params, fields);
}

py::tuple nll_everywhere(const SharedModel& model, const Data& data, const Array& params) {
  check_belongs(data, model);
  check_length(params, model.n_params, "params");
  const double* theta = params.data();
  Sensitivities<double> found;
  {
    const Unlocked unlocked;
    found = nll_sensitivities(model.spec, theta, data.n.data(), data.aux.data());
  }
  return as_tuple(model, found);
}

py::tuple nll_along(const SharedModel& model, const Data& data, const Array& params,
                    const Array& direction) {
  check_belongs(data, model);
  check_length(params, model.n_params, "params");
  check_length(direction, model.n_params, "direction");
  std::vector<Jet> theta;
  for (int p = 0; p < model.n_params; ++p) {
    theta.emplace_back(params.data()[p], direction.data()[p], 0.0);
  }
  Sensitivities<Jet> found;
  {
    const Unlocked unlocked;
    found = nll_sensitivities(model.spec, theta.data(), data.n.data(), data.aux.data());
  }
  return as_tuple(model, found);
}

py::tuple yields(const SharedModel& model, const Array& params, const Array& weight) {
  check_length(params, model.n_params, "params");
  check_length(weight, model.n_bins, "weight");
  const double *theta = params.data(), *w = weight.data();
  Sensitivities<double> found;
  {
    const Unlocked unlocked;
    found = yield_sensitivities(model.spec, theta, w);
  }
  return as_tuple(model, found);
}

}  // namespace

void bind_sensitivity(py::module_& m) {
  m.def("nll_sensitivities", &nll_everywhere, py::arg("model"), py::arg("data"), py::arg("params"));
  m.def("nll_sensitivities_along", &nll_along, py::arg("model"), py::arg("data"), py::arg("params"),
        py::arg("direction"));
  m.def("yield_sensitivities", &yields, py::arg("model"), py::arg("params"), py::arg("weight"));
}

}  // namespace nextstat
