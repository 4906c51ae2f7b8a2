// One step in time of recurrent layers with their usual activations: the product of the states with
// the recurrent weights and the cell that follows, in one pass over the weights.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// Gates in the order of ONNX. A GRU whose reset scales the state, not the product, takes two cells,
// one after the other.
enum class RecurrentCell : uint8_t {
  rnn_tanh,
  rnn_relu,
  lstm,
  gru,            // reset scales the candidate's product
  gru_gates,      // update gate to `memory`, state times reset gate to `next`
  gru_candidate,  // from what gru_gates left: the product is of `state`, the blend with `kept`
};

// Packed weights: panels of as many units as a vector has floats, all gates of a panel side by
// side. Panels may be computed in any order and on different threads, with the same bits.
struct RecurrentLayout {
  std::size_t panels;
  std::size_t panel_floats;
};
using RecurrentLayoutQuery = RecurrentLayout(RecurrentCell cell, std::size_t hidden);
extern const Kernel<RecurrentLayoutQuery, kIsaCount> recurrent_layout;

// Packs some panels. `weights` are those of the cell's gates alone, [gates * hidden][hidden]. Align
// `packed`, where the first panel lies, to 64 bytes.
using RecurrentPack = void(RecurrentCell cell, std::size_t hidden, const float* weights,
                           float* packed, std::size_t panel_begin, std::size_t panel_end);
extern const Kernel<RecurrentPack, kIsaCount> recurrent_pack;

// Arrays hold a pointer for each row; rows of states have `hidden` floats. Nothing written overlaps
// anything read, but for `memory`. rows == 0 does nothing.
struct RecurrentStep {
  std::size_t hidden, rows;
  const float* weights;               // packed
  const float* const* state;          // the product's operand
  const float* const* fresh;          // all gates of the operator: what the inputs and biases add
  const float* inner_bias = nullptr;  // gru: added to the candidate's product, or null
  float* const* next;                 // the state afterwards
  float* const* memory = nullptr;     // lstm: c, before and after; for the parts of a GRU see there
  const float* const* kept = nullptr;  // gru_candidate: the state before
  // From the last panel to the first: what the step before read last may still be in cache.
  bool descending = false;
};
using RecurrentRun = void(RecurrentCell cell, const RecurrentStep& step, std::size_t panel_begin,
                          std::size_t panel_end);
extern const Kernel<RecurrentRun, kIsaCount> recurrent_run;

}  // namespace sdx::kernels
