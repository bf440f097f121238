// Threads, interruption and instruction sets.
#include <atomic>

#include "bindings/bind.h"
#include "support/parallel.h"

namespace nextstat {

namespace {

std::atomic<unsigned long> main_thread{0};

void find_main_thread() {
  const py::object ident = py::module_::import("threading").attr("main_thread")().attr("ident");
  main_thread = ident.cast<unsigned long>();
}

// Throws what Python's signal handlers raise, KeyboardInterrupt for one.
void ask_for_signals() {
  const py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

void raise_stopped(std::exception_ptr thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const Stopped&) {
    PyErr_SetString(PyExc_KeyboardInterrupt, "stopped by another thread");
  }
}

// A flag that one thread sets and others, within `with flag:`, work for.
class SharedFlag {
 public:
  void set() { flag_.set(); }
  void enter() { here_ = std::make_unique<WorksFor>(&flag_); }
  void exit() { here_.reset(); }

 private:
  StopFlag flag_;
  static thread_local std::unique_ptr<WorksFor> here_;
};

thread_local std::unique_ptr<WorksFor> SharedFlag::here_;

}  // namespace

bool in_main_thread() { return PyThread_get_thread_ident() == main_thread; }

void bind_runtime(py::module_& m) {
  find_main_thread();
  const py::module_ os = py::module_::import("os");
  if (py::hasattr(os,
                  "register_at_fork")) {  // whichever thread forked is the main one of the child
    os.attr("register_at_fork")(py::arg("after_in_child") = py::cpp_function(&find_main_thread));
  }
  set_signal_question(&ask_for_signals);
  py::register_exception_translator(&raise_stopped);
  py::class_<SharedFlag>(m, "StopFlag")
      .def(py::init<>())
      .def("set", &SharedFlag::set)
      .def("__enter__", &SharedFlag::enter)
      .def("__exit__", [](SharedFlag& self, const py::args&) { self.exit(); });
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
