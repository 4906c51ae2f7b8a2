// Caches that grow: an output that holds an input's rows with new ones behind them may take the
// input's memory over, and then only the new rows are written.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace sdx {

// What an operator is besides when its outputs continue inputs, [..., rows, width] both. A step of
// it may find such an output at the address of its input. `Frame::input_tensor` is then the whole
// buffer: heads in it are as many rows apart as its shape says, the past being the first of each.
class KeepsCache {
 public:
  virtual ~KeepsCache() = default;
  // The input that output i continues, or -1.
  virtual int past_of(int output) const = 0;
};

// By output of the graph: the input whose memory it may take over, or -1. Nothing else may read
// either, since rows move as far apart as the caller has room for.
std::vector<int> cache_inputs(const Graph& graph);

}  // namespace sdx
