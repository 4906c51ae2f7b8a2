// A recurrent network of known sizes. What comes from the inputs is one product over all steps;
// then directions and blocks of the batch run through time on their own.
#pragma once

#include <optional>
#include <type_traits>

#include "base/frame.h"
#include "ir/op.h"
#include "kernels/recurrent.h"
#include "ops/gemm_plan.h"
#include "ops/rnn_cell.h"

namespace sdx::ops {

// Inputs of RNN, GRU and LSTM.
struct RecurrentInputs {
  static constexpr int x = 0, weights = 1, recurrence = 2, bias = 3, lengths = 4;
  static constexpr int initial_h = 5, initial_c = 6, peepholes = 7;
};

struct RecurrentSizes {
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 1, gates = 1;
  int64_t columns() const { return gates * hidden; }
};

// The frame of a run, and whether what is called may take all of its threads.
struct Caller {
  const Frame& frame;
  bool shares = false;
};

// Weights of one direction, [n][k] as ONNX has them: packed floats, or doubles as they lie.
struct FloatProducts {
  GemmKernels gemm;
  int64_t floats(int64_t k, int64_t n) const { return gemm.packed_floats(k, n); }
  void pack(const Frame* f, int64_t k, int64_t n, const float* from, float* to) const;
  void multiply(const Caller& by, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                const float* weights, const float* bias, float* c, int64_t ldc) const;
};

struct DoubleProducts {
  void multiply(const Caller& by, int64_t m, int64_t n, int64_t k, const double* a, int64_t lda,
                const double* weights, const double* bias, double* c, int64_t ldc) const;
};

// Product and cell in one pass: one cell, or the two that a GRU takes whose reset comes first.
struct FusedSteps {
  kernels::RecurrentCell cells[2] = {};
  int count = 0;  // 0: this network has none
  kernels::RecurrentLayoutQuery* layout = kernels::recurrent_layout.resolve();
  kernels::RecurrentPack* pack_weights = kernels::recurrent_pack.resolve();
  kernels::RecurrentRun* run = kernels::recurrent_run.resolve();

  // For cells without clip, whose activations are the usual ones.
  static FusedSteps of(const Cell<float>& cell);
  explicit operator bool() const { return count > 0; }
  int64_t floats(int cell, int64_t hidden) const;
  int64_t floats(int64_t hidden) const;
  void pack(const Frame* f, int64_t hidden, const float* from, float* to) const;
};

template <class T>
class RecurrentNetwork {
 public:
  RecurrentSizes sizes;
  bool by_batch = false;  // layout 1: the batch is the outermost axis
  bool reverse[2] = {false, false};
  Cell<T> cells[2];
  FusedSteps fused;  // for floats without peepholes
  const float *packed_weights = nullptr, *packed_recurrence = nullptr;

  // Of one direction.
  int64_t weight_floats() const;
  int64_t recurrence_floats() const;
  // All directions; on all threads where there is a run.
  void pack_weights(const Frame* f, const float* from, float* to) const;
  void pack_recurrence(const Frame* f, const float* from, float* to) const;

  void plan(PrepareContext& ctx);
  void operator()(Frame& f) const;

 private:
  using Products = std::conditional_t<std::is_same_v<T, float>, FloatProducts, DoubleProducts>;
  using In = RecurrentInputs;

  // GRU multiplies its candidate on its own where the reset comes first.
  bool splits_recurrence() const {
    return cells[0].kind == CellKind::gru && !cells[0].resets_after_product;
  }
  int64_t first_columns() const { return splits_recurrence() ? 2 * sizes.hidden : sizes.columns(); }
  // Rows that a product reads side by side lie an odd number of cache lines apart: some processors
  // take lines at the same place of a power of two for one another.
  int64_t operand_stride() const {
    constexpr int64_t kLine = 16;  // floats
    return ((sizes.hidden + kLine - 1) / kLine | 1) * kLine;
  }
  // Of one row: in the general way gates, h, c and some to spare, else what fused steps keep.
  int64_t state_values() const {
    return fused ? 3 * operand_stride() + sizes.hidden : sizes.columns() + 3 * sizes.hidden;
  }
  T* at(const Frame& f, int64_t offset) const {
    return reinterpret_cast<T*>(f.scratch<float>() + offset);
  }
  int64_t length(const Frame& f, int64_t b) const {
    const int32_t* lengths = f.in<int32_t>(In::lengths);
    return lengths ? int64_t{lengths[b]} : sizes.steps;
  }
  // Where a sequence of that length is in time at a step of its direction.
  int64_t time(int64_t direction, int64_t length, int64_t step) const {
    return reverse[direction] ? length - 1 - step : step;
  }

  void check_lengths(const Frame& f) const;
  const T* sum_biases(const Frame& f, int64_t direction) const;
  const T* inner_bias(const Frame& f, int64_t direction) const;
  const T* fresh_row(const Frame& f, int64_t direction, int64_t b, int64_t t) const;
  void run_block(const Caller& by, int64_t direction, Range rows, const T* recurrence) const;
  void run_fused_block(const Caller& by, int64_t direction, Range rows,
                       const T* recurrence) const requires std::is_same_v<T, float>;
  void multiply_candidate(const Caller& by, int64_t count, const T* reset, const T* recurrence,
                          T* to) const;
  int64_t state_index(int64_t direction, int64_t b) const;
  int64_t result_at(int64_t direction, int64_t b, int64_t t) const;
  void load_state(const Frame& f, int input, int64_t direction, Range rows, T* to,
                  int64_t stride) const;
  void store_state(const Frame& f, int output, int64_t direction, int64_t b, const T* from) const;
  void clear_results(const Frame& f, int64_t direction, Range rows) const;

  Products products_;
  int64_t blocks_ = 1;
  Split step_split_;      // panels of one fused step
  double step_cost_ = 0;  // nanoseconds
  // Into the scratch, in floats.
  int64_t weights_at_ = 0, recurrence_at_ = 0, fresh_at_ = 0, bias_at_ = 0, inner_bias_at_ = 0;
  int64_t state_at_ = 0;
};

extern template class RecurrentNetwork<float>;
extern template class RecurrentNetwork<double>;

}  // namespace sdx::ops
