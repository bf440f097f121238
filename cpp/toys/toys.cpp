#include "toys/toys.h"

#include <cmath>
#include <stdexcept>
#include <string>

#include "support/interrupt.h"
#include "toys/variates.h"

namespace nextstat {

namespace {

void check_finite(const Doubles& means, const char* what) {
  for (std::size_t k = 0; k < means.size(); ++k) {
    if (std::isfinite(means[k])) continue;
    throw std::invalid_argument("no toys can be thrown: the expectation of " + std::string(what) +
                                " " + std::to_string(k) + " is " + std::to_string(means[k]));
  }
}

}  // namespace

Toys::Toys(const Model& model, const Doubles& theta, std::uint64_t seed, std::uint32_t stream)
    : model_(model), seed_(seed), stream_(stream) {
  Evaluation evaluation(model);
  kernels().expected(model, theta.data(), evaluation);
  nu_ = evaluation.nu;
  for (const int p : model.aux_param) {
    const bool counts = model.tau[p] > 0.0;
    aux_.push_back(counts ? model.tau[p] * theta[p] : theta[p]);
    width_.push_back(counts ? 0.0 : 1.0 / std::sqrt(model.inverse_variance[p]));
  }
  check_finite(nu_, "bin");
  check_finite(aux_, "auxiliary measurement");
  check_finite(width_, "the width of auxiliary measurement");
}

void Toys::draw(std::uint64_t toy, double* n, double* aux) const {
  constexpr double work_per_datum = 100.0;
  allow_interrupt(work_per_datum * static_cast<double>(nu_.size() + aux_.size()));
  std::uint32_t datum = 0;
  for (std::size_t b = 0; b < nu_.size(); ++b) {
    Draws draws(seed_, stream_, toy, datum++);
    n[b] = poisson_variate(nu_[b], draws);
  }
  for (std::size_t k = 0; k < aux_.size(); ++k) {
    Draws draws(seed_, stream_, toy, datum++);
    const bool counts = model_.tau[model_.aux_param[k]] > 0.0;
    aux[k] = counts ? poisson_variate(aux_[k], draws) : aux_[k] + width_[k] * normal_variate(draws);
  }
}

Data Toys::operator()(std::int64_t toy) const {
  Doubles n(model_.n_bins), aux(model_.aux_param.size());
  draw(static_cast<std::uint64_t>(toy), n.data(), aux.data());
  return Data(model_, n.data(), aux.data());
}

}  // namespace nextstat
