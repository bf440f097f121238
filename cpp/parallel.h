// The thread count, and when it is safe to start threads.
#pragma once

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

}  // namespace nextstat
