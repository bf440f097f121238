// What the bound concepts share: array checks and the Python-side owners of C++ objects.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fit/descent.h"
#include "kernels/kernels.h"
#include "support/interrupt.h"

namespace nextstat {

namespace py = pybind11;
using Array = py::array_t<double, py::array::c_style | py::array::forcecast>;
using Flags = py::array_t<bool, py::array::c_style | py::array::forcecast>;

// A model and the evaluation buffers its callers have returned.
class SharedModel : public Model {
 public:
  using Model::Model;

  std::unique_ptr<Evaluation> borrow() const {
    std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || idle_.empty()) return std::make_unique<Evaluation>(*this);
    auto evaluation = std::move(idle_.back());
    idle_.pop_back();
    return evaluation;
  }

  void give_back(std::unique_ptr<Evaluation> evaluation) const {
    std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (lock.owns_lock() && idle_.size() < max_idle) idle_.push_back(std::move(evaluation));
  }

 private:
  static constexpr std::size_t max_idle = 16;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Evaluation>> idle_;
};

// Whether Python delivers signals to the calling thread.
bool in_main_thread();

// Without the GIL, and open to Ctrl-C: what releases it for long must let itself be interrupted.
class Unlocked {
 private:
  const AsksForSignals asks_{in_main_thread()};
  const py::gil_scoped_release release_;
};

inline void check_length(const py::array& array, py::ssize_t expected, const char* name) {
  if (array.ndim() != 1 || array.shape(0) != expected) {
    std::string shape = "(";
    for (py::ssize_t k = 0; k < array.ndim(); ++k) {
      shape += (k ? ", " : "") + std::to_string(array.shape(k));
    }
    throw std::invalid_argument(std::string(name) + " has shape " + shape + "), expected (" +
                                std::to_string(expected) + ",)");
  }
}

// Kernels read data as long as the model's arrays, in the order of its parameters.
inline void check_belongs(const Data& data, const Model& model) {
  if (data.model == model.serial) return;
  throw std::invalid_argument(
      "data belong to another model: they hold " + std::to_string(data.n.size()) + " bins and " +
      std::to_string(data.aux.size()) + " auxiliary measurements, the model has " +
      std::to_string(model.n_bins) + " and " + std::to_string(model.aux_param.size()) +
      "; make them with Data(model, n, aux)");
}

inline void check_parameter(int parameter, const Model& model, const char* name) {
  if (parameter >= 0 && parameter < model.n_params) return;
  throw std::invalid_argument(std::string(name) + " is " + std::to_string(parameter) +
                              ", expected the number of one of " + std::to_string(model.n_params) +
                              " parameters");
}

inline py::array_t<double> to_array(const Doubles& values) {
  return py::array_t<double>(static_cast<py::ssize_t>(values.size()), values.data());
}

// Values in internal order -> array in the caller's order.
inline py::array_t<double> to_external(const Model& model, const Doubles& values) {
  py::array_t<double> out(model.n_params);
  double* x = out.mutable_data();
  for (int i = 0; i < model.n_params; ++i) x[model.external[i]] = values[i];
  return out;
}

// Array in the caller's order -> values in internal order.
inline Doubles to_internal(const Model& model, const Array& values, const char* name) {
  check_length(values, model.n_params, name);
  Doubles out(model.n_params);
  for (int i = 0; i < model.n_params; ++i) out[i] = values.data()[model.external[i]];
  return out;
}

}  // namespace nextstat
