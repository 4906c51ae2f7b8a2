// What operators with subgraphs share: types that hold in every iteration, tensors cut and stacked
// along an axis.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ir/op.h"

namespace sdx::ops {

// What is true of a value that is sometimes an `a` and sometimes a `b`: dimensions that differ
// become unknown. Throws where kind or element type differ.
Type join(const Type& a, const Type& b);

// Refuses subgraphs nested so deep that repeated inference would take forever.
void check_nesting(const Attributes& attrs);

// Where the state of an iteration lies in the body's inputs and outputs.
struct CarriedState {
  std::size_t first_input = 0;
  std::size_t first_output = 0;
  std::size_t count = 0;
};

// Types of the body's outputs when `inputs` are those of the first iteration, captures left out.
// The types of carried inputs are widened until every iteration agrees with them; on return the
// carried outputs hold for any number of iterations, none included.
std::vector<Type> infer_iterations(InferContext& ctx, std::string_view body,
                                   std::vector<Facts> inputs, const CarriedState& carried);

// Ends the run between two iterations where somebody asked for it.
void stop_if_cancelled(const Frame& frame);

// The node's captured inputs as this run sees them.
void append_captures(const Frame& frame, int capture_count, std::vector<Datum>& inputs);

// Dimensions as numbers: symbols are those of the node's inputs, what nothing tells is 0. For
// outputs whose shape no iteration shows.
Shape resolve_dims(const PrepareContext& ctx, std::span<const Dim> dims);

// The one element of a tensor that is used as a number or a flag.
int64_t single_integer(const Datum& datum, std::string_view what);

// Slice i of the tensor's first axis, in the same memory.
Tensor slice_first(const Tensor& tensor, int64_t i);
// The elements with axis `from` moved to position `to`; the tensor itself where they are equal.
Tensor move_axis(const Tensor& tensor, int64_t from, int64_t to);

// Tensors of one shape collected along a new first axis.
class Stack {
 public:
  // Where nothing is added, the result has this element type and item shape.
  Stack(DType dtype, Shape item_shape) : dtype_(dtype), item_shape_(item_shape) {}
  // Room for so many items; more are welcome.
  void reserve(int64_t items);
  void add(const Tensor& item);
  // Adds an item of zeros (empty strings).
  void add_zeros();
  int64_t size() const { return size_; }
  // The collected tensor; memory is handed over, so call it once.
  Tensor finish();

 private:
  char* next();

  DType dtype_;
  Shape item_shape_;
  int64_t item_count_ = 0;
  int64_t size_ = 0;
  int64_t capacity_ = 0;
  int64_t reserved_ = 0;
  Tensor buffer_;
};

}  // namespace sdx::ops
