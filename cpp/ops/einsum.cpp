// Einsum. Products of many become products of two, and products of two become matrix products where
// their axes allow; what remains is summed term by term.
#include "ops/einsum.h"

#include <map>

#include "ir/graph.h"
#include "ops/axes.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

using LabelDims = std::map<Label, Dim>;

// Sizes of all labels; an axis of size 1 broadcasts.
void add_sizes(LabelDims& sizes, const Labels& labels, const Dims& dims) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto [entry, fresh] = sizes.emplace(labels[i], dims[i]);
    Dim& size = entry->second;
    if (fresh || dims[i] == Dim(1)) continue;
    check(!size.is_known() || !dims[i].is_known() || size == dims[i] || size == Dim(1),
          "an axis has sizes ", size, " and ", dims[i]);
    if (!size.is_known() ? dims[i].is_known() : size == Dim(1)) size = dims[i];
  }
}

// The axes of two inputs by the part they play in a matrix product. No label is repeated in an
// input, or summed that only one has.
struct Roles {
  Labels batch, rows, columns, depth;
};

Roles roles_of(const Labels& a, const Labels& b, const Labels& output) {
  Roles roles;
  for (const Label label : a)
    (!contains(b, label)       ? roles.rows
     : contains(output, label) ? roles.batch
                               : roles.depth)
        .push_back(label);
  for (const Label label : b)
    if (!contains(a, label)) roles.columns.push_back(label);
  return roles;
}

std::size_t find(const Labels& labels, Label label) {
  return static_cast<std::size_t>(std::find(labels.begin(), labels.end(), label) - labels.begin());
}

Labels joined(std::initializer_list<const Labels*> parts) {
  Labels all;
  for (const Labels* part : parts) all.insert(all.end(), part->begin(), part->end());
  return all;
}

// Builds nodes in front of an Einsum that together replace it.
class Builder {
 public:
  Builder(Graph& graph, Node& node) : graph_(graph), node_(node) {}

  Value* transpose(Value* x, const Labels& from, const Labels& to) {
    if (from == to) return x;
    std::vector<int64_t> perm;
    for (const Label label : to) perm.push_back(static_cast<int64_t>(find(from, label)));
    Attributes attrs;
    attrs.set("perm", std::move(perm));
    return add({.op_type = "Transpose", .inputs = {x}, .attrs = std::move(attrs), .opset = 13});
  }
  // To `copied` axes as they are, then those of `rest`.
  Value* reshape(Value* x, std::size_t copied, const std::vector<int64_t>& rest) {
    std::vector<int64_t> shape(copied, 0);
    shape.insert(shape.end(), rest.begin(), rest.end());
    Value* constant = graph_.add_constant("", Tensor::of(shape));
    return add({.op_type = "Reshape", .inputs = {x, constant}, .opset = 13});
  }
  Value* multiply(Value* a, Value* b) {
    return add({.op_type = "MatMul", .inputs = {a, b}, .opset = 13});
  }
  Value* einsum(std::vector<Value*> inputs, const std::string& equation) {
    Attributes attrs;
    attrs.set("equation", equation);
    return add(
        {.op_type = "Einsum", .inputs = std::move(inputs), .attrs = std::move(attrs), .opset = 12});
  }
  void finish(Value* result) { graph_.replace_uses(node_.output(0), result); }

 private:
  Value* add(NodeSpec spec) { return graph_.insert_before(&node_, std::move(spec))->output(0); }

  Graph& graph_;
  Node& node_;
};

bool multiplies(DType dtype) {
  return is_float(dtype) || dtype == DType::int32 || dtype == DType::int64 ||
         dtype == DType::uint32 || dtype == DType::uint64;
}

class Einsum final : public Op {
 public:
  explicit Einsum(const OpInit& init)
      : equation_(parse_equation(init.attrs.require<std::string>("equation"), init.input_count)) {}

  void infer(InferContext& ctx) const override {
    LabelDims sizes;
    int64_t ellipsis = 0;
    bool ranks_known = true;
    for (int i = 0; i < ctx.input_count(); ++i) {
      check(ctx.dtype(i) == ctx.dtype(0), "element types differ: ", ctx.dtype(0), " and ",
            ctx.dtype(i));
      if (!ctx.has_rank(i)) {
        ranks_known = false;
        continue;
      }
      const Labels labels = equation_.input_labels(i, ctx.rank(i));
      ellipsis = std::max<int64_t>(ellipsis, std::count_if(labels.begin(), labels.end(),
                                                           [](Label label) { return label < 0; }));
      add_sizes(sizes, labels, ctx.dims(i));
    }
    if (!ranks_known && equation_.has_ellipsis()) return ctx.set_output(0, ctx.dtype(0));
    Dims dims;
    for (const Label label : equation_.output_labels(ellipsis)) {
      const auto known = sizes.find(label);
      dims.push_back(known == sizes.end() ? Dim::unknown() : known->second);
    }
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
  }

  bool expand(Graph& graph, Node& node) const override {
    for (const Value* input : node.inputs()) check(input != nullptr, "an input is left out");
    Builder build(graph, node);
    if (node.inputs().size() > 2) {
      split_pairs(build, node);
      return true;
    }
    return node.inputs().size() == 2 && (reduce_terms(build, node) || expand_product(build, node));
  }

  Step prepare(PrepareContext& ctx) const override;

 private:
  // Multiplies the first two, what comes out with the third, and so on.
  void split_pairs(Builder& build, const Node& node) const {
    Value* product = node.input(0);
    std::string term = equation_.inputs[0];
    const std::size_t count = equation_.inputs.size();
    for (std::size_t i = 1; i < count; ++i) {
      std::string later = equation_.output;
      for (std::size_t k = i + 1; k < count; ++k) later += equation_.inputs[k];
      std::string kept;
      for (const char c : term + equation_.inputs[i])
        if (later.find(c) != std::string::npos && kept.find(c) == std::string::npos) kept += c;
      const std::string next = i + 1 == count ? equation_.output : kept;
      product =
          build.einsum({product, node.input(i)},
                       spelled(term) + "," + spelled(equation_.inputs[i]) + "->" + spelled(next));
      term = next;
    }
    build.finish(product);
  }

  // Sums what only one input has, and takes diagonals, before the product.
  bool reduce_terms(Builder& build, const Node& node) const {
    std::vector<Value*> inputs = node.inputs();
    std::vector<std::string> terms = equation_.inputs;
    for (std::size_t i = 0; i < 2; ++i) {
      const std::string wanted = equation_.inputs[1 - i] + equation_.output;
      std::string kept;
      for (const char c : terms[i])
        if (wanted.find(c) != std::string::npos && kept.find(c) == std::string::npos) kept += c;
      if (kept == terms[i]) continue;
      inputs[i] = build.einsum({inputs[i]}, spelled(terms[i]) + "->" + spelled(kept));
      terms[i] = kept;
    }
    if (terms == equation_.inputs) return false;
    build.finish(build.einsum(
        inputs, spelled(terms[0]) + "," + spelled(terms[1]) + "->" + spelled(equation_.output)));
    return true;
  }

  static std::string spelled(const std::string& term) {
    std::string text;
    for (const char c : term) text += c == '.' ? "..." : std::string(1, c);
    return text;
  }

  bool expand_product(Builder& build, const Node& node) const {
    const Type &left = node.input(0)->type(), &right = node.input(1)->type();
    if (!left.shape || !right.shape || !multiplies(left.dtype)) return false;
    const Labels a = equation_.input_labels(0, static_cast<int64_t>(left.shape->size()));
    const Labels b = equation_.input_labels(1, static_cast<int64_t>(right.shape->size()));
    int64_t ellipsis = 0;
    for (const Label label : joined({&a, &b})) ellipsis = std::max<int64_t>(ellipsis, -label);
    const Labels output = equation_.output_labels(ellipsis);
    const Roles roles = roles_of(a, b, output);
    if (roles.depth.empty()) return false;
    for (const Label label : joined({&roles.rows, &roles.columns}))
      if (!contains(output, label)) return false;  // of an ellipsis that is longer on one side
    for (const Label label : roles.depth)
      if (!may_equal((*left.shape)[find(a, label)], (*right.shape)[find(b, label)])) return false;
    Value *x = node.input(0), *y = node.input(1);
    if (roles.batch.empty() && to_shape(*right.shape)) {
      project(build, {x, a}, {y, b}, *to_shape(*right.shape), roles, output);
      return true;
    }
    if (roles.batch.empty() && to_shape(*left.shape)) {
      project(build, {y, b}, {x, a}, *to_shape(*left.shape), roles_of(b, a, output), output);
      return true;
    }
    if (roles.rows.size() > 1 || roles.columns.size() > 1) return false;
    multiply_batches(build, {x, a}, {y, b}, roles, output);
    return true;
  }

  struct Operand {
    Value* value;
    const Labels& labels;
  };

  // Any x times a matrix y of known sizes.
  static void project(Builder& build, const Operand& x, const Operand& y, const Shape& shape,
                      const Roles& roles, const Labels& output) {
    const auto size_of = [&](Label label) { return shape[find(y.labels, label)]; };
    Value* a = build.transpose(x.value, x.labels, joined({&roles.rows, &roles.depth}));
    Value* b = build.transpose(y.value, y.labels, joined({&roles.depth, &roles.columns}));
    int64_t depth = 1, width = 1;
    std::vector<int64_t> columns;
    for (const Label label : roles.depth) depth *= size_of(label);
    for (const Label label : roles.columns) {
      columns.push_back(size_of(label));
      width *= columns.back();
    }
    const bool is_matrix = columns.size() == 1;
    if (roles.depth.size() > 1) a = build.reshape(a, roles.rows.size(), {depth});
    if (roles.depth.size() > 1 || columns.size() > 1)
      b = build.reshape(b, 0, columns.empty() ? std::vector{depth} : std::vector{depth, width});
    Value* result = build.multiply(a, b);
    if (!columns.empty() && !is_matrix) result = build.reshape(result, roles.rows.size(), columns);
    build.finish(build.transpose(result, joined({&roles.rows, &roles.columns}), output));
  }

  // One row axis, one column axis at most; depth merges into one axis.
  static void multiply_batches(Builder& build, const Operand& x, const Operand& y,
                               const Roles& roles, const Labels& output) {
    const std::size_t batch = roles.batch.size();
    const auto arrange = [&](const Operand& operand, const Labels& outer) {
      Value* value = build.transpose(operand.value, operand.labels,
                                     joined({&roles.batch, &outer, &roles.depth}));
      if (outer.empty()) return build.reshape(value, batch, {1, -1});
      return roles.depth.size() == 1 ? value : build.reshape(value, batch + 1, {-1});
    };
    Value* a = arrange(x, roles.rows);
    Value* b = arrange(y, roles.columns);
    Labels matrix(batch + 2);
    for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i] = static_cast<Label>(i);
    Labels swapped = matrix;
    std::swap(swapped[batch], swapped[batch + 1]);
    Value* result = build.multiply(a, build.transpose(b, matrix, swapped));
    if (roles.rows.empty())
      result = build.reshape(
          result, batch, roles.columns.empty() ? std::vector<int64_t>{} : std::vector<int64_t>{-1});
    else if (roles.columns.empty())
      result = build.reshape(result, batch + 1, {});
    build.finish(
        build.transpose(result, joined({&roles.batch, &roles.rows, &roles.columns}), output));
  }

  Equation equation_;
};

// Sums term by term: for every output position, over all positions of the summed axes.
struct Terms {
  std::vector<int> inputs;                    // frame indices of the operands
  Shape shape;                                // of the output
  std::vector<Shape> strides;                 // by operand, along the output's axes
  std::vector<std::vector<int64_t>> offsets;  // by operand, at every position of the summed axes
};

template <class T>
void sum_terms(const Frame& f, const Terms& terms) {
  using C = ComputeType<T>;
  const std::size_t operands = terms.inputs.size();
  const auto depth = static_cast<int64_t>(terms.offsets[0].size());
  T* y = f.out<T>(0);
  const double cost = 5.0 + 1.5 * static_cast<double>(depth) * static_cast<double>(operands);
  f.parallel_for(split_work(element_count(terms.shape), cost), [&](Range r) {
    for (int64_t i = r.begin; i < r.end; ++i) {
      const auto base = [&](std::size_t operand) {
        int64_t rest = i, offset = 0;
        for (std::size_t d = terms.shape.size(); d-- > 0; rest /= terms.shape[d])
          offset += rest % terms.shape[d] * terms.strides[operand][d];
        return f.in<T>(terms.inputs[operand]) + offset;
      };
      C sum = 0;
      if (operands == 2) {
        const T *a = base(0), *b = base(1);
        const int64_t *at_a = terms.offsets[0].data(), *at_b = terms.offsets[1].data();
        for (int64_t k = 0; k < depth; ++k)
          sum = static_cast<C>(sum + static_cast<C>(a[at_a[k]]) * static_cast<C>(b[at_b[k]]));
      } else {
        for (int64_t k = 0; k < depth; ++k) {
          C product = 1;
          for (std::size_t o = 0; o < operands; ++o)
            product = static_cast<C>(product * static_cast<C>(base(o)[terms.offsets[o][k]]));
          sum = static_cast<C>(sum + product);
        }
      }
      y[i] = static_cast<T>(sum);
    }
  });
}

Step Einsum::prepare(PrepareContext& ctx) const {
  LabelDims sizes;
  std::vector<Labels> labels;
  int64_t ellipsis = 0;
  for (int i = 0; i < ctx.input_count(); ++i) {
    labels.push_back(equation_.input_labels(i, static_cast<int64_t>(ctx.shape(i).size())));
    for (const Label label : labels.back()) ellipsis = std::max<int64_t>(ellipsis, -label);
    add_sizes(sizes, labels.back(), to_dims(ctx.shape(i)));
  }
  const Labels output = equation_.output_labels(ellipsis);
  if (element_count(ctx.output_shape(0)) == 0) return [](Frame&) {};
  Terms terms;
  terms.shape = ctx.output_shape(0);
  Shape summed_shape;
  Labels summed;
  for (const auto& [label, size] : sizes) {
    if (contains(output, label)) continue;
    summed.push_back(label);
    summed_shape.push_back(size.value());
  }
  const int64_t depth = element_count(summed_shape);
  check(depth < (int64_t{1} << 32), "every element would be a sum of ", depth, " terms");
  for (int i = 0; i < ctx.input_count(); ++i) {
    terms.inputs.push_back(i);
    const Shape &shape = ctx.shape(i), strides = row_major_strides(shape);
    const auto stride_of = [&](Label label) {
      int64_t stride = 0;  // a repeated label walks the diagonal
      for (std::size_t d = 0; d < shape.size(); ++d)
        if (labels[i][d] == label && shape[d] != 1) stride += strides[d];
      return stride;
    };
    Shape& along = terms.strides.emplace_back();
    for (const Label label : output) along.push_back(stride_of(label));
    auto& offsets = terms.offsets.emplace_back(static_cast<std::size_t>(depth));
    for (int64_t k = 0; k < depth; ++k) {
      int64_t rest = k;
      for (std::size_t d = summed.size(); d-- > 0; rest /= summed_shape[d])
        offsets[k] += rest % summed_shape[d] * stride_of(summed[d]);
    }
  }
  return dispatch(NumberTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
    return [terms = std::move(terms)](Frame& f) { sum_terms<T>(f, terms); };
  });
}

}  // namespace

[[gnu::cold]] void register_einsum(OpRegistry& ops) { ops.add<Einsum>("Einsum", {.since = 12}); }

}  // namespace sdx::ops
