#include <cmath>
#include <stdexcept>

#include "formulas/distributions.h"
#include "model/model.h"

namespace nextstat {

Data::Data(const Model& owner, const double* counts, const double* measured)
    : n(counts, counts + owner.n_bins), aux(measured, measured + owner.aux_param.size()),
      center(owner.n_params, 0.0), constant(0.0), model(owner.serial) {
  constexpr double log_sqrt_2pi = 0.91893853320467274178;
  for (double count : n) {
    if (!(count >= 0.0 && std::isfinite(count))) {
      throw std::invalid_argument("data must be finite and not negative");
    }
    constant += poisson_minimum(count);
  }
  for (std::size_t k = 0; k < owner.aux_param.size(); ++k) {
    const int p = owner.aux_param[k];
    const double a = aux[k];
    if (!std::isfinite(a)) throw std::invalid_argument("auxdata must be finite");
    center[p] = a;
    if (owner.tau[p] > 0.0) {
      if (a < 0.0)
        throw std::invalid_argument("auxdata of a Poisson constraint must not be negative");
      constant += poisson_minimum(a);
    } else {
      constant += log_sqrt_2pi - 0.5 * std::log(owner.inverse_variance[p]);
    }
  }
}

}  // namespace nextstat
