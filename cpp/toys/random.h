// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11).
//
// Every block of bits is a function of (seed, stream, toy, datum, block) alone. Toys are therefore
// the same in whatever order and on however many threads they are drawn, and streams never overlap.
#pragma once

#include <array>
#include <cstdint>

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

// Two numbers between 0 and 1, both excluded.
struct Uniforms {
  double first, second;
};

// The random numbers of one datum of one toy, a block of bits at a time. A datum has its own, so
// that how many another one used does not matter: they can be drawn in any order, or all at once.
class Draws {
 public:
  static constexpr std::uint64_t n_toys = std::uint64_t{1} << 40;     // per stream,
  static constexpr std::uint32_t n_streams = std::uint32_t{1} << 24;  // before they repeat

  Draws(std::uint64_t seed, std::uint32_t stream, std::uint64_t toy, std::uint32_t datum)
      : seed_(seed), counter_{0, datum, static_cast<std::uint32_t>(toy),
                              stream | static_cast<std::uint32_t>(toy >> 32) << 24} {}

  Uniforms next() {
    const PhiloxCounter block = philox(seed_, counter_);
    ++counter_[0];
    return {uniform(block[0], block[1]), uniform(block[2], block[3])};
  }

 private:
  // The middle of one of 2^52 equal intervals: one bit more, and the last would round to 1.
  static double uniform(std::uint32_t low, std::uint32_t high) {
    const std::uint64_t interval = (std::uint64_t{high} << 32 | low) >> 12;
    return (static_cast<double>(interval) + 0.5) * 0x1p-52;
  }

  std::uint64_t seed_;
  PhiloxCounter counter_;
};

}  // namespace nextstat
