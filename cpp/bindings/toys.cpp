// Toys, and fits and tests of many datasets.
#include "../toys.h"

#include "../batch.h"
#include "../parallel.h"
#include "../random.h"
#include "fit.h"

namespace nextstat {

namespace {

using Bits = py::array_t<std::uint64_t>;
using ToyRange = std::pair<std::int64_t, int>;  // first, number

BatchProblem batch(const Model& model, const OwnedProblem& problem, const Array& second_init) {
  check_length(second_init, model.n_params, "second_init");
  return {problem.of(model), second_init.data()};
}

py::array_t<int> to_array(const std::vector<int>& values) {
  return py::array_t<int>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::array_t<double> to_rows(const Doubles& values, py::ssize_t n) {
  const py::ssize_t width = n > 0 ? static_cast<py::ssize_t>(values.size()) / n : 0;
  return py::array_t<double>({n, width}, values.data());
}

// Rows of main and auxiliary data, (n, n_bins + n_aux).
Datasets rows_of(const Model& model, const Array& rows) {
  const std::size_t width = model.n_bins + model.aux_param.size();
  if (rows.ndim() != 2 || static_cast<std::size_t>(rows.shape(1)) != width) {
    throw std::invalid_argument("data must have the shape (n, " + std::to_string(width) + ")");
  }
  const double* first = rows.data();
  return [&model, first, width](std::int64_t k) {
    const double* row = first + k * width;
    return Data(model, row, row + model.n_bins);
  };
}

py::dict describe(const BatchFits& fits) {
  const auto n = static_cast<py::ssize_t>(fits.status.size());
  py::dict out;
  out["values"] = to_rows(fits.values, n);
  out["errors"] = to_rows(fits.errors, n);
  out["nll"] = to_array(fits.nll);
  out["edm"] = to_array(fits.edm);
  out["deviance"] = to_array(fits.deviance);
  out["status"] = to_array(fits.status);
  out["n_iter"] = to_array(fits.n_iterations);
  return out;
}

py::dict fit_rows(const SharedModel& model, const Array& data, const OwnedProblem& problem,
                  const Array& second_init, int n_threads) {
  const BatchProblem starts = batch(model, problem, second_init);
  const Datasets datasets = rows_of(model, data);
  const int n = static_cast<int>(data.shape(0));
  BatchFits fits;
  {
    py::gil_scoped_release release;
    fits = fit_each(model, datasets, 0, n, starts, usable_threads(n_threads));
  }
  return describe(fits);
}

py::dict fit_toys(const SharedModel& model, const Array& params, std::uint64_t seed,
                  std::uint32_t stream, ToyRange range, const OwnedProblem& problem,
                  const Array& second_init, int n_threads) {
  const BatchProblem starts = batch(model, problem, second_init);
  const Toys toys(model, to_internal(model, params, "params"), seed, stream);
  BatchFits fits;
  {
    py::gil_scoped_release release;
    fits = fit_each(model, toys, range.first, range.second, starts, usable_threads(n_threads));
  }
  return describe(fits);
}

py::tuple test_toys(const SharedModel& model, const Array& params, std::uint64_t seed,
                    std::uint32_t stream, ToyRange range, const OwnedProblem& problem,
                    const Array& second_init, int poi, double value, int side, int n_threads) {
  if (poi < 0 || poi >= model.n_params) throw std::invalid_argument("no such parameter");
  const BatchProblem starts = batch(model, problem, second_init);
  const Toys toys(model, to_internal(model, params, "params"), seed, stream);
  BatchTests tests;
  {
    py::gil_scoped_release release;
    tests = test_each(model, toys, range.first, range.second, starts, poi, value,
                      static_cast<Side>(side), usable_threads(n_threads));
  }
  return py::make_tuple(to_array(tests.statistic), to_array(tests.fitted), to_array(tests.status));
}

py::array_t<double> toy_data(const SharedModel& model, const Array& params, std::uint64_t seed,
                             std::uint32_t stream, ToyRange range) {
  const Toys toys(model, to_internal(model, params, "params"), seed, stream);
  const auto width = static_cast<py::ssize_t>(model.n_bins + model.aux_param.size());
  py::array_t<double> out({static_cast<py::ssize_t>(range.second), width});
  for (int k = 0; k < range.second; ++k) {
    double* row = out.mutable_data() + k * width;
    toys.draw(static_cast<std::uint64_t>(range.first + k), row, row + model.n_bins);
  }
  return out;
}

Bits toy_bits(std::uint64_t seed, std::uint32_t stream, std::uint64_t toy, int n) {
  ToyBits bits(seed, stream, toy);
  Bits out(n);
  for (int k = 0; k < n; ++k) out.mutable_data()[k] = bits();
  return out;
}

}  // namespace

void bind_toys(py::module_& m) {
  m.def("fit_rows", &fit_rows, py::arg("model"), py::arg("data"), py::arg("problem"),
        py::arg("second_init"), py::arg("n_threads"));
  m.def("fit_toys", &fit_toys, py::arg("model"), py::arg("params"), py::arg("seed"),
        py::arg("stream"), py::arg("toys"), py::arg("problem"), py::arg("second_init"),
        py::arg("n_threads"));
  m.def("test_toys", &test_toys, py::arg("model"), py::arg("params"), py::arg("seed"),
        py::arg("stream"), py::arg("toys"), py::arg("problem"), py::arg("second_init"),
        py::arg("poi"), py::arg("value"), py::arg("side"), py::arg("n_threads"));
  m.def("toy_data", &toy_data, py::arg("model"), py::arg("params"), py::arg("seed"),
        py::arg("stream"), py::arg("toys"));
  m.def("toy_bits", &toy_bits, py::arg("seed"), py::arg("stream"), py::arg("toy"), py::arg("n"));
}

}  // namespace nextstat
