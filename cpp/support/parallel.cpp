#include "support/parallel.h"

#include <chrono>
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

void Team::keep(std::exception_ptr thrown) {
  const std::lock_guard<std::mutex> lock(mutex_);
  flag_.set();
  next_ = n_;
  if (!thrown_) thrown_ = std::move(thrown);
}

// A thread is done. The first one waits for the others here and not at the end of the region, where
// it could not ask for signals.
void Team::leave() {
  constexpr auto interval = std::chrono::milliseconds(20);
  std::unique_lock<std::mutex> lock(mutex_);
  ++n_left_;
#ifdef _OPENMP
  const int n_threads = omp_get_num_threads();
  if (n_left_ == n_threads) all_left_.notify_one();
  if (omp_get_thread_num() != 0) return;
  const auto finished = [&] { return n_left_ == n_threads; };
  while (!all_left_.wait_for(lock, interval, finished)) {
    lock.unlock();
    keep_exception([] { allow_interrupt(); });
    lock.lock();
  }
#endif
}

}  // namespace nextstat
