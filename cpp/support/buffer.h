// Arrays whose first element is aligned to a cache line.
//
// Vectorised sums may start where the address suits them, so a sum over an array depends in its
// last bit on where the array lies. With aligned arrays it never does: results are reproducible.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace nextstat {

template <class T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t alignment{64};

  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}

  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), alignment)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, alignment); }

  template <class U>
  bool operator==(const AlignedAllocator<U>&) const {
    return true;
  }
  template <class U>
  bool operator!=(const AlignedAllocator<U>&) const {
    return false;
  }
};

using Doubles = std::vector<double, AlignedAllocator<double>>;

inline double dot(const Doubles& x, const Doubles& y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

}  // namespace nextstat
