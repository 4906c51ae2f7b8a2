#include <array>
#include <unordered_map>

#include "passes/epilogue.h"
#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

constexpr int64_t kImageChannels = 4;

// Walks the graph once, keeping for every value that some node made channels-last its twin in that
// layout. A node joins when its operator can work channels-last and it gains: convolutions always,
// the others when an input already has a twin. What stays channels-first reads twins back through a
// Transpose; two such transposes in a row never arise, because nobody asks a twin for a detour.
class ChannelsLast {
 public:
  explicit ChannelsLast(Graph& graph) : graph_(graph) {}

  bool run() {
    for (Node* node : graph_.nodes()) convert(*node);
    // Last ones first: whoever reads a twin through the old value still stands.
    for (auto it = converted_.rbegin(); it != converted_.rend(); ++it) {
      Value* old = (*it)->output(0);
      if (!old->users().empty() || old->is_graph_output()) {
        // Right behind the twin, whose producer comes directly before the old node.
        Node* back = graph_.insert_before(
            *it, {.op_type = "Transpose", .inputs = {twins_.at(old)}, .attrs = permutation(old, false)});
        graph_.replace_uses(old, back->output(0));
      }
      graph_.erase(*it);
    }
    if (!converted_.empty()) graph_.erase_dead();
    return !converted_.empty();
  }

 private:
  static std::size_t rank_of(const Value* value) {
    return value && value->type().kind == Type::Kind::tensor && value->type().shape
               ? value->type().shape->size()
               : 0;
  }

  // To channels last: [0, 2, 3, 1]; back: [0, 3, 1, 2].
  static Attributes permutation(const Value* value, bool to_last) {
    const auto rank = static_cast<int64_t>(rank_of(value));
    std::vector<int64_t> perm{0};
    if (!to_last) perm.push_back(rank - 1);
    for (int64_t i = to_last ? 2 : 1; i < (to_last ? rank : rank - 1); ++i) perm.push_back(i);
    if (to_last) perm.push_back(1);
    Attributes attrs;
    attrs.set("perm", std::move(perm));
    return attrs;
  }

  static int64_t axis_to_last(int64_t axis, int64_t rank) {
    if (axis < 0) axis += rank;
    return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
  }

  bool has_twin(const Value* value) const { return twins_.contains(value); }

  // The value channels-last; made in front of `before` where no node made it.
  Value* twin(Value* value, Node* before) {
    const auto found = twins_.find(value);
    if (found != twins_.end()) return found->second;
    Node* transposed = graph_.insert_before(
        before, {.op_type = "Transpose", .inputs = {value}, .attrs = permutation(value, true)});
    return twins_[value] = transposed->output(0);
  }

  void convert(Node& node) {
    if (node.outputs().empty() || !node.output(0)) return;
    if (convert_window(node) || convert_elementwise(node) || convert_axis(node) ||
        convert_resize(node))
      converted_.push_back(&node);
  }

  void join(Node& node, NodeSpec spec) {
    spec.name = node.name();
    if (spec.opset == 0) spec.opset = node.opset();
    twins_[node.output(0)] = graph_.insert_before(&node, std::move(spec))->output(0);
  }

  // Convolution and pooling have channels-last forms of their own.
  bool convert_window(Node& node) {
    const bool bytes = node.is("QLinearConv");
    const bool convolution = node.is("Conv") || node.is("FusedConv", "sardonyx") || bytes;
    const bool upward = node.is("ConvTranspose");
    bool pool = false;
    for (const char* name : {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"})
      pool |= node.is(name);
    if (!convolution && !upward && !pool) return false;
    const DType dtype = node.output(0)->type().dtype;
    const bool byte_pool = node.is("MaxPool") && (dtype == DType::uint8 || dtype == DType::int8);
    if (dtype != DType::float32 && !bytes && !byte_pool) return false;
    if (rank_of(node.input(0)) != 4) return false;
    if ((pool || upward) && !has_twin(node.input(0))) return false;
    if (node.outputs().size() > 1 && node.output(1)) return false;  // MaxPool's indices
    if (!pool && !node.input(bytes ? 3 : 1)->is_constant()) return false;
    NodeSpec spec{.op_type = upward                  ? "FusedConvTranspose"
                             : convolution && !bytes ? "FusedConv"
                                                     : node.op_type(),
                  .inputs = node.inputs(),
                  .attrs = node.attrs(),
                  .domain = "sardonyx"};
    spec.opset = 1;
    // An image of few channels is turned while the convolution frames it.
    const bool turns = spec.op_type == "FusedConv" && !has_twin(node.input(0)) &&
                       node.input(1)->constant()->shape()[1] <= kImageChannels;
    if (turns)
      spec.attrs.set("turns_input", int64_t{1});
    else
      spec.inputs[0] = twin(node.input(0), &node);
    if (!bytes && spec.inputs.size() > 3 && spec.inputs[3]) spec.inputs[3] = twin(node.input(3), &node);
    spec.attrs.set("layout", std::string("NHWC"));
    join(node, std::move(spec));
    return true;
  }

  // Operators that treat every element alike. Operands that broadcast must be constants or have a
  // twin of their own.
  bool convert_elementwise(Node& node) {
    if (!node.traits().elementwise || node.outputs().size() != 1) return false;
    const std::size_t rank = rank_of(node.output(0));
    if (rank != 4) return false;
    bool any = false;
    for (const Value* input : node.inputs()) any |= input && has_twin(input);
    if (!any) return false;
    for (const Value* input : node.inputs()) {
      if (!input || has_twin(input)) continue;
      const std::size_t own = rank_of(input);
      const bool scalar = input->type().shape && own == 0;
      const bool one = input->is_constant() && input->constant()->count() == 1;
      if (!scalar && !one && !(input->is_constant() && own <= rank) && own != rank) return false;
    }
    NodeSpec spec{.op_type = node.op_type(), .inputs = node.inputs(), .attrs = node.attrs(),
                  .domain = node.domain()};
    for (Value*& input : spec.inputs) {
      if (!input) continue;
      const std::size_t own = rank_of(input);
      if (own == 0 || (!has_twin(input) && input->is_constant() && input->constant()->count() == 1))
        continue;
      if (own < rank) {
        // [C, 1, 1] stands for [1, C, 1, 1].
        Shape padded(rank - own, 1);
        for (const int64_t dim : input->constant()->shape()) padded.push_back(dim);
        input = graph_.add_constant("", input->constant()->reshaped(padded));
      }
      input = twin(input, &node);
    }
    join(node, std::move(spec));
    return true;
  }

  // Operators along one axis, or a list of them, named by attribute or constant input.
  bool convert_axis(Node& node) {
    const std::size_t rank = rank_of(node.input(0));
    if (rank != 4 || !node.domain().empty()) return false;
    if (!has_twin(node.input(0))) return false;
    NodeSpec spec{.op_type = node.op_type(), .inputs = node.inputs(), .attrs = node.attrs()};
    const auto axis_attribute = [&](int64_t fallback) {
      spec.attrs.set("axis", axis_to_last(node.attrs().get<int64_t>("axis", fallback), 4));
    };
    if (node.is("Concat")) {
      for (Value* input : node.inputs())
        if (rank_of(input) != 4) return false;
      axis_attribute(1);
      for (Value*& input : spec.inputs) input = twin(input, &node);
    } else if (node.is("Softmax") || node.is("LogSoftmax")) {
      if (node.opset() < 13) return false;
      axis_attribute(-1);
      spec.inputs[0] = twin(node.input(0), &node);
    } else if (node.is("QuantizeLinear") || node.is("DequantizeLinear")) {
      if (node.attrs().get("block_size", 0) != 0) return false;
      axis_attribute(1);
      spec.inputs[0] = twin(node.input(0), &node);
    } else if (node.is("ReduceMean") || node.is("ReduceSum") || node.is("ReduceMax")) {
      const auto axes = attribute_or_input(node, "axes", 1);
      if (!axes || axes->empty() || node.attrs().get("keepdims", 1) != 1) return false;
      std::vector<int64_t> moved;
      for (const int64_t axis : *axes) moved.push_back(axis_to_last(axis, 4));
      spec.inputs[0] = twin(node.input(0), &node);
      if (node.attrs().has("axes"))
        spec.attrs.set("axes", moved);
      else
        spec.inputs[1] = graph_.add_constant("", Tensor::of<int64_t>(moved));
    } else {
      return false;
    }
    join(node, std::move(spec));
    return true;
  }

  // Scales and sizes are lists by axis.
  bool convert_resize(Node& node) {
    if (!node.is("Resize") || node.opset() < 11 || !has_twin(node.input(0)) ||
        rank_of(node.input(0)) != 4 || node.attrs().has("axes") ||
        node.attrs().get("coordinate_transformation_mode", "") == "tf_crop_and_resize")
      return false;
    NodeSpec spec{.op_type = "Resize", .inputs = node.inputs(), .attrs = node.attrs()};
    spec.inputs[0] = twin(node.input(0), &node);
    for (const std::size_t i : {2, 3}) {
      Value* list = node.input(i);
      if (!list) continue;
      if (!list->is_constant()) return false;
      const Tensor& constant = *list->constant();
      if (constant.count() == 0) continue;
      if (constant.count() != 4) return false;
      Tensor moved = Tensor::allocate(constant.dtype(), constant.shape());
      const std::size_t item = item_size(constant.dtype());
      const std::array<std::size_t, 4> from{0, 2, 3, 1};
      for (std::size_t a = 0; a < 4; ++a)
        copy_items(constant.dtype(), static_cast<const std::byte*>(constant.raw()) + from[a] * item,
                   static_cast<std::byte*>(moved.raw()) + a * item, 1);
      spec.inputs[i] = graph_.add_constant("", std::move(moved));
    }
    join(node, std::move(spec));
    return true;
  }

  Graph& graph_;
  std::unordered_map<const Value*, Value*> twins_;
  std::vector<Node*> converted_;
};

}  // namespace

// y = Relu(Conv(x, w)) becomes xt = Transpose(x); yt = Relu(sardonyx::FusedConv(xt, w)
// {layout = "NHWC"}); y = Transpose(yt), with one Transpose at each edge of such a region.
bool channels_last(Graph& graph) { return ChannelsLast(graph).run(); }

}  // namespace sdx::passes
