// Model and Data: construction from flat arrays, pickling.
#include "bindings/bind.h"

namespace nextstat {

namespace {

using Ints = py::array_t<int, py::array::c_style | py::array::forcecast>;

std::vector<int> ints(const Ints& array) {
  return std::vector<int>(array.data(), array.data() + array.size());
}

Doubles doubles(const Array& array) { return Doubles(array.data(), array.data() + array.size()); }

std::shared_ptr<SharedModel> make_model(
    const Ints& channel_bins, const Ints& channel_samples, const Array& nominal,
    const Ints& norm_param, const Ints& norm_sample, const Array& norm_lo, const Array& norm_hi,
    const Ints& histo_param, const Ints& histo_sample, const Array& histo_lo, const Array& histo_hi,
    const Ints& factor_param, const Ints& factor_sample, const Ints& binwise_first,
    const Ints& binwise_sample, const Ints& constraint, const Array& constraint_scale,
    int norm_code, int histo_code) {
  ModelSpec spec;
  spec.channel_bins = ints(channel_bins);
  spec.channel_samples = ints(channel_samples);
  spec.nominal = doubles(nominal);
  spec.norm_param = ints(norm_param);
  spec.norm_sample = ints(norm_sample);
  spec.norm_lo = doubles(norm_lo);
  spec.norm_hi = doubles(norm_hi);
  spec.histo_param = ints(histo_param);
  spec.histo_sample = ints(histo_sample);
  spec.histo_lo = doubles(histo_lo);
  spec.histo_hi = doubles(histo_hi);
  spec.factor_param = ints(factor_param);
  spec.factor_sample = ints(factor_sample);
  spec.binwise_first = ints(binwise_first);
  spec.binwise_sample = ints(binwise_sample);
  spec.constraint = ints(constraint);
  spec.constraint_scale = doubles(constraint_scale);
  spec.norm_code = static_cast<NormCode>(norm_code);
  spec.histo_code = static_cast<HistoCode>(histo_code);
  return std::make_shared<SharedModel>(std::move(spec));
}

// A model of the same structure.
std::shared_ptr<SharedModel> with_numbers(const SharedModel& model, const Array& nominal,
                                          const Array& norm_lo, const Array& norm_hi,
                                          const Array& histo_lo, const Array& histo_hi,
                                          const Array& constraint_scale) {
  ModelSpec spec = model.spec;
  spec.nominal = doubles(nominal);
  spec.norm_lo = doubles(norm_lo);
  spec.norm_hi = doubles(norm_hi);
  spec.histo_lo = doubles(histo_lo);
  spec.histo_hi = doubles(histo_hi);
  spec.constraint_scale = doubles(constraint_scale);
  return std::make_shared<SharedModel>(std::move(spec));
}

}  // namespace

void bind_model(py::module_& m) {
  py::class_<SharedModel, std::shared_ptr<SharedModel>>(m, "Model")
      .def(py::init(&make_model), py::kw_only(), py::arg("channel_bins"),
           py::arg("channel_samples"), py::arg("nominal"), py::arg("norm_param"),
           py::arg("norm_sample"), py::arg("norm_lo"), py::arg("norm_hi"), py::arg("histo_param"),
           py::arg("histo_sample"), py::arg("histo_lo"), py::arg("histo_hi"),
           py::arg("factor_param"), py::arg("factor_sample"), py::arg("binwise_first"),
           py::arg("binwise_sample"), py::arg("constraint"), py::arg("constraint_scale"),
           py::arg("norm_code"), py::arg("histo_code"))
      .def_property_readonly("n_params", [](const SharedModel& self) { return self.n_params; })
      .def_property_readonly("n_bins", [](const SharedModel& self) { return self.n_bins; })
      .def_property_readonly("n_global", [](const SharedModel& self) { return self.n_global; })
      .def_property_readonly("n_folded", [](const SharedModel& self) { return self.folded.size(); })
      .def("with_numbers", &with_numbers, py::kw_only(), py::arg("nominal"), py::arg("norm_lo"),
           py::arg("norm_hi"), py::arg("histo_lo"), py::arg("histo_hi"),
           py::arg("constraint_scale"));

  py::class_<Data, std::shared_ptr<Data>>(m, "Data")
      .def(py::init([](const SharedModel& model, const Array& n, const Array& aux) {
             check_length(n, model.n_bins, "data");
             check_length(aux, static_cast<py::ssize_t>(model.aux_param.size()), "auxdata");
             return std::make_shared<Data>(model, n.data(), aux.data());
           }),
           py::arg("model"), py::arg("n"), py::arg("aux"))
      .def_property_readonly("n", [](const Data& self) { return to_array(self.n); })
      .def_property_readonly("aux", [](const Data& self) { return to_array(self.aux); });
}

}  // namespace nextstat
