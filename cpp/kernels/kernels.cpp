#include "kernels/kernels.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace nextstat {

namespace baseline {
extern const Kernels table;
}
#ifdef NEXTSTAT_X86_LEVELS
namespace x86_64_v3 {
extern const Kernels table;
}
namespace x86_64_v4 {
extern const Kernels table;
}
#endif

namespace {

const Kernels* chosen = available_kernels().front();

}  // namespace

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> found;
#ifdef NEXTSTAT_X86_LEVELS
  __builtin_cpu_init();
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi2");
  if (v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd")) {
    found.push_back(&x86_64_v4::table);
  }
  if (v3) found.push_back(&x86_64_v3::table);
#endif
  found.push_back(&baseline::table);
  return found;
}

const Kernels& kernels() { return *chosen; }

void choose_kernels(const char* level) {
  for (const Kernels* candidate : available_kernels()) {
    if (candidate->level == std::string(level)) {
      chosen = candidate;
      return;
    }
  }
  throw std::invalid_argument(std::string("no kernels for level '") + level + "' on this machine");
}

Evaluation::Evaluation(const Model& m)
    : R(m.n_samples), L(m.n_samples), F(m.n_samples), N(m.n_cells), group_factor(m.n_rows),
      group_yield(m.n_rows), nu(m.n_bins), weight(m.n_bins), curvature(m.n_bins), even(m.n_params),
      even1(m.n_params), even2(m.n_params), factor(m.norm_sample.size()),
      dlog(m.norm_sample.size()), d2(m.norm_sample.size()), sample_slope(m.n_samples),
      cell_slope(m.n_cells) {}

void Evaluation::reserve_second_derivatives(const Model& m) {
  std::size_t jacobian = 0, rows = 0, sparse = 0, locals = 0;
  for (const Block& block : m.blocks) {
    const std::size_t columns = block.globals.size();
    std::size_t capacity = 0;
    for (int c : block.channels) {
      const Channel& channel = m.channels[c];
      capacity += channel.n_bins + 2 * channel.n_samples;
      jacobian = std::max(jacobian, columns * channel.n_bins);
    }
    rows = std::max(rows, columns * capacity);
    if (static_cast<int>(columns) < m.n_global) sparse = std::max(sparse, columns * columns);
  }
  for (const Channel& channel : m.channels) {
    std::size_t factors = 0;
    for (int g = channel.group; g < channel.group + channel.n_groups; ++g) {
      factors += m.groups[g].n_factors;
    }
    locals = std::max(locals, factors);
  }
  std::size_t touched = 0;
  for (const Sample& sample : m.samples) {
    touched = std::max(touched, static_cast<std::size_t>(sample.n_touched));
  }
  d.resize(touched);
  u.resize(touched);
  J.resize(jacobian);
  J_group.resize(jacobian);
  X.resize(rows);
  Y.resize(rows);
  product.resize(sparse);
  local.resize(locals);
  local_slope.resize(locals);
}

}  // namespace nextstat
