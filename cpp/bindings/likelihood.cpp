// Likelihood functions of (model, data, parameters) in the caller's parameter order.
#include "bindings/bind.h"

namespace nextstat {

namespace {

// Calls f(internal parameters, evaluation) without the GIL.
template <class F>
auto evaluate(const SharedModel& model, const Array& params, F f) {
  const Doubles theta = to_internal(model, params, "params");
  auto evaluation = model.borrow();
  const Unlocked unlocked;
  struct Return {  // also when f throws
    const SharedModel& model;
    std::unique_ptr<Evaluation>& evaluation;
    ~Return() { model.give_back(std::move(evaluation)); }
  } give_back{model, evaluation};
  return f(theta.data(), *evaluation);
}

double nll(const SharedModel& model, const Data& data, const Array& params) {
  check_belongs(data, model);
  return evaluate(model, params, [&](const double* theta, Evaluation& e) {
    return kernels().nll(model, data, theta, e);
  });
}

py::array_t<double> nll_gradient(const SharedModel& model, const Data& data, const Array& params) {
  check_belongs(data, model);
  Doubles gradient(model.n_params);
  evaluate(model, params, [&](const double* theta, Evaluation& e) {
    return kernels().gradient(model, data, theta, e, gradient.data());
  });
  return to_external(model, gradient);
}

// Arrow (internal order) -> dense symmetric matrix (caller's order).
void expand(const Model& model, const ArrowShape& shape, const Arrow& H, double* out) {
  const std::size_t P = model.n_params;
  const auto set = [&](int i, int j, double value) {
    const std::size_t p = model.external[i], q = model.external[j];
    out[p * P + q] = out[q * P + p] = value;
  };
  for (std::size_t k = 0; k < P * P; ++k) out[k] = 0.0;
  const int G = shape.n_global;
  for (int j = 0; j < G; ++j) {
    for (int i = j; i < G; ++i) set(i, j, H.A[static_cast<std::size_t>(j) * G + i]);
  }
  for (int l = 0; l < shape.n_coupled; ++l) {
    for (int g = 0; g < G; ++g) set(G + l, g, H.B[static_cast<std::size_t>(l) * G + g]);
  }
  for (std::size_t k = 0; k + 1 < shape.block.size(); ++k) {
    const int end = shape.block[k + 1];
    for (int j = shape.block[k]; j < end; ++j) {
      for (int i = j; i < end; ++i) set(G + i, G + j, H.D[shape.entry[j] + i - j]);
    }
  }
}

py::array_t<double> nll_hessian(const SharedModel& model, const Data& data, const Array& params) {
  check_belongs(data, model);
  const py::ssize_t P = model.n_params;
  py::array_t<double> out({P, P});
  double* dense = out.mutable_data();
  Doubles gradient(model.n_params);
  evaluate(model, params, [&](const double* theta, Evaluation& e) {
    e.reserve_second_derivatives(model);
    const ArrowShape shape(model);
    Arrow hessian(shape);
    kernels().hessian(model, data, theta, e, gradient.data(), shape, hessian);
    expand(model, shape, hessian, dense);
    return 0;
  });
  return out;
}

py::array_t<double> expected(const SharedModel& model, const Array& params) {
  return to_array(evaluate(model, params, [&](const double* theta, Evaluation& e) {
    kernels().expected(model, theta, e);
    return e.nu;
  }));
}

// Yields of each sample: (cells,) in the order of ModelSpec::nominal.
py::array_t<double> expected_by_sample(const SharedModel& model, const Array& params) {
  Doubles yields;
  evaluate(model, params, [&](const double* theta, Evaluation& e) {
    kernels().expected(model, theta, e);
    int s = 0;
    for (std::size_t c = 0; c < model.channels.size(); ++c) {
      const Channel& channel = model.channels[c];
      for (int k = 0; k < channel.n_samples; ++k, ++s) {
        const int i = model.sample_index[s];
        int g = channel.group;
        while (model.groups[g].sample + model.groups[g].n_samples <= i) ++g;
        for (int b = 0; b < channel.n_bins; ++b) {
          yields.push_back(e.group_factor[model.groups[g].row + b] * e.F[i] *
                           e.N[model.samples[i].cell + b]);
        }
      }
    }
    return 0;
  });
  return to_array(yields);
}

// nll(params) - nll(reference), exact where both are large.
double nll_difference(const SharedModel& model, const Data& data, const Array& params,
                      const Array& reference) {
  check_belongs(data, model);
  const Doubles theta0 = to_internal(model, reference, "reference");
  return evaluate(model, params, [&](const double* theta1, Evaluation& e) {
    kernels().expected(model, theta0.data(), e);
    const Doubles nu0 = e.nu;
    kernels().expected(model, theta1, e);
    return kernels().difference(model, data, theta1, e.nu.data(), theta0.data(), nu0.data());
  });
}

}  // namespace

void bind_likelihood(py::module_& m) {
  m.def("nll", &nll, py::arg("model"), py::arg("data"), py::arg("params"));
  m.def("nll_gradient", &nll_gradient, py::arg("model"), py::arg("data"), py::arg("params"));
  m.def("nll_hessian", &nll_hessian, py::arg("model"), py::arg("data"), py::arg("params"));
  m.def("nll_difference", &nll_difference, py::arg("model"), py::arg("data"), py::arg("params"),
        py::arg("reference"));
  m.def("expected", &expected, py::arg("model"), py::arg("params"));
  m.def("expected_by_sample", &expected_by_sample, py::arg("model"), py::arg("params"));
}

}  // namespace nextstat
