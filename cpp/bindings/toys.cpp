// Toys, and fits and tests of many datasets.
#include "toys/toys.h"

#include "bindings/fit.h"
#include "fit/batch.h"
#include "support/parallel.h"
#include "toys/random.h"

namespace nextstat {

namespace {

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
    std::string shape;
    for (py::ssize_t k = 0; k < rows.ndim(); ++k) shape += std::to_string(rows.shape(k)) + ", ";
    throw std::invalid_argument("data has shape (" + shape + "), expected (n, " +
                                std::to_string(width) + ")");
  }
  const double* first = rows.data();
  return [&model, first, width](std::int64_t k) {
    const double* row = first + k * width;
    return Data(model, row, row + model.n_bins);
  };
}

// Toys of a range that the counters of random numbers can tell apart.
Toys make_toys(const Model& model, const Array& params, std::uint64_t seed, std::uint32_t stream,
               ToyRange range) {
  const auto [first, number] = range;
  const auto end = static_cast<std::int64_t>(Draws::n_toys);
  if (first < 0 || number < 0 || first > end - number) {
    throw std::invalid_argument("toys are (" + std::to_string(first) + ", " +
                                std::to_string(number) +
                                "), expected (first, number) from 0 to 2^40");
  }
  if (stream >= Draws::n_streams) {
    throw std::invalid_argument("stream is " + std::to_string(stream) +
                                ", expected less than 2^24");
  }
  return Toys(model, to_internal(model, params, "params"), seed, stream);
}

// Throws what ended the work early, or a signal that came just before its end, and would else come
// when Python has not yet stored the result; what was done goes along, as `partial`.
void rethrow(const std::exception_ptr& interrupted, const py::object& partial) {
  try {
    if (interrupted) std::rethrow_exception(interrupted);
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  } catch (const py::error_already_set& error) {
    py::setattr(error.value(), "partial", partial);
    throw;
  }
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
  rethrow(fits.interrupted, out);
  return out;
}

py::dict fit_rows(const SharedModel& model, const Array& data, const OwnedProblem& problem,
                  const Array& second_init, int n_threads) {
  const BatchProblem starts = batch(model, problem, second_init);
  const Datasets datasets = rows_of(model, data);
  const int n = static_cast<int>(data.shape(0));
  BatchFits fits;
  {
    const Unlocked unlocked;
    fits = fit_each(model, datasets, 0, n, starts, usable_threads(n_threads));
  }
  return describe(fits);
}

py::dict fit_toys(const SharedModel& model, const Array& params, std::uint64_t seed,
                  std::uint32_t stream, ToyRange range, const OwnedProblem& problem,
                  const Array& second_init, int n_threads) {
  const BatchProblem starts = batch(model, problem, second_init);
  const Toys toys = make_toys(model, params, seed, stream, range);
  BatchFits fits;
  {
    const Unlocked unlocked;
    fits = fit_each(model, toys, range.first, range.second, starts, usable_threads(n_threads));
  }
  return describe(fits);
}

py::tuple test_toys(const SharedModel& model, const Array& params, std::uint64_t seed,
                    std::uint32_t stream, ToyRange range, const OwnedProblem& problem,
                    const Array& second_init, int poi, double value, int side, int n_threads) {
  check_parameter(poi, model, "poi");
  if (side < 0 || side > 2) {
    throw std::invalid_argument("side is " + std::to_string(side) + ", expected 0, 1 or 2");
  }
  const BatchProblem starts = batch(model, problem, second_init);
  const Toys toys = make_toys(model, params, seed, stream, range);
  BatchTests tests;
  {
    const Unlocked unlocked;
    tests = test_each(model, toys, range.first, range.second, starts, poi, value,
                      static_cast<Side>(side), usable_threads(n_threads));
  }
  const py::tuple out =
      py::make_tuple(to_array(tests.statistic), to_array(tests.fitted), to_array(tests.status));
  rethrow(tests.interrupted, out);
  return out;
}

py::array_t<double> toy_data(const SharedModel& model, const Array& params, std::uint64_t seed,
                             std::uint32_t stream, ToyRange range) {
  const Toys toys = make_toys(model, params, seed, stream, range);
  const auto width = static_cast<py::ssize_t>(model.n_bins + model.aux_param.size());
  py::array_t<double> out({static_cast<py::ssize_t>(range.second), width});
  double* rows = out.mutable_data();
  const Unlocked unlocked;
  for (int k = 0; k < range.second; ++k) {
    double* row = rows + k * width;
    toys.draw(static_cast<std::uint64_t>(range.first + k), row, row + model.n_bins);
  }
  return out;
}

py::array_t<double> toy_uniforms(std::uint64_t seed, std::uint32_t stream, std::uint64_t toy,
                                 std::uint32_t datum, int n) {
  Draws draws(seed, stream, toy, datum);
  py::array_t<double> out({n, 2});
  for (int k = 0; k < n; ++k) {
    const Uniforms uniforms = draws.next();
    *out.mutable_data(k, 0) = uniforms.first;
    *out.mutable_data(k, 1) = uniforms.second;
  }
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
  m.def("toy_uniforms", &toy_uniforms, py::arg("seed"), py::arg("stream"), py::arg("toy"),
        py::arg("datum"), py::arg("n"));
}

}  // namespace nextstat
