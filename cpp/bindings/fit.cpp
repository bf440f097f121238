// fit and the minimum it returns.
#include "bindings/fit.h"

#include <algorithm>
#include <numeric>

namespace nextstat {

namespace {

ExternalMinimum fit(const SharedModel& model, const Data& data, const OwnedProblem& owned) {
  check_belongs(data, model);
  const FitProblem problem = owned.of(model);
  const Unlocked unlocked;
  Minimizer minimizer(model);
  minimizer.run(data, problem);
  return ExternalMinimum{model.external, std::move(minimizer.point)};
}

py::array_t<double> errors(const ExternalMinimum& self) {
  Doubles deviation(self.minimum.shape.size());
  {
    const Unlocked unlocked;
    kernels().inverse_diagonal(self.minimum.shape, self.minimum.factor, deviation.data());
    for (double& x : deviation) x = std::sqrt(x);
  }
  return self.reorder(deviation);
}

py::array_t<double> covariance(const ExternalMinimum& self) {
  const py::ssize_t P = self.minimum.shape.size();
  py::array_t<double> out({P, P});
  double* external = out.mutable_data();
  const Unlocked unlocked;
  Doubles internal(static_cast<std::size_t>(P) * P);
  kernels().inverse(self.minimum.shape, self.minimum.factor, internal.data());
  const std::vector<int>& to = self.external;
  for (py::ssize_t j = 0; j < P; ++j) {
    for (py::ssize_t i = 0; i < P; ++i) external[to[j] * P + to[i]] = internal[j * P + i];
  }
  return out;
}

// The covariance times a vector.
py::array_t<double> covariance_times(const ExternalMinimum& self, const Array& vector) {
  const std::size_t P = self.minimum.shape.size();
  check_length(vector, static_cast<py::ssize_t>(P), "vector");
  Doubles product(P);
  for (std::size_t i = 0; i < P; ++i) product[i] = vector.data()[self.external[i]];
  kernels().solve(self.minimum.shape, self.minimum.factor, product.data());
  return self.reorder(product);
}

// One row of the covariance.
py::array_t<double> covariance_with(const ExternalMinimum& self, int param) {
  const auto P = static_cast<py::ssize_t>(self.minimum.shape.size());
  if (param < 0 || param >= P) {
    throw std::invalid_argument("param is " + std::to_string(param) +
                                ", expected the number of one of " + std::to_string(P) +
                                " parameters");
  }
  Array unit(P);
  for (py::ssize_t i = 0; i < P; ++i) unit.mutable_data()[i] = i == param;
  return covariance_times(self, unit);
}

py::array_t<bool> held(const ExternalMinimum& self) {
  const auto& flags = self.minimum.held;
  py::array_t<bool> out(static_cast<py::ssize_t>(flags.size()));
  for (std::size_t i = 0; i < flags.size(); ++i) {
    out.mutable_data()[self.external[i]] = flags[i] != 0;
  }
  return out;
}

// Everything but the buffers is small; arrays travel as numpy arrays.
py::tuple get_state(const ExternalMinimum& self) {
  const Minimum& m = self.minimum;
  const auto flags = [](const std::vector<char>& x) { return py::bytes(x.data(), x.size()); };
  return py::make_tuple(py::cast(self.external), static_cast<int>(m.status), to_array(m.theta),
                        to_array(m.gradient), flags(m.held), m.nll, m.edm, m.n_iterations,
                        m.n_evaluations, m.undetermined, m.shape.n_global, m.shape.n_coupled,
                        m.shape.block, m.at_edge, to_array(m.factor.L), to_array(m.factor.Z),
                        to_array(m.factor.LD), flags(m.factor.free));
}

void require(bool whole) {
  if (!whole) throw std::invalid_argument("the state of a Minimum is damaged");
}

// The shape that a state describes, if it is one.
ArrowShape shape_of(int n_global, int n_coupled, const std::vector<int>& block) {
  require(n_global >= 0 && !block.empty() && block.front() == 0);
  require(std::is_sorted(block.begin(), block.end()));
  require(std::find(block.begin(), block.end(), n_coupled) != block.end());
  return ArrowShape(n_global, n_coupled, block);
}

ExternalMinimum set_state(const py::tuple& state) {
  const auto doubles = [&](int k, const Doubles& like) {
    const auto array = state[k].cast<Array>();
    require(array.size() == static_cast<py::ssize_t>(like.size()));
    return Doubles(array.data(), array.data() + array.size());
  };
  const auto flags = [&](int k, const std::vector<char>& like) {
    const auto bytes = state[k].cast<std::string>();
    require(bytes.size() == like.size());
    return std::vector<char>(bytes.begin(), bytes.end());
  };
  require(state.size() == 18);
  const auto external = state[0].cast<std::vector<int>>();
  Minimum m(
      shape_of(state[10].cast<int>(), state[11].cast<int>(), state[12].cast<std::vector<int>>()));
  std::vector<int> numbers = external, all(m.shape.size());
  std::sort(numbers.begin(), numbers.end());
  std::iota(all.begin(), all.end(), 0);
  require(numbers == all);
  m.status = static_cast<FitStatus>(state[1].cast<int>());
  m.theta = doubles(2, m.theta);
  m.gradient = doubles(3, m.gradient);
  m.held = flags(4, m.held);
  m.nll = state[5].cast<double>();
  m.edm = state[6].cast<double>();
  m.n_iterations = state[7].cast<int>();
  m.n_evaluations = state[8].cast<int>();
  m.undetermined = state[9].cast<int>();
  m.at_edge = state[13].cast<bool>();
  m.factor.L = doubles(14, m.factor.L);
  m.factor.Z = doubles(15, m.factor.Z);
  m.factor.LD = doubles(16, m.factor.LD);
  m.factor.free = flags(17, m.factor.free);
  return ExternalMinimum{external, std::move(m)};
}

template <class F>
auto of_minimum(F f) {
  return [f](const ExternalMinimum& self) { return f(self.minimum); };
}

}  // namespace

void bind_fit(py::module_& m) {
  py::class_<ExternalMinimum>(m, "Minimum")
      .def_property_readonly(
          "status", of_minimum([](const Minimum& m) { return static_cast<int>(m.status); }))
      .def_property_readonly("nll", of_minimum([](const Minimum& m) { return m.nll; }))
      .def_property_readonly("edm", of_minimum([](const Minimum& m) { return m.edm; }))
      .def_property_readonly("n_iter", of_minimum([](const Minimum& m) { return m.n_iterations; }))
      .def_property_readonly("at_edge", of_minimum([](const Minimum& m) { return m.at_edge; }))
      .def_property_readonly("n_evaluations",
                             of_minimum([](const Minimum& m) { return m.n_evaluations; }))
      .def_property_readonly("undetermined",
                             of_minimum([](const Minimum& m) { return m.undetermined; }))
      .def_property_readonly(
          "gradient_norm", of_minimum([](const Minimum& m) { return m.projected_gradient_norm(); }))
      .def_property_readonly(
          "values", [](const ExternalMinimum& self) { return self.reorder(self.minimum.theta); })
      .def_property_readonly("held", &held)
      .def("errors", &errors)
      .def("covariance", &covariance)
      .def("covariance_times", &covariance_times, py::arg("vector"))
      .def("covariance_with", &covariance_with, py::arg("param"))
      .def(py::pickle(&get_state, &set_state));

  py::class_<OwnedProblem>(m, "FitProblem")
      .def(py::init<Array, Array, Array, Flags, double, int, double, int>(), py::arg("init"),
           py::arg("lower"), py::arg("upper"), py::arg("fixed"), py::arg("tolerance"),
           py::arg("max_iterations"), py::arg("precision"), py::arg("n_starts"));

  m.def("fit", &fit, py::arg("model"), py::arg("data"), py::arg("problem"));
}

}  // namespace nextstat
