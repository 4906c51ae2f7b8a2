// Einsum as simpler operators: two terms at a time become a matrix product, or an elementwise one
// where nothing that both have is summed; what only one has is summed before.
#include <algorithm>
#include <optional>

#include "ir/graph.h"
#include "ops/checks.h"
#include "ops/einsum.h"

namespace sdx::ops {
namespace {

struct Term {
  Value* value;
  Labels labels;  // one for each axis
};

// The size of an axis, as a product of sizes of axes of values that are there already.
using Factors = std::vector<std::pair<Value*, std::size_t>>;

std::size_t find(const Labels& labels, Label label) {
  return static_cast<std::size_t>(std::find(labels.begin(), labels.end(), label) - labels.begin());
}

Labels joined(std::initializer_list<const Labels*> parts) {
  Labels all;
  for (const Labels* part : parts) all.insert(all.end(), part->begin(), part->end());
  return all;
}

bool has_repeats(const Labels& labels) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (find(labels, labels[i]) != i) return true;
  return false;
}

Dim size_of(const Value* value, std::size_t axis) {
  return value->type().shape ? (*value->type().shape)[axis] : Dim::unknown();
}

Dim size_of(const Term& x, Label label) { return size_of(x.value, find(x.labels, label)); }

std::optional<int64_t> known_size(const Factors& factors) {
  int64_t size = 1;
  for (const auto& [value, axis] : factors) {
    const Dim dim = size_of(value, axis);
    if (!dim.is_known()) return std::nullopt;
    size *= dim.value();
  }
  return size;
}

// The axes of two terms by the part they play in a product.
struct Roles {
  Labels batch, rows, columns, depth;
};

Roles roles_of(const Labels& a, const Labels& b, const Labels& wanted) {
  Roles roles;
  for (const Label label : a)
    (!contains(b, label)       ? roles.rows
     : contains(wanted, label) ? roles.batch
                               : roles.depth)
        .push_back(label);
  for (const Label label : b)
    if (!contains(a, label)) roles.columns.push_back(label);
  return roles;
}

class Contraction {
 public:
  Contraction(Graph& graph, Node& node) : graph_(graph), node_(node) {}

  // The diagonal along labels that are repeated.
  Term diagonal(const Term& x) {
    if (!has_repeats(x.labels)) return x;
    Labels kept;
    std::string term, left;
    for (const Label label : x.labels) {
      if (!contains(kept, label)) {
        kept.push_back(label);
        left += static_cast<char>('a' + kept.size() - 1);
      }
      term += static_cast<char>('a' + find(kept, label));
    }
    Attributes attrs;
    attrs.set("equation", term + "->" + left);
    Value* result =
        add({.op_type = "Einsum", .inputs = {x.value}, .attrs = std::move(attrs), .opset = 12});
    return {result, kept};
  }

  // What is left when labels that are not wanted are summed.
  Term sum(const Term& x, const Labels& wanted) {
    return without(x, "ReduceSum", [&](Label label) { return !contains(wanted, label); });
  }

  Term arrange(const Term& x, const Labels& order) {
    if (x.labels == order) return x;
    std::vector<int64_t> perm;
    for (const Label label : order) perm.push_back(static_cast<int64_t>(find(x.labels, label)));
    Attributes attrs;
    attrs.set("perm", std::move(perm));
    Value* result =
        add({.op_type = "Transpose", .inputs = {x.value}, .attrs = std::move(attrs), .opset = 13});
    return {result, order};
  }

  // The product of two terms, summed along labels that are not wanted; `order` is how its labels
  // would best come out.
  Term multiply(Term a, Term b, const Labels& wanted, const Labels& order) {
    const Labels both = b.labels;
    b = sum(b, joined({&a.labels, &wanted}));
    a = sum(a, joined({&both, &wanted}));
    // An axis of size 1 that is summed needs no product.
    for (Term* x : {&a, &b}) {
      *x = without(*x, "Squeeze", [&](Label label) {
        return !contains(wanted, label) && size_of(*x, label) == Dim(1);
      });
    }
    a = sum(a, joined({&b.labels, &wanted}));
    b = sum(b, joined({&a.labels, &wanted}));
    const Roles roles = roles_of(a.labels, b.labels, wanted);
    if (roles.depth.empty()) return multiply_elements(a, b, order);
    if (roles.batch.empty() && has_known_shape(b)) return project(a, b, roles);
    if (roles.batch.empty() && has_known_shape(a))
      return project(b, a, roles_of(b.labels, a.labels, wanted));
    return multiply_matrices(a, b, roles);
  }

  void finish(Value* result) { graph_.replace_uses(node_.output(0), result); }
  Value* identity(Value* x) { return add({.op_type = "Identity", .inputs = {x}, .opset = 13}); }

 private:
  Value* add(NodeSpec spec) { return graph_.insert_before(&node_, std::move(spec))->output(0); }
  Value* integers(const std::vector<int64_t>& values) {
    return graph_.add_constant("", Tensor::of(values));
  }

  template <class Leaves>
  Term without(const Term& x, const char* op_type, const Leaves& leaves) {
    std::vector<int64_t> axes;
    Labels kept;
    for (std::size_t i = 0; i < x.labels.size(); ++i) {
      if (leaves(x.labels[i]))
        axes.push_back(static_cast<int64_t>(i));
      else
        kept.push_back(x.labels[i]);
    }
    if (axes.empty()) return x;
    Attributes attrs;
    if (std::string_view(op_type) == "ReduceSum") attrs.set("keepdims", int64_t{0});
    NodeSpec spec{.op_type = op_type,
                  .inputs = {x.value, integers(axes)},
                  .attrs = std::move(attrs),
                  .opset = 13};
    return {add(std::move(spec)), kept};
  }

  static bool has_known_shape(const Term& x) { return x.value->type().known_shape().has_value(); }

  Value* reshape(Value* x, const std::vector<Factors>& target) {
    std::vector<int64_t> shape;
    int inferred = 0;
    for (std::size_t i = 0; i < target.size(); ++i) {
      const std::optional<int64_t> size = known_size(target[i]);
      const bool is_copied =
          target[i].size() == 1 && target[i][0].first == x && target[i][0].second == i;
      shape.push_back(size ? *size : is_copied ? 0 : -1);
      inferred += shape.back() < 0 ? 1 : 0;
    }
    Value* wanted = inferred <= 1 ? integers(shape) : computed_shape(target);
    return add({.op_type = "Reshape", .inputs = {x, wanted}, .opset = 13});
  }

  // For shapes with more than one size that only the run knows.
  Value* computed_shape(const std::vector<Factors>& target) {
    std::vector<Value*> sizes;
    for (const Factors& factors : target) {
      const std::optional<int64_t> known = known_size(factors);
      Value* size = known ? integers({*known}) : nullptr;
      for (std::size_t i = 0; i < factors.size() && !known; ++i) {
        Value* factor = size_at_run(factors[i].first, factors[i].second);
        size = size ? product(size, factor) : factor;
      }
      sizes.push_back(size);
    }
    Attributes attrs;
    attrs.set("axis", int64_t{0});
    return add(
        {.op_type = "Concat", .inputs = std::move(sizes), .attrs = std::move(attrs), .opset = 13});
  }

  Value* size_at_run(Value* value, std::size_t axis) {
    Value* shape = add({.op_type = "Shape", .inputs = {value}, .opset = 13});
    Value* at = integers({static_cast<int64_t>(axis)});
    return add({.op_type = "Gather", .inputs = {shape, at}, .opset = 13});
  }

  Value* product(Value* a, Value* b) {
    return add({.op_type = "Mul", .inputs = {a, b}, .opset = 13});
  }

  static Factors factors_of(const Term& x, const Labels& labels) {
    Factors factors;
    for (const Label label : labels) factors.emplace_back(x.value, find(x.labels, label));
    return factors;
  }

  static void append_each(std::vector<Factors>& target, const Term& x, const Labels& labels) {
    for (const Label label : labels) target.push_back(factors_of(x, {label}));
  }

  // Any x times a matrix y of known sizes.
  Term project(const Term& x, const Term& y, const Roles& roles) {
    Term a = arrange(x, joined({&roles.rows, &roles.depth}));
    Term b = arrange(y, joined({&roles.depth, &roles.columns}));
    const Factors depth = factors_of(b, roles.depth), width = factors_of(b, roles.columns);
    std::vector<Factors> split;
    append_each(split, b, roles.columns);
    if (roles.depth.size() > 1) {
      std::vector<Factors> target;
      append_each(target, a, roles.rows);
      target.push_back(depth);
      a.value = reshape(a.value, target);
    }
    if (roles.depth.size() > 1 || roles.columns.size() > 1) {
      std::vector<Factors> target = {depth};
      if (!roles.columns.empty()) target.push_back(width);
      b.value = reshape(b.value, target);
    }
    Value* result = matmul(a.value, b.value);
    if (roles.columns.size() > 1) {
      std::vector<Factors> target;
      for (std::size_t i = 0; i < roles.rows.size(); ++i) target.push_back({{result, i}});
      target.insert(target.end(), split.begin(), split.end());
      result = reshape(result, target);
    }
    return {result, joined({&roles.rows, &roles.columns})};
  }

  // Matrices at every position of the batch axes; rows, columns and depth merge into one axis each.
  Term multiply_matrices(const Term& x, const Term& y, const Roles& roles) {
    const std::size_t batch = roles.batch.size();
    const auto merge = [&](const Term& term, const Labels& outer) {
      const Term arranged = arrange(term, joined({&roles.batch, &outer, &roles.depth}));
      if (outer.size() == 1 && roles.depth.size() == 1) return arranged.value;
      std::vector<Factors> target;
      append_each(target, arranged, roles.batch);
      target.push_back(factors_of(arranged, outer));
      target.push_back(factors_of(arranged, roles.depth));
      return reshape(arranged.value, target);
    };
    Value* a = merge(x, roles.rows);
    Term b{merge(y, roles.columns), {}};
    Labels swapped;
    for (std::size_t i = 0; i < batch + 2; ++i) b.labels.push_back(static_cast<Label>(i));
    swapped = b.labels;
    std::swap(swapped[batch], swapped[batch + 1]);
    Value* result = matmul(a, arrange(b, swapped).value);
    if (roles.rows.size() != 1 || roles.columns.size() != 1) {
      std::vector<Factors> target;
      for (std::size_t i = 0; i < batch; ++i) target.push_back({{result, i}});
      append_each(target, x, roles.rows);
      append_each(target, y, roles.columns);
      result = reshape(result, target);
    }
    return {result, joined({&roles.batch, &roles.rows, &roles.columns})};
  }

  Value* matmul(Value* a, Value* b) {
    return add({.op_type = "MatMul", .inputs = {a, b}, .opset = 13});
  }

  // Axes that one of the two lacks are broadcast.
  Term multiply_elements(const Term& a, const Term& b, const Labels& order) {
    Labels labels;
    for (const Label label : joined({&order, &a.labels, &b.labels}))
      if ((contains(a.labels, label) || contains(b.labels, label)) && !contains(labels, label))
        labels.push_back(label);
    const auto aligned = [&](const Term& x) {
      Labels own;
      std::vector<int64_t> missing;
      int64_t leading = 0;  // axes in front broadcast as they are
      for (const Label label : labels) {
        if (contains(x.labels, label))
          own.push_back(label);
        else if (own.empty())
          ++leading;
        else
          missing.push_back(static_cast<int64_t>(find(labels, label)) - leading);
      }
      Value* value = arrange(x, own).value;
      if (missing.empty()) return value;
      return add({.op_type = "Unsqueeze", .inputs = {value, integers(missing)}, .opset = 13});
    };
    Value* left = aligned(a);
    Value* right = aligned(b);
    return {product(left, right), labels};
  }

  Graph& graph_;
  Node& node_;
};

bool multiplies(DType dtype) {
  return is_float(dtype) || dtype == DType::int32 || dtype == DType::int64 ||
         dtype == DType::uint32 || dtype == DType::uint64;
}

// How many elements the product of two terms has, sizes that are not known being guessed.
double product_size(const Term& a, const Term& b, const Labels& wanted) {
  constexpr int64_t kGuess = 32;
  double size = 1;
  for (const Label label : wanted) {
    int64_t longest = 0;
    for (const Term* x : {&a, &b})
      if (contains(x->labels, label))
        longest = std::max(longest, size_of(*x, label).value_or(kGuess));
    size *= longest > 0 ? static_cast<double>(longest) : 1;
  }
  return size;
}

}  // namespace

bool contract(Graph& graph, Node& node, const Equation& equation) {
  std::vector<Term> terms;
  int64_t ellipsis = 0;
  for (std::size_t i = 0; i < node.inputs().size(); ++i) {
    Value* input = node.input(i);
    const auto& shape = input->type().shape;
    if (!multiplies(input->type().dtype) || (!shape && equation.has_ellipsis())) return false;
    if (shape && std::find(shape->begin(), shape->end(), Dim(0)) != shape->end()) return false;
    const auto rank = shape ? shape->size() : equation.inputs[i].size();
    terms.push_back({input, equation.input_labels(i, static_cast<int64_t>(rank))});
    for (const Label label : terms.back().labels) ellipsis = std::max<int64_t>(ellipsis, -label);
  }
  const Labels output = equation.output_labels(ellipsis);
  if (terms.size() == 1 && has_repeats(terms[0].labels)) {
    // A diagonal and nothing else is as simple as it gets.
    bool sums = false;
    for (const Label label : terms[0].labels) sums = sums || !contains(output, label);
    if (!sums) return false;
  }
  Contraction build(graph, node);
  for (Term& term : terms) term = build.diagonal(term);
  while (terms.size() > 1) {
    const auto wanted_besides = [&](std::size_t a, std::size_t b) {
      Labels wanted = output;
      for (std::size_t i = 0; i < terms.size(); ++i)
        if (i != a && i != b)
          wanted.insert(wanted.end(), terms[i].labels.begin(), terms[i].labels.end());
      Labels once;
      for (const Label label : wanted)
        if (!contains(once, label)) once.push_back(label);
      return once;
    };
    // The pair with the smallest product goes first, the earlier one of equals.
    std::size_t left = 0, right = 1;
    double smallest = product_size(terms[0], terms[1], wanted_besides(0, 1));
    for (std::size_t a = 0; a < terms.size(); ++a) {
      for (std::size_t b = a + 1; b < terms.size(); ++b) {
        const double size = product_size(terms[a], terms[b], wanted_besides(a, b));
        if (size >= smallest) continue;
        smallest = size;
        left = a;
        right = b;
      }
    }
    terms[left] = build.multiply(terms[left], terms[right], wanted_besides(left, right), output);
    terms.erase(terms.begin() + static_cast<std::ptrdiff_t>(right));
  }
  Value* result = build.arrange(build.sum(terms[0], output), output).value;
  build.finish(result == node.input(0) ? build.identity(result) : result);
  return true;
}

}  // namespace sdx::ops
