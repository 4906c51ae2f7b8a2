#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

int64_t positive(int64_t axis, const Value* value) {
  return axis < 0 ? axis + static_cast<int64_t>(value->type().shape->size()) : axis;
}

// A Concat of parts along `axis`, and the Reshape of all but the axes up to it that may follow.
struct Joined {
  const Node* concat = nullptr;
  const Value* reshaped = nullptr;
};

Joined joined_at(const Value* value, int64_t axis) {
  Joined joined;
  const Value* from = value;
  if (const Node* reshape = sole_producer(value, "Reshape")) {
    joined.reshaped = value;
    from = reshape->input(0);
    if (!value->type().shape || !from->type().shape) return {};
    const Dims &before = *from->type().shape, &after = *value->type().shape;
    const auto kept = static_cast<std::size_t>(axis) + 1;
    if (before.size() < kept || after.size() < kept) return {};
    for (std::size_t i = 0; i < kept; ++i)
      if (!(before[i] == after[i])) return {};
    int open = 0;
    for (std::size_t i = kept; i < after.size(); ++i) {
      if (after[i].value_or(1) <= 0) return {};
      open += !after[i].is_known();
    }
    if (open > 1) return {};
  }
  joined.concat = sole_producer(from, "Concat");
  if (!joined.concat || !from->type().shape ||
      positive(joined.concat->attrs().get<int64_t>("axis", 0), from) != axis)
    return {};
  return joined;
}

// The part as it would be behind the Reshape.
Value* reshaped_part(Graph& graph, Node* before, const Joined& joined, Value* part, int64_t axis) {
  if (!joined.reshaped) return part;
  const Dims& dims = *joined.reshaped->type().shape;
  std::vector<int64_t> shape;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    shape.push_back(at < axis    ? 0
                    : at == axis ? (*part->type().shape)[i].value()
                                 : dims[i].value_or(-1));
  }
  Value* to = graph.add_constant("", Tensor::of<int64_t>(shape));
  return graph.insert_before(before, {.op_type = "Reshape", .inputs = {part, to}, .opset = 13})
      ->output(0);
}

bool cut(Graph& graph, Node* split) {
  const Node* outer = sole_producer(split->input(0), "Concat");
  if (!outer || !split->input(0)->type().shape) return false;
  const int64_t axis = positive(split->attrs().get<int64_t>("axis", 0), split->input(0));
  const int64_t along = positive(outer->attrs().get<int64_t>("axis", 0), split->input(0));
  if (axis == along) return false;
  std::vector<Joined> operands;
  for (const Value* operand : outer->inputs()) {
    const Joined joined = joined_at(operand, axis);
    if (!joined.concat || joined.concat->inputs().size() != split->outputs().size()) return false;
    for (std::size_t i = 0; i < split->outputs().size(); ++i) {
      const Value *part = joined.concat->input(i), *output = split->output(i);
      if (!output || !output->type().shape || !part->type().shape) return false;
      const Dim& size = (*part->type().shape)[static_cast<std::size_t>(axis)];
      if (!size.is_known() || size.value() <= 0 ||
          !(size == (*output->type().shape)[static_cast<std::size_t>(axis)]))
        return false;
    }
    operands.push_back(joined);
  }
  std::vector<Value*> results;
  bool same = true;
  for (std::size_t i = 0; i < split->outputs().size(); ++i) {
    NodeSpec spec{.op_type = "Concat", .inputs = {}, .opset = outer->opset()};
    spec.attrs.set("axis", along);
    for (const Joined& joined : operands)
      spec.inputs.push_back(reshaped_part(graph, split, joined, joined.concat->input(i), axis));
    results.push_back(graph.insert_before(split, std::move(spec))->output(0));
    same &= results.back()->type() == split->output(i)->type();
  }
  if (same)
    for (std::size_t i = 0; i < results.size(); ++i)
      graph.replace_uses(split->output(i), results[i]);
  return same;
}

}  // namespace

// Parts that were joined, laid side by side with others and cut again where they had been joined,
// as detectors do with what they find at several scales: Split(Concat(Concat(a, b; axis = 1),
// Concat(c, d; axis = 1); axis = 2); axis = 1) becomes Concat(a, c; axis = 2), Concat(b, d).
bool cut_before_joining(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes())
    if (node->is("Split")) changed |= cut(graph, node);
  graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
