#include <cmath>
#include <map>
#include <vector>

#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

const Dims* dims_of(const Value* value, std::size_t rank) {
  const Type& type = value->type();
  return type.dtype == DType::float32 && type.shape && type.shape->size() == rank ? &*type.shape
                                                                                  : nullptr;
}

bool has_permutation(const Node* node, const std::vector<int64_t>& permutation) {
  return node && node->attrs().ints("perm") == permutation;
}

// Takes multiplications and divisions by constants off `value`, into `scale`.
Value* unscaled(Value* value, double& scale) {
  for (;;) {
    if (const Node* product = producer(value, "Mul")) {
      const auto operand = scalar_operand(*product);
      if (!operand || !same_rank(operand->second, value)) return value;
      scale *= static_cast<double>(operand->first);
      value = operand->second;
    } else if (const Node* division = producer(value, "Div")) {
      const auto divisor = scalar(division->input(1));
      if (!divisor || *divisor == 0) return value;
      scale /= static_cast<double>(*divisor);
      value = division->input(0);
    } else {
      return value;
    }
  }
}

// Something added to scores or, with a condition, put in their place where they are masked out.
struct MaskTerm {
  Value* value = nullptr;  // floats, or the condition
  Value* fill = nullptr;   // null: `value` is added
  bool fills_where_true = false;
};

struct Match {
  Value *q = nullptr, *k = nullptr, *v = nullptr;  // [batch, heads, rows, size]
  Value* k_rows = nullptr;                         // instead of k: [batch, rows, heads, size]
  std::vector<MaskTerm> masks;
  double scale = 1;
};

// K where `value` is K with its last two axes exchanged, in the ways exporters do that.
bool untranspose(Value* value, Match& match) {
  if (Node* transpose = producer(value, "Transpose")) {
    if (has_permutation(transpose, {0, 1, 3, 2})) {
      match.k = transpose->input(0);
      return true;
    }
    if (has_permutation(transpose, {0, 2, 3, 1})) {
      match.k_rows = transpose->input(0);
      return true;
    }
    return false;
  }
  // [b, h, s, d] -> [b * h, s, d] -> [b * h, d, s] -> [b, h, d, s]
  const Node* outer = producer(value, "Reshape");
  const Node* transpose = outer ? producer(outer->input(0), "Transpose") : nullptr;
  const Node* inner =
      has_permutation(transpose, {0, 2, 1}) ? producer(transpose->input(0), "Reshape") : nullptr;
  if (!inner) return false;
  const Dims *k = dims_of(inner->input(0), 4), *swapped = dims_of(value, 4);
  const Dims* flat = dims_of(inner->output(0), 3);
  if (!k || !swapped || !flat) return false;
  const bool same = (*flat)[1] == (*k)[2] && (*flat)[2] == (*k)[3] && (*swapped)[0] == (*k)[0] &&
                    (*swapped)[1] == (*k)[1] && (*swapped)[2] == (*k)[3] &&
                    (*swapped)[3] == (*k)[2];
  if (same) match.k = inner->input(0);
  return same;
}

// Keys or values [batch, n, rows, size] where `value` repeats each head for a group of queries:
// Reshape(Expand(Unsqueeze(x))) to [batch, n * group, rows, size]. Null where it does not.
Value* shared_heads(const Value* value) {
  const Node* joined = producer(value, "Reshape");
  const Node* repeated = joined ? producer(joined->input(0), "Expand") : nullptr;
  const Node* split = repeated ? producer(repeated->input(0), "Unsqueeze") : nullptr;
  if (repeated && !split) split = producer(repeated->input(0), "Reshape");
  if (!split) return nullptr;
  const Dims *own = dims_of(split->input(0), 4), *five = dims_of(split->output(0), 5);
  const Dims *wide = dims_of(repeated->output(0), 5), *all = dims_of(joined->output(0), 4);
  if (!own || !five || !wide || !all) return nullptr;
  const Dims expected{(*own)[0], (*own)[1], Dim(1), (*own)[2], (*own)[3]};
  if (*five != expected || !(*wide)[2].is_known() || !(*own)[1].is_known()) return nullptr;
  for (const std::size_t i : {0, 1, 3, 4})
    if (!((*wide)[i] == expected[i])) return nullptr;
  const Dims joined_dims{(*own)[0], (*own)[1] * (*wide)[2], (*own)[2], (*own)[3]};
  return *all == joined_dims ? split->input(0) : nullptr;
}

// Whether `mask` may be added to [batch, heads, queries, keys] without making it larger. Lengths
// that cannot be told apart are taken for equal: nobody adds many rows of a mask to one of scores.
bool is_mask(const Value* mask, const Dims& scores) {
  const Type& type = mask->type();
  if (!type.shape || type.shape->empty() || type.shape->size() > 4) return false;
  const Dims& dims = *type.shape;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const std::size_t axis = scores.size() - dims.size() + i;
    const Dim& wanted = scores[axis];
    if (dims[i] == wanted || (axis < 3 && dims[i] == Dim(1))) continue;
    if (axis < 2 || (dims[i].is_known() && wanted.is_known())) return false;
  }
  return true;
}

bool match_scores(Value* scores, Match& match) {
  Value* inner = unscaled(scores, match.scale);
  const Node* product = producer(inner, "MatMul");
  if (!product) return false;
  match.q = unscaled(product->input(0), match.scale);
  return untranspose(unscaled(product->input(1), match.scale), match);
}

// Scores that are so low beside others that adding this to any gives it.
bool is_floor(const Value* value) {
  const auto held = scalar(value);
  return held && *held <= -1e30f;
}

// Scores with masks added to them, or put in their place by Where.
bool match_masked(Value* scores, Match& match) {
  if (match_scores(scores, match)) return true;
  const Node* node = scores->producer();
  const auto tries = [&](std::size_t own, MaskTerm term, DType dtype) {
    const Dims* dims = dims_of(node->input(own), 4);
    if (!dims || term.value->type().dtype != dtype || !is_mask(term.value, *dims)) return false;
    Match attempt;
    attempt.masks = match.masks;
    attempt.masks.push_back(term);
    if (!match_masked(node->input(own), attempt)) return false;
    match = std::move(attempt);
    return true;
  };
  if (!node || !dims_of(scores, 4)) return false;
  if (node->is("Add"))
    return tries(0, {node->input(1)}, DType::float32) || tries(1, {node->input(0)}, DType::float32);
  if (!node->is("Where")) return false;
  Value* condition = node->input(0);
  if (is_floor(node->input(1))) return tries(2, {condition, node->input(1), true}, DType::boolean);
  return is_floor(node->input(2)) && tries(1, {condition, node->input(2), false}, DType::boolean);
}

// The node that multiplies the probabilities with the values, past a guard that makes rows of NaN
// zero: Where(IsNaN(p), 0, p).
Node* value_product(const Value* probabilities, bool& guarded) {
  if (probabilities->is_graph_output()) return nullptr;
  const std::vector<Node*>& users = probabilities->users();
  if (users.size() == 2) {
    Node* is_nan = users[0]->is("IsNaN") ? users[0] : users[1];
    Node* choice = users[0]->is("IsNaN") ? users[1] : users[0];
    if (!is_nan->is("IsNaN") || !choice->is("Where") || choice->input(0) != is_nan->output(0) ||
        choice->input(2) != probabilities || !is_nan->output(0)->has_single_use())
      return nullptr;
    if (scalar(choice->input(1)) != 0.0f || !same_rank(choice->output(0), probabilities))
      return nullptr;
    probabilities = choice->output(0);
    guarded = true;
  }
  if (!probabilities->has_single_use()) return nullptr;
  Node* product = probabilities->users()[0];
  return product->is("MatMul") && product->input(0) == probabilities ? product : nullptr;
}

bool match_softmax(const Node& softmax, Match& match) {
  const Dims* dims = dims_of(softmax.output(0), 4);
  if (!dims) return false;
  const int64_t axis = softmax.attrs().get("axis", softmax.opset() < 13 ? 1 : -1);
  if (axis != 3 && (axis != -1 || softmax.opset() < 11)) return false;
  return match_masked(softmax.input(0), match);
}

// Batch and heads of all three agree, so that nothing broadcasts. Inner dimensions are those of
// products, and need no proof.
bool heads_agree(const Match& match) {
  const Dims *q = dims_of(match.q, 4), *v = dims_of(match.v, 4);
  const Dims* k = dims_of(match.k ? match.k : match.k_rows, 4);
  if (!q || !k || !v) return false;
  const Dim& k_heads = (*k)[match.k ? 1 : 2];
  return (*q)[0] == (*k)[0] && (*q)[0] == (*v)[0] && (*q)[1] == k_heads && (*q)[1] == (*v)[1];
}

// Heads that are repeated for groups of queries are read where they are.
void share_heads(Match& match) {
  Value *k = match.k ? shared_heads(match.k) : nullptr, *v = shared_heads(match.v);
  if (!k || !v || !(k->type().shape->at(1) == v->type().shape->at(1))) return;
  match.k = k;
  match.v = v;
}

// One mask for all terms, made once for all attentions that share them.
class MaskMaker {
 public:
  explicit MaskMaker(Graph& graph) : graph_(graph) {}

  Value* make(const std::vector<MaskTerm>& terms, Node* before) {
    Value* mask = nullptr;
    for (const MaskTerm& term : terms) {
      Value* next = term.fill ? floats(term, before) : term.value;
      mask = mask ? once("Add", {mask, next}, before) : next;
    }
    return mask;
  }

 private:
  Value* floats(const MaskTerm& term, Node* before) {
    if (!zero_) zero_ = graph_.add_constant("", Tensor::scalar(0.0f));
    return term.fills_where_true ? once("Where", {term.value, term.fill, zero_}, before)
                                 : once("Where", {term.value, zero_, term.fill}, before);
  }

  Value* once(const char* op_type, std::vector<Value*> inputs, Node* before) {
    Value*& made = made_[inputs];
    if (!made)
      made = graph_.insert_before(before, {.op_type = op_type, .inputs = inputs})->output(0);
    return made;
  }

  Graph& graph_;
  Value* zero_ = nullptr;
  std::map<std::vector<Value*>, Value*> made_;
};

}  // namespace

// y = MatMul(Softmax(MatMul(q, k^T) * scale + mask), v) becomes y = Attention(q, k, v, mask).
bool fuse_attention(Graph& graph) {
  bool changed = false;
  MaskMaker masks(graph);
  for (Node* softmax : graph.nodes()) {
    if (!softmax->is("Softmax")) continue;
    Match match;
    bool guarded = false;
    Node* product = value_product(softmax->output(0), guarded);
    if (!product || !match_softmax(*softmax, match)) continue;
    match.v = product->input(1);
    if (!heads_agree(match) || !std::isfinite(match.scale) || match.scale == 0) continue;
    share_heads(match);
    if (!match.k) {
      Attributes attrs;
      attrs.set("perm", std::vector<int64_t>{0, 2, 1, 3});
      match.k = graph
                    .insert_before(
                        product, {.op_type = "Transpose", .inputs = {match.k_rows}, .attrs = attrs})
                    ->output(0);
    }
    Attributes attrs;
    attrs.set("scale", static_cast<float>(match.scale));
    if (!guarded) attrs.set("masked_rows_are_nan", int64_t{1});
    NodeSpec spec{.op_type = "Attention",
                  .inputs = {match.q, match.k, match.v},
                  .attrs = attrs,
                  .name = product->name(),
                  .opset = 24};
    if (!match.masks.empty()) spec.inputs.push_back(masks.make(match.masks, product));
    Node* fused = graph.insert_before(product, std::move(spec));
    graph.replace_uses(product->output(0), fused->output(0));
    changed = true;
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
