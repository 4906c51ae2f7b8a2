#include <algorithm>

#include "passes/epilogue.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

// A convolution of images, channels last, with constant weights and nothing added but a bias.
bool is_plain_conv(const Node* node) {
  if (!node || fused_form(*node) != "FusedConv" || node->input(3)) return false;
  const Value* weights = node->input(1);
  return node->attrs().get("layout", "") == "NHWC" && node->attrs().get("turns_input", 0) == 0 &&
         weights->is_constant() && weights->constant()->rank() == 4 &&
         weights->constant()->count() > 0;
}

bool is_pointwise(const Node& conv) {
  const Shape& weights = conv.input(1)->constant()->shape();
  const auto all = [&](const char* name, int64_t value) {
    const std::vector<int64_t> list = conv.attrs().ints(name);
    return std::all_of(list.begin(), list.end(), [&](int64_t v) { return v == value; });
  };
  return conv.attrs().get("group", 1) == 1 && weights[2] == 1 && weights[3] == 1 &&
         all("strides", 1) && all("pads", 0);
}

bool is_depthwise(const Node& conv) {
  const Shape& weights = conv.input(1)->constant()->shape();
  return weights[0] > 1 && weights[1] == 1 && conv.attrs().get("group", 1) == weights[0] &&
         weights[2] * weights[3] > 1;
}

}  // namespace

// A depthwise convolution of what a pointwise one makes, as in inverted bottlenecks:
// sardonyx::FusedConv(FusedConv(x, w, b), filters, c) becomes
// sardonyx::ExpandDepthwise(x, w, b, filters, c).
bool fuse_expand_depthwise(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!is_plain_conv(node) || !is_depthwise(*node)) continue;
    Value* between = node->input(0);
    Node* expand = between->has_single_use() ? between->producer() : nullptr;
    if (!is_plain_conv(expand) || !is_pointwise(*expand)) continue;
    if (expand->input(1)->constant()->shape()[0] != node->input(1)->constant()->shape()[0])
      continue;
    Attributes attrs = node->attrs();
    for (const char* name :
         {"activation", "activation_alpha", "activation_beta", "activation_params"}) {
      const auto found = expand->attrs().all().find(name);
      if (found != expand->attrs().all().end()) attrs.set("expand_" + found->first, found->second);
    }
    for (const char* name : {"group", "strict", "residual_last", "layout"}) attrs.erase(name);
    Node* fused =
        graph.insert_before(node, {.op_type = "ExpandDepthwise",
                                   .inputs = {expand->input(0), expand->input(1), expand->input(2),
                                              node->input(1), node->input(2)},
                                   .attrs = std::move(attrs),
                                   .domain = "sardonyx",
                                   .name = node->name()});
    graph.replace_uses(node->output(0), fused->output(0));
    graph.erase(node);
    graph.erase(expand);
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
