#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "ops/conv_planes.h"
#include "passes/epilogue.h"
#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

constexpr int64_t kImageChannels = 4;
// Depthwise, narrower planes leave most lanes of a vector of pixels empty.
constexpr int64_t kWidePlane = 24;

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
      for (Value* old : (*it)->outputs()) {
        if (!old || (old->users().empty() && !old->is_graph_output())) continue;
        // Right behind the twin, whose producer comes directly before the old node.
        Node* back = graph_.insert_before(
            *it,
            {.op_type = "Transpose", .inputs = {twins_.at(old)}, .attrs = permutation(old, false)});
        graph_.replace_uses(old, back->output(0));
      }
      graph_.erase(*it);
    }
    changed_ |= !converted_.empty();
    if (changed_) graph_.erase_dead();
    return changed_;
  }

 private:
  static std::size_t rank_of(const Value* value) {
    return value && value->type().kind == Type::Kind::tensor && value->type().shape
               ? value->type().shape->size()
               : 0;
  }

  // To channels last: [0, 2, 3, 1]; back: [0, 3, 1, 2]; likewise for other ranks from 3 on.
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

  // Whether all but images and channels have size 1: such a value turns without being moved.
  static bool is_pixel(const Value* value) {
    const std::size_t rank = rank_of(value);
    for (std::size_t i = 2; i < rank; ++i)
      if (!((*value->type().shape)[i] == Dim(1))) return false;
    return rank > 2;
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
        convert_resize(node) || convert_slice(node) || convert_split(node) ||
        convert_reshape(node) || convert_parts(node) || convert_shuffle(node) ||
        convert_depth_to_space(node) || convert_norm(node) || convert_pad(node))
      converted_.push_back(&node);
    else
      changed_ |= replace(node);
  }

  // Adds a node in front of `before` and gives its first output.
  Value* add(Node* before, NodeSpec spec) {
    return graph_.insert_before(before, std::move(spec))->output(0);
  }
  Value* integers(std::vector<int64_t> list) {
    return graph_.add_constant("", Tensor::of<int64_t>(list));
  }
  Value* reshaped(Node* before, Value* value, std::vector<int64_t> shape) {
    return add(before,
               {.op_type = "Reshape", .inputs = {value, integers(std::move(shape))}, .opset = 13});
  }
  Value* transposed(Node* before, Value* value, std::vector<int64_t> perm) {
    Attributes attrs;
    attrs.set("perm", std::move(perm));
    return add(before, {.op_type = "Transpose", .inputs = {value}, .attrs = std::move(attrs)});
  }

  // Whether the node turns channels-first into channels-last, or back.
  static bool turns(const Node& node, bool to_last) {
    if (!node.is("Transpose") || rank_of(node.input(0)) < 3) return false;
    return node.attrs().ints("perm") == permutation(node.input(0), to_last).ints("perm");
  }

  // What needs no twin: transpositions of the model's own, and means of all pixels that keep no
  // axes of them.
  bool replace(Node& node) {
    const bool twin_known = has_twin(node.input(0));
    if (twin_known && turns(node, true)) {
      graph_.replace_uses(node.output(0), twins_.at(node.input(0)));
      return true;
    }
    if (turns(node, false)) {
      twins_[node.output(0)] = node.input(0);
      lent_.insert(node.output(0));
    }
    if (!twin_known) return false;
    const std::size_t rank = rank_of(node.input(0));
    if ((node.is("ReduceMean") || node.is("ReduceMax") || node.is("ReduceSum")) && rank >= 3 &&
        node.attrs().get("keepdims", 1) == 0) {
      const auto axes = attribute_or_input(node, "axes", 1);
      if (!axes || axes->size() != rank - 2) return false;
      NodeSpec spec{.op_type = node.op_type(),
                    .inputs = node.inputs(),
                    .attrs = node.attrs(),
                    .name = node.name(),
                    .opset = node.opset()};
      std::vector<int64_t> moved;
      for (const int64_t axis : *axes)
        moved.push_back(axis_to_last(axis, static_cast<int64_t>(rank)));
      std::sort(moved.begin(), moved.end());
      for (std::size_t i = 0; i < moved.size(); ++i)
        if (moved[i] != static_cast<int64_t>(i) + 1) return false;
      spec.inputs[0] = twins_.at(node.input(0));
      if (node.attrs().has("axes"))
        spec.attrs.set("axes", moved);
      else
        spec.inputs[1] = integers(std::move(moved));
      graph_.replace_uses(node.output(0), add(&node, std::move(spec)));
      return true;
    }
    return false;
  }

  void join(Node& node, NodeSpec spec) {
    spec.name = node.name();
    if (spec.opset == 0) spec.opset = node.opset();
    twins_[node.output(0)] = graph_.insert_before(&node, std::move(spec))->output(0);
  }

  // Whether a convolution has none beside it that would take its layout.
  bool stands_alone(const Node& node) const {
    const Value *x = node.input(0), *y = node.output(0);
    return !x->producer() && !has_twin(x) && !node.input(3) && y->is_graph_output() &&
           y->users().empty();
  }

  // Whether it is better done plane by plane then.
  static bool likes_planes(const Node& node) {
    const Value* weights = node.input(1);
    if (!weights->is_constant() || rank_of(weights) < 3) return false;
    const Shape& shape = weights->constant()->shape();
    const int64_t groups = node.attrs().get("group", 1);
    if (groups != shape[0] || shape[1] != 1) return ops::suits_planes(groups, shape);
    const Value* x = node.input(0);
    return rank_of(x) < 3 || x->type().shape->back().value_or(kWidePlane) >= kWidePlane;
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
    const std::size_t rank = rank_of(node.input(0));
    const bool volume = rank == 5 && dtype == DType::float32 && (convolution || pool);
    if (rank != 4 && !volume && !(rank == 3 && !pool && !bytes)) return false;
    if (pool && !has_twin(node.input(0))) return false;
    if (upward && stands_alone(node)) return false;
    if (convolution && !bytes && stands_alone(node) && likes_planes(node)) return false;
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
    if (!bytes && spec.inputs.size() > 3 && spec.inputs[3])
      spec.inputs[3] = twin(node.input(3), &node);
    spec.attrs.set("layout", std::string("NHWC"));
    join(node, std::move(spec));
    return true;
  }

  // Operators that treat every element alike. Operands that broadcast must be constants or have a
  // twin of their own.
  bool convert_elementwise(Node& node) {
    if (!node.traits().elementwise || node.outputs().size() != 1) return false;
    const std::size_t rank = rank_of(node.output(0));
    if (rank < 3) return false;
    // A value that the model itself turned is no reason to turn another one.
    bool any = false, own_layout = rank == 4;
    for (const Value* input : node.inputs()) {
      any |= input && has_twin(input) && rank_of(input) == rank;
      own_layout &= !input || !lent_.contains(input);
    }
    if (!any) return false;
    for (const Value* input : node.inputs()) {
      if (!input) continue;
      const std::size_t own = rank_of(input);
      if (has_twin(input) && own == rank) continue;
      if (!own_layout && !input->is_constant() && own != 0 && !is_pixel(input)) return false;
      const bool scalar = input->type().shape && own == 0;
      const bool one = input->is_constant() && input->constant()->count() == 1;
      if (!scalar && !one && !(input->is_constant() && own <= rank) && own != rank) return false;
    }
    NodeSpec spec{.op_type = node.op_type(),
                  .inputs = node.inputs(),
                  .attrs = node.attrs(),
                  .domain = node.domain()};
    for (Value*& input : spec.inputs) {
      if (!input) continue;
      const std::size_t own = rank_of(input);
      if (own == 0 || (!has_twin(input) && input->is_constant() && input->constant()->count() == 1))
        continue;
      if (own < rank && input->is_constant()) {
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
    if (rank < 3 || !node.domain().empty()) return false;
    if (!has_twin(node.input(0))) return false;
    const auto own_rank = static_cast<int64_t>(rank);
    NodeSpec spec{.op_type = node.op_type(), .inputs = node.inputs(), .attrs = node.attrs()};
    const auto axis_attribute = [&](int64_t fallback) {
      spec.attrs.set("axis", axis_to_last(node.attrs().get<int64_t>("axis", fallback), own_rank));
    };
    if (node.is("Concat")) {
      for (Value* input : node.inputs())
        if (rank_of(input) != rank || (rank != 4 && !has_twin(input))) return false;
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
      for (const int64_t axis : *axes) moved.push_back(axis_to_last(axis, own_rank));
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

  // Bounds by axis, the axes listed or all from the first on.
  bool convert_slice(Node& node) {
    const std::size_t rank = rank_of(node.input(0));
    if (!node.is("Slice") || node.opset() < 10 || rank < 3 || !has_twin(node.input(0)))
      return false;
    const auto axes = node.input(3) ? attribute_or_input(node, "axes", 3) : std::nullopt;
    if (!axes) return false;
    NodeSpec spec{.op_type = "Slice", .inputs = node.inputs()};
    std::vector<int64_t> moved;
    for (const int64_t axis : *axes)
      moved.push_back(axis_to_last(axis, static_cast<int64_t>(rank)));
    spec.inputs[0] = twin(node.input(0), &node);
    spec.inputs[3] = integers(std::move(moved));
    join(node, std::move(spec));
    return true;
  }

  bool convert_split(Node& node) {
    const std::size_t rank = rank_of(node.input(0));
    if (!node.is("Split") || rank < 3 || !has_twin(node.input(0))) return false;
    NodeSpec spec{.op_type = "Split",
                  .inputs = node.inputs(),
                  .attrs = node.attrs(),
                  .name = node.name(),
                  .opset = node.opset()};
    spec.inputs[0] = twin(node.input(0), &node);
    spec.attrs.set("axis",
                   axis_to_last(node.attrs().get<int64_t>("axis", 0), static_cast<int64_t>(rank)));
    spec.outputs.clear();
    for (const Value* output : node.outputs()) {
      if (!output) return false;
      spec.outputs.push_back(output->name() + "/channels_last");
    }
    const Node* split = graph_.insert_before(&node, std::move(spec));
    for (std::size_t i = 0; i < node.outputs().size(); ++i)
      twins_[node.output(i)] = split->output(i);
    return true;
  }

  // Factors a channel, by layout.
  bool convert_norm(Node& node) {
    if (!node.is("NormFactors", "sardonyx") || !has_twin(node.input(0))) return false;
    NodeSpec spec{.op_type = "NormFactors",
                  .inputs = node.inputs(),
                  .attrs = node.attrs(),
                  .domain = "sardonyx",
                  .name = node.name(),
                  .outputs = {}};
    spec.inputs[0] = twins_.at(node.input(0));
    spec.attrs.set("layout", std::string("NHWC"));
    for (const Value* output : node.outputs())
      spec.outputs.push_back(output->name() + "/channels_last");
    const Node* factors = graph_.insert_before(&node, std::move(spec));
    for (std::size_t i = 0; i < node.outputs().size(); ++i)
      twins_[node.output(i)] = factors->output(i);
    return true;
  }

  // Items before the axes, then items after them.
  bool convert_pad(Node& node) {
    if (!node.is("Pad") || node.opset() < 11 || !has_twin(node.input(0)) || node.input(3) ||
        rank_of(node.input(0)) != 4)
      return false;
    const auto pads = attribute_or_input(node, "pads", 1);
    if (!pads || pads->size() != 8) return false;
    const std::vector<int64_t>& p = *pads;
    NodeSpec spec{.op_type = "Pad", .inputs = node.inputs(), .attrs = node.attrs()};
    spec.inputs[0] = twins_.at(node.input(0));
    spec.inputs[1] = integers({p[0], p[2], p[3], p[1], p[4], p[6], p[7], p[5]});
    join(node, std::move(spec));
    return true;
  }

  // Reshape that leaves images and channels alone: [n, c, h, w] and [n, c, h * w].
  bool convert_reshape(Node& node) {
    if (!node.is("Reshape") || !has_twin(node.input(0)) || !node.output(0)->type().shape)
      return false;
    const std::size_t rank = rank_of(node.output(0));
    if (rank < 3 || rank_of(node.input(0)) < 3) return false;
    const Dims &from = *node.input(0)->type().shape, &to = *node.output(0)->type().shape;
    if (!(from[0] == to[0]) || !(from[1] == to[1]) || !to[1].is_known() || to[1].value() <= 0)
      return false;
    std::vector<int64_t> shape{0};
    int open = 0;
    for (std::size_t i = 2; i < rank; ++i) {
      if (to[i].value_or(1) <= 0) return false;
      open += !to[i].is_known();
      shape.push_back(to[i].value_or(-1));
    }
    if (open > 1) return false;
    shape.push_back(to[1].value());
    twins_[node.output(0)] = reshaped(&node, twin(node.input(0), &node), std::move(shape));
    return true;
  }

  // Parts of the channels that become an axis of their own: Transpose(Reshape(x)) by [n, p, c / p,
  // m] to [n, c / p, p, m].
  bool convert_parts(Node& node) {
    const Node* reshape = node.is("Transpose") ? producer(node.input(0), "Reshape") : nullptr;
    if (!reshape || !has_twin(reshape->input(0)) || rank_of(reshape->input(0)) != 3 ||
        rank_of(reshape->output(0)) != 4 ||
        node.attrs().ints("perm") != std::vector<int64_t>{0, 2, 1, 3})
      return false;
    const Dims &rows = *reshape->input(0)->type().shape, &split = *reshape->output(0)->type().shape;
    for (const Dim& dim : {rows[1], split[1], split[2]})
      if (dim.value_or(0) <= 0) return false;
    if (!(split[0] == rows[0]) || !(split[3] == rows[2]) ||
        split[1].value() * split[2].value() != rows[1].value())
      return false;
    Value* parts =
        reshaped(&node, twins_.at(reshape->input(0)), {0, 0, split[1].value(), split[2].value()});
    twins_[node.output(0)] = transposed(&node, parts, {0, 2, 1, 3});
    return true;
  }

  // Channels dealt out to groups: Reshape(Transpose(Reshape(x))) by [n, g, c / g, h, w].
  bool convert_shuffle(Node& node) {
    const Node* transpose = node.is("Reshape") ? producer(node.input(0), "Transpose") : nullptr;
    const Node* reshape = transpose ? producer(transpose->input(0), "Reshape") : nullptr;
    if (!reshape || !has_twin(reshape->input(0)) || rank_of(reshape->output(0)) != 5 ||
        transpose->attrs().ints("perm") != std::vector<int64_t>{0, 2, 1, 3, 4})
      return false;
    const Type &start = reshape->input(0)->type(), &end = node.output(0)->type();
    if (!start.shape || !end.shape || start.shape->size() != 4 || !(*start.shape == *end.shape))
      return false;
    const Dims &image = *start.shape, &split = *reshape->output(0)->type().shape;
    if (!image[1].is_known() || !split[1].is_known() || !split[2].is_known() ||
        split[1].value() <= 0 || !(split[0] == image[0]) || !(split[3] == image[2]) ||
        !(split[4] == image[3]) || split[1].value() * split[2].value() != image[1].value())
      return false;
    Value* groups = reshaped(&node, twins_.at(reshape->input(0)),
                             {0, 0, 0, split[1].value(), split[2].value()});
    twins_[node.output(0)] =
        reshaped(&node, transposed(&node, groups, {0, 1, 2, 4, 3}), {0, 0, 0, image[1].value()});
    return true;
  }

  bool convert_depth_to_space(Node& node) {
    if (!node.is("DepthToSpace") || !has_twin(node.input(0)) || rank_of(node.input(0)) != 4)
      return false;
    const Dims &from = *node.input(0)->type().shape, &to = *node.output(0)->type().shape;
    const int64_t block = node.attrs().get<int64_t>("blocksize", 0);
    for (std::size_t i = 1; i < 4; ++i)
      if (!from[i].is_known() || from[i].value() <= 0) return false;
    const int64_t h = from[2].value(), w = from[3].value(), depth = to[1].value_or(0);
    if (block < 2 || depth <= 0) return false;
    // [n, h, w, block, block, depth], or with the depth before the blocks.
    const bool depth_first = node.attrs().get("mode", "DCR") == "CRD";
    Value* parts = reshaped(&node, twins_.at(node.input(0)),
                            depth_first ? std::vector<int64_t>{-1, h, w, depth, block, block}
                                        : std::vector<int64_t>{-1, h, w, block, block, depth});
    Value* moved = transposed(&node, parts,
                              depth_first ? std::vector<int64_t>{0, 1, 4, 2, 5, 3}
                                          : std::vector<int64_t>{0, 1, 3, 2, 4, 5});
    twins_[node.output(0)] = reshaped(&node, moved, {-1, h * block, w * block, depth});
    return true;
  }

  Graph& graph_;
  std::unordered_map<const Value*, Value*> twins_;
  std::unordered_set<const Value*> lent_;  // twins that the model made itself
  std::vector<Node*> converted_;
  bool changed_ = false;
};

}  // namespace

// y = Relu(Conv(x, w)) becomes xt = Transpose(x); yt = Relu(sardonyx::FusedConv(xt, w)
// {layout = "NHWC"}); y = Transpose(yt), with one Transpose at each edge of such a region.
bool channels_last(Graph& graph) { return ChannelsLast(graph).run(); }

}  // namespace sdx::passes
