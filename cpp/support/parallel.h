// The thread count, when it is safe to start threads, and loops that run on them.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>

#include "support/interrupt.h"

namespace nextstat {

// Number of threads parallel work may use: the chosen one, else one per available processor.
// Always 1 in a process forked from one that had already started threads, where the OpenMP
// runtime would wait for threads that no longer exist.
int num_threads();

// The threads a call that asks for n may use: n, but num_threads() for n = 0, and 1 where threads
// cannot be started.
int usable_threads(int n);

// n >= 1 sets the thread count, n = 0 restores the default.
void set_num_threads(int n);

// Called before a parallel region is entered.
void note_threads_started();

// The threads of one parallel loop over n items: who takes which, and how it ends when one throws.
class Team {
 public:
  explicit Team(int n) : n_(n), flag_(current_stop_flag()) {}

  // In each thread: work() takes items until there are none. The first thread, which signals
  // reach, stays until all have left.
  template <class Work>
  void run(Work work) {
    keep_exception(work);
    leave();
  }

  // The next item, in order; n if there is none.
  int next() { return std::min(next_.fetch_add(1), n_); }

  // Outside of the parallel region: throws what was thrown within.
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  template <class Work>
  void keep_exception(Work work) {
    try {
      const WorksFor here(&flag_);
      work();
    } catch (...) {
      keep(std::current_exception());
    }
  }

  void keep(std::exception_ptr thrown);
  void leave();

  const int n_;
  StopFlag flag_;
  std::atomic<int> next_{0};
  std::mutex mutex_;
  std::condition_variable all_left_;
  int n_left_ = 0;             // threads
  std::exception_ptr thrown_;  // first
};

// each(worker, k) for k = 0 ... n - 1, in any order, on threads that have a worker of make() each.
// If one throws, the others stop as soon as they can, and its exception comes out.
template <class Make, class Each>
void parallel_for(int n, int n_threads, Make make, Each each) {
  n_threads = std::max(1, std::min(n_threads, n));
  const auto work = [&](auto next) {
    auto worker = make();
    for (int k = next(); k < n; k = next()) each(worker, k);
  };
  if (n_threads == 1) {
    int k = 0;
    work([&k] { return k++; });
    return;
  }
  note_threads_started();
  Team team(n);
#pragma omp parallel num_threads(n_threads)
  team.run([&] { work([&team] { return team.next(); }); });
  team.rethrow();
}

}  // namespace nextstat
