// A table of numbers that is filled once and then only asked.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace sdx::ops {

// Gives values, 0 or more, by keys of 64 bits: an open table that is at most half full, so that
// most keys are found where they are looked for first.
class NumberIndex {
 public:
  static constexpr int64_t kNone = -1;

  // The value of the key, which is `value` unless the key was added before.
  int64_t add(uint64_t key, int64_t value) {
    if (2 * (count_ + 1) > entries_.size()) grow();
    Entry& entry = entries_[place(key)];
    if (entry.value != kNone) return entry.value;
    ++count_;
    entry = {key, value};
    return value;
  }

  int64_t find(uint64_t key) const { return entries_[place(key)].value; }

 private:
  struct Entry {
    uint64_t key = 0;
    int64_t value = kNone;
  };

  // Where the key is, or would be.
  std::size_t place(uint64_t key) const {
    const std::size_t last = entries_.size() - 1;
    std::size_t at = key * 0x9e3779b97f4a7c15u >> shift_;
    while (entries_[at].value != kNone && entries_[at].key != key) at = (at + 1) & last;
    return at;
  }

  void grow() {
    std::vector<Entry> old(2 * entries_.size());
    old.swap(entries_);
    shift_ = 64 - std::countr_zero(entries_.size());
    for (const Entry& entry : old)
      if (entry.value != kNone) entries_[place(entry.key)] = entry;
  }

  std::vector<Entry> entries_{2};
  std::size_t count_ = 0;
  int shift_ = 63;
};

}  // namespace sdx::ops
