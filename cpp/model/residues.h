// Cells that variations empty: their yield is zero, and not what rounding leaves of it.
#pragma once

#include "kernels/kernels.h"
#include "model/model.h"

namespace nextstat {

// The cells that histosys can bring to zero, those first for which the least |a| is enough.
std::vector<Emptiable> find_emptiable(const Model& m);

// Clears the cells of e.N that are nothing but rounding of their terms, which e.even completes; no
// |a| is larger than `reach`.
void clear_residues(const Model& m, const double* theta, double reach, Evaluation& e);

}  // namespace nextstat
