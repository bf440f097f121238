// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11).
//
// Every block of bits is a function of (seed, stream, toy, block) alone. Toys are therefore the
// same in whatever order and on however many threads they are drawn, and streams never overlap.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

namespace nextstat {

using PhiloxCounter = std::array<std::uint32_t, 4>;

// The seed is the key.
inline PhiloxCounter philox(std::uint64_t seed, PhiloxCounter c) {
  std::uint32_t k0 = static_cast<std::uint32_t>(seed);
  std::uint32_t k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

// The bits of one toy, as the standard library's distributions want them.
class ToyBits {
 public:
  using result_type = std::uint64_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

  ToyBits(std::uint64_t seed, std::uint32_t stream, std::uint64_t toy)
      : seed_(seed), counter_{0, stream, static_cast<std::uint32_t>(toy),
                              static_cast<std::uint32_t>(toy >> 32)} {}

  result_type operator()() {
    if (used_ == 2) {
      block_ = philox(seed_, counter_);
      ++counter_[0];
      used_ = 0;
    }
    const int i = 2 * used_++;
    return std::uint64_t{block_[i + 1]} << 32 | block_[i];
  }

 private:
  std::uint64_t seed_;
  PhiloxCounter counter_;
  PhiloxCounter block_{};
  int used_ = 2;
};

}  // namespace nextstat
