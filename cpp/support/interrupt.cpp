#include "support/interrupt.h"

#include <chrono>

namespace nextstat {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto interval = std::chrono::milliseconds(50);  // between questions
constexpr double unnoticed = 1e6;                         // operations between looks at the clock

std::atomic<void (*)()> question{nullptr};

thread_local double work_since = 0.0;
thread_local const StopFlag* stop_flag = nullptr;
thread_local bool asks_for_signals = false;
thread_local Clock::rep next_question = 0;

}  // namespace

WorksFor::WorksFor(const StopFlag* flag) : before_(stop_flag) { stop_flag = flag; }
WorksFor::~WorksFor() { stop_flag = before_; }

AsksForSignals::AsksForSignals(bool asks) : before_(asks_for_signals) { asks_for_signals = asks; }
AsksForSignals::~AsksForSignals() { asks_for_signals = before_; }

const StopFlag* current_stop_flag() { return stop_flag; }

void set_signal_question(void (*ask)()) { question = ask; }

void allow_interrupt() {
  work_since = 0.0;
  if (stop_flag != nullptr && stop_flag->is_set()) throw Stopped{};
  if (!asks_for_signals) return;
  const Clock::time_point now = Clock::now();
  if (now.time_since_epoch().count() < next_question) return;
  next_question = (now + interval).time_since_epoch().count();
  question.load()();
}

void allow_interrupt(double work) {
  work_since += work;
  if (work_since >= unnoticed) allow_interrupt();
}

}  // namespace nextstat
