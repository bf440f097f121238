// Threads and instruction sets.
#include "../parallel.h"
#include "bind.h"

namespace nextstat {

void bind_runtime(py::module_& m) {
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("n"));
  m.def("note_threads_started", &note_threads_started);
  m.def("simd_level", [] { return kernels().level; });
  m.def("simd_levels", [] {
    std::vector<std::string> levels;
    for (const Kernels* k : available_kernels()) levels.emplace_back(k->level);
    return levels;
  });
  m.def(
      "choose_simd_level", [](const std::string& level) { choose_kernels(level.c_str()); },
      py::arg("level"));
}

}  // namespace nextstat
