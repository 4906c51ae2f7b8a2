// Einsum. Equations become products of two, sums and transposes at load; what remains (diagonals,
// element types those do not have, shapes that are not known before a run) is summed term by term.
#include "ops/einsum.h"

#include <map>

#include "ir/graph.h"
#include "ops/axes.h"
#include "ops/checks.h"
#include "ops/counted_vector.h"

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
    return contract(graph, node, equation_);
  }

  Step prepare(PrepareContext& ctx) const override;

 private:
  Equation equation_;
};

// Sums term by term: for every output position, over all positions of the summed axes.
struct Terms {
  std::vector<int> inputs;                      // frame indices of the operands
  Shape shape;                                  // of the output
  std::vector<Shape> strides;                   // by operand, along the output's axes
  std::vector<CountedVector<int64_t>> offsets;  // by operand, at every position of the summed axes
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
