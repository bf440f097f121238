// Pseudo-experiments: main and auxiliary data thrown from a point of the parameter space.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace nextstat {

class Toys {
 public:
  // Thrown at theta (P,), in internal order; throws std::invalid_argument if an expectation there
  // is not finite.
  Toys(const Model& model, const Doubles& theta, std::uint64_t seed, std::uint32_t stream);

  // Fills n (n_bins,) and aux (n_aux,) of one toy:
  //   n_b ~ Poisson(nu_b),  a ~ Normal(theta, s) or Poisson(tau theta);
  // a Poisson mean below 0 counts as 0.
  void draw(std::uint64_t toy, double* n, double* aux) const;

  Data operator()(std::int64_t toy) const;

 private:
  const Model& model_;
  Doubles nu_;           // (n_bins,)
  Doubles aux_, width_;  // (n_aux,) means, and standard deviations where they are Gaussian
  std::uint64_t seed_;
  std::uint32_t stream_;
};

}  // namespace nextstat
