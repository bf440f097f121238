#include "model/residues.h"

#include <algorithm>
#include <cmath>

namespace nextstat {

namespace {

constexpr double residue = 1e-14;     // share of the terms of a sum that is nothing but rounding
constexpr double largest_even = 8.0;  // |q(a)| <= 8 |a| for every code; see even_part
constexpr double safety = 1e-12;      // of the |a| from which on a cell can be empty

// Sum of the sizes of the terms of N_sb = nominal_sb + sum_k [a_k S_ksb + q(a_k) A_ksb].
double size_of_terms(const Model& m, const double* theta, const Evaluation& e, int s, int cell) {
  const Sample& sample = m.samples[s];
  double size = std::fabs(m.nominal[cell]);
  for (int k = sample.histo; k < sample.histo + sample.n_histo; ++k) {
    const int instance = m.by_sample_histo[k], p = m.histo_param[instance];
    const int entry = m.histo_offset[instance] + cell - sample.cell;
    size += std::fabs(theta[p] * m.S[entry]) + std::fabs(e.even[p] * m.A[entry]);
  }
  return size;
}

}  // namespace

std::vector<Emptiable> find_emptiable(const Model& m) {
  Doubles change(m.n_cells, 0.0);  // by all histosys together, at most, per |a|
  for (const Run& run : m.runs) {
    for (int i = 0; i < run.length; ++i) {
      const double S = m.S[run.offset + i], A = m.A[run.offset + i];
      change[run.cell + i] += std::fabs(S) + largest_even * std::fabs(A);
    }
  }
  std::vector<Emptiable> found;
  for (int s = 0, cell = 0; s < m.n_samples; ++s) {
    const int end = s + 1 < m.n_samples ? m.samples[s + 1].cell : m.n_cells;
    for (; cell < end; ++cell) {
      if (change[cell] == 0.0) continue;
      const double nominal = std::fabs(m.nominal[cell]);
      found.push_back({s, cell, (1.0 - safety) * nominal / change[cell], nominal + change[cell]});
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Emptiable& a, const Emptiable& b) { return a.reach < b.reach; });
  return found;
}

void clear_residues(const Model& m, const double* theta, double reach, Evaluation& e) {
  const double share = residue * std::max(reach, 1.0);
  for (const Emptiable& place : m.emptiable) {
    if (place.reach > reach) return;
    double& N = e.N[place.cell];
    if (N == 0.0 || std::fabs(N) > share * place.scale) continue;
    if (std::fabs(N) < residue * size_of_terms(m, theta, e, place.sample, place.cell)) N = 0.0;
  }
}

}  // namespace nextstat
