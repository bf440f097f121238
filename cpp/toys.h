// Pseudo-experiments: main and auxiliary data thrown from a point of the parameter space.
#pragma once

#include <cstdint>

#include "kernels.h"

namespace nextstat {

class Toys {
 public:
  // Thrown at theta (P,), in internal order.
  Toys(const Model& model, const Doubles& theta, std::uint64_t seed, std::uint32_t stream);

  // Fills n (n_bins,) and aux (n_aux,) of one toy:
  //   n_b ~ Poisson(nu_b),  a ~ Normal(theta, s) or Poisson(tau theta).
  void draw(std::uint64_t toy, double* n, double* aux) const;

  Data operator()(std::int64_t toy) const;

 private:
  const Model& model_;
  Doubles theta_, nu_;
  std::uint64_t seed_;
  std::uint32_t stream_;
};

}  // namespace nextstat
