// What an operator is to the rest of the house: it infers types, packs constants, prepares steps.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/frame.h"
#include "ir/attributes.h"
#include "ir/type.h"

namespace sdx {

class Graph;
class Node;
class WeightMemory;

// What is known of a value: at load with symbols, at shape time with numbers.
struct Facts {
  Type type;
  std::shared_ptr<const Tensor> constant;  // its elements, when they never change
  // The elements, row-major, of a small integer or bool tensor that shape arithmetic can follow:
  // numbers or symbols. Set for such integer constants too.
  std::optional<Dims> contents;

  static Facts of(Type type) { return {std::move(type), nullptr, std::nullopt}; }
  static Facts of(Tensor constant);

  // Whether `contents` gives every element of a tensor of known shape as a number.
  bool contents_are_numbers() const;
  // Those numbers as a tensor.
  Tensor contents_as_tensor() const;
};

// Most elements that `contents` follows.
inline constexpr std::size_t kMaxContents = 256;

// What a constructor is given. Read versions here and normalise: one class serves all opsets.
struct OpInit {
  const Attributes& attrs;
  int opset;  // the version of the operator's domain that the model imports
  std::string_view domain;
  std::string_view type;
  int input_count;  // trailing ones left out by the model are not counted
  int output_count;
};

// Asks for types. Inputs left out have no facts: ask has_input first where they are optional.
class InferContext {
 public:
  InferContext(const Node& node, std::span<const Facts* const> inputs, std::span<Facts> outputs,
               bool at_load)
      : node_(node), inputs_(inputs), outputs_(outputs), at_load_(at_load) {}

  const Node& node() const { return node_; }
  int input_count() const { return static_cast<int>(inputs_.size()); }
  int output_count() const { return static_cast<int>(outputs_.size()); }
  bool has_input(int i) const { return i < input_count() && inputs_[i] != nullptr; }
  bool wants_output(int i) const;

  // These throw `invalid_model` where the input is left out.
  const Facts& facts(int i) const;
  const Type& input(int i) const { return facts(i).type; }
  DType dtype(int i) const;  // throws unless a tensor
  bool has_rank(int i) const { return input(i).shape.has_value(); }
  const Dims& dims(int i) const;  // throws unless has_rank
  int64_t rank(int i) const { return static_cast<int64_t>(dims(i).size()); }
  // The input's elements: null unless known now.
  const Tensor* constant(int i) const;
  // The elements of an integer input as numbers or symbols, through shape arithmetic; nothing
  // unless known.
  std::optional<Dims> contents(int i) const;
  // The same as int64s; nothing unless all are numbers.
  std::optional<std::vector<int64_t>> integers(int i) const;

  void set_output(int i, Type type);
  void set_output(int i, DType dtype, Dims dims) {
    set_output(i, Type::tensor(dtype, std::move(dims)));
  }
  // A tensor of unknown rank.
  void set_output(int i, DType dtype) { set_output(i, Type::tensor(dtype)); }
  // For shape arithmetic: the elements of integer output i, after set_output.
  void set_contents(int i, Dims contents);
  // `prepare` cannot do without elements that are not known now (it will ask constant(i)): the node
  // is prepared anew in every run.
  void defer() { deferred_ = true; }
  bool deferred() const { return deferred_; }

  // Inputs of the node that its subgraphs capture, last in the list; formal ones come before.
  int capture_count() const;
  // Types of the outputs of subgraph `attribute` for these inputs (captures included). At load the
  // subgraph's own values are typed by it.
  std::vector<Type> infer_subgraph(std::string_view attribute, std::span<const Facts> inputs);
  // Drops what is known of the subgraph's values, declared types included, before it is inferred
  // for inputs of which less is known.
  void forget_subgraph(std::string_view attribute);
  bool at_load() const { return at_load_; }

 private:
  const Node& node_;
  std::span<const Facts* const> inputs_;
  std::span<Facts> outputs_;
  bool at_load_;
  bool deferred_ = false;
};

// A subgraph made runnable. Safe to call from a running step; plans are cached by shapes.
class Program {
 public:
  virtual ~Program() = default;
  // Inputs and captures in, outputs out; all own their memory afterwards.
  virtual std::vector<Datum> run(std::span<const Datum> inputs, const RunState& state) = 0;
};

// Bytes that `pack` made at load and every plan of the session reads.
using Packed = std::shared_ptr<void>;

// Asks for constants in the layout that kernels want, once, at load.
class PackContext {
 public:
  PackContext(const Node& node, std::span<const Facts* const> inputs, WeightMemory& memory)
      : node_(node), inputs_(inputs), memory_(memory) {}

  const Node& node() const { return node_; }
  int input_count() const { return static_cast<int>(inputs_.size()); }
  bool has_input(int i) const { return i < input_count() && inputs_[i] != nullptr; }
  const Type& input(int i) const { return inputs_[i]->type; }
  // Null unless the input is a constant.
  const Tensor* constant(int i) const {
    return has_input(i) ? inputs_[i]->constant.get() : nullptr;
  }
  // New memory, aligned, kept with the node as packed(slot).
  void* allocate(int slot, std::size_t bytes);
  // The steps of this node will read the packed form instead of constant i, shape excepted: its
  // elements may be freed. `in<T>(i)` is null in a frame from then on.
  void release_input(int i) { released_.push_back(i); }

  std::vector<Packed>& packed() { return packed_; }
  int64_t packed_size() const { return packed_size_; }
  const std::vector<int>& released() const { return released_; }

 private:
  const Node& node_;
  std::span<const Facts* const> inputs_;
  WeightMemory& memory_;
  std::vector<Packed> packed_;
  int64_t packed_size_ = 0;
  std::vector<int> released_;
};

// Bytes one run moves, for profiles: of values that are computed or given, and of constants.
struct Traffic {
  double values = 0;
  double constants = 0;
};

// Asks for a step, with every size a number.
class PrepareContext {
 public:
  PrepareContext(const Node& node, std::span<const Layout* const> inputs,
                 std::span<const Tensor* const> constants, std::span<const Layout* const> outputs)
      : node_(node), inputs_(inputs), constants_(constants), outputs_(outputs) {}

  const Node& node() const { return node_; }
  int input_count() const { return static_cast<int>(inputs_.size()); }
  int output_count() const { return static_cast<int>(outputs_.size()); }
  bool has_input(int i) const { return i < input_count() && inputs_[i] != nullptr; }
  bool wants_output(int i) const { return i < output_count() && outputs_[i] != nullptr; }
  // Of an input or output that is left out these throw.
  DType dtype(int i) const { return input(i).dtype; }
  const Shape& shape(int i) const { return input(i).shape; }
  int64_t count(int i) const { return element_count(shape(i)); }
  DType output_dtype(int i) const { return output(i).dtype; }
  const Shape& output_shape(int i) const { return output(i).shape; }
  // The input's elements where they are known before the run; null otherwise. Null too for elements
  // that `pack` released.
  const Tensor* constant(int i) const { return has_input(i) ? constants_[i] : nullptr; }
  // What `pack` made, or null.
  template <class T>
  const T* packed(int slot) const {
    return static_cast<const T*>(packed_bytes(slot));
  }
  // Elements from one row to the next, of rows of `length` elements. More than `length` only where
  // the operator agreed to such rows (Op::reads_rows, Op::writes_rows).
  int64_t step(int i, int64_t length) const { return step_of(input(i), length); }
  int64_t output_step(int i, int64_t length) const { return step_of(output(i), length); }
  const Rows& rows(int i) const { return input(i).rows; }
  const Rows& output_rows() const { return output(0).rows; }
  // Bytes the step will find at frame.scratch(); the largest request counts.
  void request_scratch(int64_t bytes) { scratch_ = std::max(scratch_, bytes); }
  int64_t scratch() const { return scratch_; }
  // Work that only `prepare` knows the size of, beside Op::flops.
  void count_flops(double flops) { flops_ += flops; }
  double counted_flops() const { return flops_; }
  Program& program(std::string_view attribute) const;
  int capture_count() const;
  Traffic all_bytes() const;
  // For operators that read of input i only what they put out.
  Traffic bytes_without(int i) const;

 private:
  const Layout& input(int i) const {
    if (!has_input(i)) left_out("input", i);
    return *inputs_[i];
  }
  const Layout& output(int i) const {
    if (!wants_output(i)) left_out("output", i);
    return *outputs_[i];
  }
  [[noreturn]] static void left_out(const char* what, int i);
  const void* packed_bytes(int slot) const;
  static int64_t step_of(const Layout& layout, int64_t length) {
    return layout.rows.apart() ? layout.rows.step : length;
  }

  const Node& node_;
  std::span<const Layout* const> inputs_;
  std::span<const Tensor* const> constants_;
  std::span<const Layout* const> outputs_;
  int64_t scratch_ = 0;
  double flops_ = 0;
};

// Where outputs lie when they are parts of inputs, or inputs when they are parts of output 0: asked
// with sizes known.
struct View {
  int input = 0;
  int64_t offset = 0;  // in bytes
  Rows rows = {};
};

class Op {
 public:
  virtual ~Op() = default;

  // Types of all outputs the node has, from what is known of its inputs.
  virtual void infer(InferContext& ctx) const = 0;
  // Constants made ready, once.
  virtual void pack(PackContext&) const {}
  // The computation for these sizes. Copies no weight, allocates no buffer.
  virtual Step prepare(PrepareContext& ctx) const = 0;

  // Output 0 is input 0, unchanged in type and elements.
  virtual bool is_identity() const { return false; }
  // Output i as bytes of an input, together or in rows, if that is all the operator does for these
  // sizes. `prepare` must serve too: those who read the output may not take rows apart.
  virtual std::optional<View> view(const PrepareContext&, int /*output*/) const {
    return std::nullopt;
  }
  // Of operators with the trait `joins`: where the elements of input i come to lie in output 0. An
  // input may lie there before the step runs, which then leaves it alone.
  virtual std::optional<View> part(const PrepareContext&, int /*input*/) const {
    return std::nullopt;
  }
  // Whether `prepare` can read input i, or write output i, in rows of so many elements that lie
  // apart; it then asks PrepareContext how far.
  virtual bool reads_rows(const PrepareContext&, int /*input*/, int64_t /*length*/) const {
    return false;
  }
  virtual bool writes_rows(const PrepareContext&, int /*output*/, int64_t /*length*/) const {
    return false;
  }
  // Arithmetic operations of one run, for profiles; 0 where nobody counts them.
  virtual double flops(const PrepareContext&) const { return 0; }
  // By default every input and output once, constants as `pack` made them.
  virtual Traffic traffic(const PrepareContext& ctx) const { return ctx.all_bytes(); }
  // Replaces the node by simpler ones and returns true. For operators that are compositions:
  // `infer` and `prepare` are then never called.
  virtual bool expand(Graph&, Node&) const { return false; }
};

// What passes and planner may assume of every node of an operator.
struct OpTraits {
  int since = 1;      // lowest opset version of the domain that is implemented
  int in_place = 0;   // bit i: output 0 may overwrite input i where shape and dtype are equal
  bool view = false;  // output 0 is the bytes of input 0 under another shape
  bool elementwise = false;  // each output element depends on the inputs' elements at its position
  bool joins = false;        // output 0 is inputs side by side: Op::part says where
  bool pure = true;          // same inputs, same outputs: may be folded, merged, dropped
};

struct OpEntry {
  std::string name;
  std::string domain;
  OpTraits traits;
  std::function<std::unique_ptr<Op>(const OpInit&)> make;
};

// What fills it is cold: it lies together, apart from the code of the operators, which so stays
// unread on disk until a model needs it.
class OpRegistry {
 public:
  template <class T>
  [[gnu::cold]] void add(std::string name, OpTraits traits, std::string domain = "") {
    insert({std::move(name), std::move(domain), traits,
            [](const OpInit& init) -> std::unique_ptr<Op> { return std::make_unique<T>(init); }});
  }
  // Null where there is none. "ai.onnx" and "" are one domain.
  const OpEntry* find(std::string_view domain, std::string_view name) const;
  // The known operator whose name is closest, as "domain::name"; empty when nothing is close.
  std::string nearest(std::string_view domain, std::string_view name) const;
  std::vector<const OpEntry*> all() const;

 private:
  void insert(OpEntry entry);

  std::map<std::pair<std::string, std::string>, OpEntry, std::less<>> entries_;
};

}  // namespace sdx
