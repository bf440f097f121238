// How the likelihood depends on what the model is made of: its derivatives in templates, data and
// parameters, at given parameters.
//
// Everything a fit gives follows from these. With the minimum theta(t) of nll(theta, t) and its
// Hessian H in the free parameters,
//   d nll(theta(t), t) / dt = d nll / dt                       (the envelope theorem)
//   d theta / dt = -H^-1 d2 nll / d theta dt                   (the implicit function theorem)
// where the mixed derivative is only ever needed along a line: evaluating the gradient with jets
// theta + e v gives v . d2 nll / d theta dt as its first derivative in e, and v . dH/dt . v, which
// the derivative of a variance is made of, as its second.
//
// Parameters, samples and modifiers are in the caller's order, as in ModelSpec.
#pragma once

#include <vector>

#include "formulas/jet.h"
#include "model/model.h"

namespace nextstat {

// Derivatives in everything, T = double or Jet.
template <class T>
struct Sensitivities {
  std::vector<T> params;              // (P,)
  std::vector<T> nominal;             // (cells,)
  std::vector<T> norm_lo, norm_hi;    // (I,)
  std::vector<T> histo_lo, histo_hi;  // bins of the J samples, concatenated
  std::vector<T> constraint_scale;    // (P,) Gaussian width or Poisson tau
  // (n_bins,), without digamma(n + 1); 0 for n = 0 where nothing is expected (it is infinite)
  std::vector<T> data;
  std::vector<T> aux;  // (n_aux,), of Poisson ones without digamma(a + 1)
};

// Of nll. theta (P,), n (n_bins,), aux (n_aux,)
template <class T>
Sensitivities<T> nll_sensitivities(const ModelSpec& spec, const T* theta, const double* n,
                                   const double* aux);

// Of sum_b weight_b nu_b: how expected events, and with them Asimov data, depend on everything.
// theta (P,), weight (n_bins,); `data` and `aux` stay empty
Sensitivities<double> yield_sensitivities(const ModelSpec& spec, const double* theta,
                                          const double* weight);

}  // namespace nextstat
