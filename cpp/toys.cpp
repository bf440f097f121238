#include "toys.h"

#include <cmath>
#include <random>

#include "random.h"

namespace nextstat {

namespace {

double poisson(double mean, ToyBits& bits) {
  if (mean <= 0.0) return 0.0;
  return static_cast<double>(std::poisson_distribution<std::int64_t>(mean)(bits));
}

}  // namespace

Toys::Toys(const Model& model, const Doubles& theta, std::uint64_t seed, std::uint32_t stream)
    : model_(model), theta_(theta), seed_(seed), stream_(stream) {
  Evaluation evaluation(model);
  kernels().expected(model, theta_.data(), evaluation);
  nu_ = evaluation.nu;
}

void Toys::draw(std::uint64_t toy, double* n, double* aux) const {
  ToyBits bits(seed_, stream_, toy);
  for (int b = 0; b < model_.n_bins; ++b) n[b] = poisson(nu_[b], bits);
  std::normal_distribution<double> normal;
  for (std::size_t k = 0; k < model_.aux_param.size(); ++k) {
    const int p = model_.aux_param[k];
    aux[k] = model_.tau[p] > 0.0 ? poisson(model_.tau[p] * theta_[p], bits)
                                 : theta_[p] + normal(bits) / std::sqrt(model_.inverse_variance[p]);
  }
}

Data Toys::operator()(std::int64_t toy) const {
  Doubles n(model_.n_bins), aux(model_.aux_param.size());
  draw(static_cast<std::uint64_t>(toy), n.data(), aux.data());
  return Data(model_, n.data(), aux.data());
}

}  // namespace nextstat
