// Ctrl-C in long calls.
//
// Kernels say now and then that they may be interrupted. The thread that Python's signals reach
// then asks whether there was one, at most 20 times a second; all others look at the flag of those
// they work for. What ends the work is an exception, thrown out of the kernel.
#pragma once

#include <atomic>

namespace nextstat {

// Thrown in threads whose work was stopped by another one.
struct Stopped {};

// Tells the threads that work for it, and those that work for these, to stop.
class StopFlag {
 public:
  explicit StopFlag(const StopFlag* outer = nullptr) : outer_(outer) {}

  void set() { set_ = true; }
  bool is_set() const {
    return set_.load(std::memory_order_relaxed) || (outer_ && outer_->is_set());
  }

 private:
  std::atomic<bool> set_{false};
  const StopFlag* outer_;
};

// The flag that this thread looks at, and whether it asks for signals; each holds while it lives.
class WorksFor {
 public:
  explicit WorksFor(const StopFlag* flag);
  ~WorksFor();
  WorksFor(const WorksFor&) = delete;

 private:
  const StopFlag* before_;
};

class AsksForSignals {
 public:
  explicit AsksForSignals(bool asks);
  ~AsksForSignals();
  AsksForSignals(const AsksForSignals&) = delete;

 private:
  bool before_;
};

const StopFlag* current_stop_flag();

// What asking means: a function that throws if the work is to end.
void set_signal_question(void (*ask)());

// Ends the work, if it is to end; reads a clock.
void allow_interrupt();

// The same from time to time: to be called before about so many floating-point operations.
void allow_interrupt(double work);

}  // namespace nextstat
