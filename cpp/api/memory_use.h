// What a session holds in memory, and why.
#pragma once

#include <cstdint>
#include <string>

#include "api/shared.h"

namespace sdx {

// In bytes, but for `plans`.
struct MemoryUse {
  // Weights that are read where the file is mapped: every process that maps it shares their pages,
  // and the system may drop them, to read them again.
  int64_t mapped_weights = 0;
  // Weights in memory of the session's own: not aligned in the file, computed at load, or of a model
  // that came as bytes. Sessions that were given the same tensor share it.
  int64_t own_weights = 0;
  // What the steps read instead of weights, in the order that their kernels want.
  int64_t packed_weights = 0;
  int64_t running = 0;       // values of runs in progress
  int64_t idle = 0;          // the same memory, kept for the next runs until `trim`
  int64_t kept_results = 0;  // of results whose owners are gone, kept for the next ones until `trim`
  int64_t plans = 0;         // how many plans are kept, one for each set of input shapes

  int64_t total() const {
    return mapped_weights + own_weights + packed_weights + running + idle + kept_results;
  }
};

// One line for each kind that is there, with what it is for.
std::string to_text(const MemoryUse& use) SDX_SHARED(memory_use_text);

}  // namespace sdx
