// The kernel table of one instruction set. Compiled once per level with NEXTSTAT_LEVEL set.
#include "kernels/arrow_algebra.h"
#include "kernels/likelihood.h"

#define NEXTSTAT_STRING(x) #x
#define NEXTSTAT_NAME(x) NEXTSTAT_STRING(x)

namespace nextstat {
namespace NEXTSTAT_LEVEL {

extern const Kernels table;
const Kernels table{NEXTSTAT_NAME(NEXTSTAT_LEVEL),
                    expected,
                    nll,
                    gradient,
                    hessian,
                    difference,
                    factorise,
                    solve,
                    row_sums,
                    multiply,
                    inverse,
                    inverse_diagonal,
                    descent_curvature};

}  // namespace NEXTSTAT_LEVEL
}  // namespace nextstat
