#include "parallel.h"

#include <atomic>
#include <stdexcept>

#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __unix__
#include <pthread.h>
#endif

namespace nextstat {

namespace {

std::atomic<int> chosen{0};
std::atomic<bool> threads_started{false};
std::atomic<bool> orphaned{false};  // forked from a process with running threads

void after_fork_in_child() {
  if (threads_started) orphaned = true;
}

const bool registered = [] {
#ifdef __unix__
  pthread_atfork(nullptr, nullptr, after_fork_in_child);
#endif
  return true;
}();

}  // namespace

int num_threads() {
  if (orphaned) return 1;
  if (chosen > 0) return chosen;
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

int usable_threads(int n) { return n > 0 && !orphaned ? n : num_threads(); }

void set_num_threads(int n) {
  if (n < 0) throw std::invalid_argument("the number of threads must not be negative");
  chosen = n;
}

void note_threads_started() { threads_started = true; }

}  // namespace nextstat
