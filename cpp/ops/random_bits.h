// Random numbers as a function of a key and a counter, so that threads need no common state.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <random>

namespace sdx::ops {

// The output function of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
// generators").
inline uint64_t random_bits(uint64_t key, uint64_t counter) {
  uint64_t z = key + (counter + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// In [0, 1).
inline double random_unit(uint64_t key, int64_t counter) {
  return static_cast<double>(random_bits(key, static_cast<uint64_t>(counter)) >> 11) * 0x1p-53;
}

// The stream that the standard's own evaluator draws from for a seed: NumPy's first generator,
// which is the Mersenne Twister (Matsumoto and Nishimura, 1998), two words a number. Runs continue
// it.
class SeededStream {
 public:
  explicit SeededStream(uint64_t seed) : engine_(static_cast<uint32_t>(seed)) {}

  // n numbers in [0, 1) that no other call gets.
  template <class F>
  void draw(int64_t n, F&& take) {
    const std::lock_guard lock(mutex_);
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t high = engine_() >> 5, low = engine_() >> 6;
      take(i, (high * 67108864.0 + low) * 0x1p-53);
    }
  }

 private:
  std::mutex mutex_;
  std::mt19937 engine_;
};

// The keys of one node's runs, one after the other. Without a seed every one has its own.
class KeySequence {
 public:
  explicit KeySequence(std::optional<uint64_t> seed) {
    std::random_device device;
    seed_ = seed ? *seed : (static_cast<uint64_t>(device()) << 32) | device();
  }
  uint64_t next() {
    return random_bits(seed_, runs_.fetch_add(1, std::memory_order_relaxed) ^ 0xd1b54a32d192ed03);
  }

 private:
  uint64_t seed_;
  std::atomic<uint64_t> runs_{0};
};

}  // namespace sdx::ops
