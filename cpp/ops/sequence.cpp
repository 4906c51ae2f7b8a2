// SequenceConstruct, SequenceEmpty, SequenceInsert, SequenceErase, SequenceAt, SequenceLength,
// SplitToSequence, ConcatFromSequence, SequenceMap.
#include "base/checked.h"
#include "base/error.h"
#include "ir/graph.h"
#include "ops/checkpoint.h"
#include "ops/subgraph.h"

namespace sdx::ops {
namespace {

// Most parts that one split makes: an axis without elements may claim any length.
constexpr int64_t kMaxParts = int64_t{1} << 24;

// Nanoseconds that a tensor of a sequence takes.
constexpr int64_t kPartWork = 200;

// The type of a sequence's items; none where it is not known.
Type item_type(const Type& sequence) {
  if (!sequence.is_known()) return {};
  check(sequence.kind == Type::Kind::sequence, "expected a sequence, got ", sequence);
  return sequence.element ? *sequence.element : Type{};
}

// A position in a list, negative ones counted from the end.
int64_t position(const Frame& f, int input, int64_t count) {
  const int64_t given = single_integer(f.input(input), "the position");
  check(given >= -count && given < count, "position ", given, " is outside a sequence of ", count);
  return given < 0 ? given + count : given;
}

void check_position_type(InferContext& ctx, int i) {
  const DType dtype = ctx.dtype(i);
  check(dtype == DType::int64 || dtype == DType::int32, "the position has element type ", dtype);
}

class SequenceEmpty final : public Op {
 public:
  explicit SequenceEmpty(const OpInit& init) {
    const int64_t code = init.attrs.get("dtype", static_cast<int>(DType::float32));
    check(is_known_dtype(code) && code != 0, "dtype ", code, " is no element type");
    dtype_ = static_cast<DType>(code);
  }

  void infer(InferContext& ctx) const override {
    ctx.set_output(0, Type::sequence(Type::tensor(dtype_)));
  }

  Step prepare(PrepareContext&) const override {
    return [dtype = dtype_](Frame& f) { f.set_output(0, Sequence{dtype, {}}); };
  }

 private:
  DType dtype_;
};

class SequenceConstruct final : public Op {
 public:
  explicit SequenceConstruct(const OpInit& init) {
    check(init.input_count > 0, "a sequence is constructed from at least one tensor");
  }

  void infer(InferContext& ctx) const override {
    Type type = ctx.input(0);
    for (int i = 1; i < ctx.input_count(); ++i) type = join(type, ctx.input(i));
    ctx.set_output(0, Type::sequence(std::move(type)));
  }

  Step prepare(PrepareContext&) const override {
    return [](Frame& f) {
      Sequence sequence;
      for (int i = 0; i < f.input_count(); ++i) sequence.items.push_back(f.keep_input(i));
      if (sequence.items[0].is_tensor()) sequence.dtype = sequence.items[0].tensor().dtype();
      f.set_output(0, std::move(sequence));
    };
  }
};

class SequenceInsert final : public Op {
 public:
  explicit SequenceInsert(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    if (ctx.has_input(2)) check_position_type(ctx, 2);
    ctx.set_output(0, Type::sequence(join(item_type(ctx.input(0)), ctx.input(1))));
  }

  Step prepare(PrepareContext&) const override {
    return [](Frame& f) {
      Sequence sequence = f.keep_input(0).sequence();
      Datum item = f.keep_input(1);
      const auto count = static_cast<int64_t>(sequence.items.size());
      int64_t where = count;
      if (f.has_input(2)) {
        where = single_integer(f.input(2), "the position");
        check(where >= -count && where <= count, "position ", where, " is outside a sequence of ",
              count);
        if (where < 0) where += count;
      }
      if (count == 0 && item.is_tensor()) sequence.dtype = item.tensor().dtype();
      sequence.items.insert(sequence.items.begin() + where, std::move(item));
      f.set_output(0, std::move(sequence));
    };
  }
};

class SequenceErase final : public Op {
 public:
  explicit SequenceErase(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    item_type(ctx.input(0));
    if (ctx.has_input(1)) check_position_type(ctx, 1);
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext&) const override {
    return [](Frame& f) {
      Sequence sequence = f.keep_input(0).sequence();
      const auto count = static_cast<int64_t>(sequence.items.size());
      check(count > 0, "cannot erase from an empty sequence");
      const int64_t where = f.has_input(1) ? position(f, 1, count) : count - 1;
      sequence.items.erase(sequence.items.begin() + where);
      f.set_output(0, std::move(sequence));
    };
  }
};

class SequenceAt final : public Op {
 public:
  explicit SequenceAt(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    check_position_type(ctx, 1);
    ctx.set_output(0, item_type(ctx.input(0)));
  }

  Step prepare(PrepareContext&) const override {
    return [](Frame& f) {
      const Datum input = f.input(0);
      const std::vector<Datum>& items = input.sequence().items;
      f.set_output(0, items[position(f, 1, static_cast<int64_t>(items.size()))].owned());
    };
  }
};

class SequenceLength final : public Op {
 public:
  explicit SequenceLength(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    item_type(ctx.input(0));
    ctx.set_output(0, DType::int64, {});
  }

  Step prepare(PrepareContext&) const override {
    return [](Frame& f) {
      *f.out<int64_t>(0) = static_cast<int64_t>(f.input(0).sequence().items.size());
    };
  }
};

// copy_items, which the end of a run interrupts.
void copy_run(DType dtype, const char* from, char* to, int64_t count, Checkpoint& checkpoint) {
  constexpr int64_t kBlock = 1 << 14, kBlockWork = 1 << 15;
  const auto bytes = static_cast<int64_t>(item_size(dtype));
  for (int64_t at = 0; at < count; at += kBlock) {
    copy_items(dtype, from + at * bytes, to + at * bytes, std::min(kBlock, count - at));
    if (count > kBlock) checkpoint(kBlockWork);
  }
}

// Elements [begin, end) along an axis, in memory of their own.
Tensor cut(const Tensor& tensor, int64_t axis, int64_t begin, int64_t end, Checkpoint& checkpoint) {
  const AxisSplit around = split_at(tensor.shape(), axis);
  Shape shape = tensor.shape();
  shape[axis] = end - begin;
  Tensor part = Tensor::allocate(tensor.dtype(), shape);
  const auto bytes = static_cast<int64_t>(item_size(tensor.dtype()));
  for (int64_t o = 0; o < around.outer; ++o)
    copy_run(
        tensor.dtype(),
        static_cast<const char*>(tensor.raw()) + (o * around.size + begin) * around.inner * bytes,
        static_cast<char*>(part.raw()) + o * (end - begin) * around.inner * bytes,
        (end - begin) * around.inner, checkpoint);
  return part;
}

class SplitToSequence final : public Op {
 public:
  explicit SplitToSequence(const OpInit& init)
      : axis_(init.attrs.get("axis", 0)), keep_axis_(init.attrs.get("keepdims", 1) != 0) {}

  void infer(InferContext& ctx) const override {
    Type item = ctx.input(0);
    check(item.is_tensor(), "expected a tensor, got ", item);
    if (ctx.has_input(1)) check_position_type(ctx, 1);
    if (item.shape) {
      const int64_t axis = normalize_axis(axis_, ctx.rank(0));
      if (ctx.has_input(1)) {
        (*item.shape)[axis] = Dim::unknown();
      } else if (keep_axis_) {
        (*item.shape)[axis] = 1;
      } else {
        item.shape->erase(item.shape->begin() + axis);
      }
    }
    ctx.set_output(0, Type::sequence(std::move(item)));
  }

  Step prepare(PrepareContext&) const override {
    return [axis_given = axis_, keep_axis = keep_axis_](Frame& f) {
      const Tensor tensor = f.input_tensor(0);
      const int64_t axis = normalize_axis(axis_given, tensor.rank());
      const int64_t size = tensor.shape()[axis];
      std::vector<int64_t> lengths;
      int64_t chunk = 1;
      if (f.has_input(1)) {
        const Tensor split = f.input_tensor(1);
        check(split.rank() <= 1, "split has rank ", split.rank());
        if (split.rank() == 1) {
          lengths = split.to_int64s();
        } else {
          chunk = single_integer(split, "split");
          check(chunk > 0, "split is ", chunk);
        }
      }
      const bool equal_parts = !f.has_input(1) || f.input_tensor(1).rank() == 0;
      check(!equal_parts || size / chunk < kMaxParts, "a sequence of ", size / chunk,
            " parts is too long");
      if (equal_parts)
        for (int64_t begin = 0; begin < size; begin += std::min(chunk, size - begin))
          lengths.push_back(std::min(chunk, size - begin));
      int64_t total = 0;
      for (const int64_t length : lengths) {
        check(length >= 0, "split has the negative length ", length);
        total = checked_add(total, length);
      }
      check(total == size, "split lengths add up to ", total, ", the axis has ", size);
      Sequence sequence{tensor.dtype(), {}};
      int64_t begin = 0;
      Checkpoint checkpoint;
      for (const int64_t length : lengths) {
        checkpoint(kPartWork);
        Tensor part = cut(tensor, axis, begin, begin + length, checkpoint);
        begin += length;
        if (!f.has_input(1) && !keep_axis) {
          Shape shape = part.shape();
          shape.erase(axis);
          part = part.reshaped(shape);
        }
        sequence.items.emplace_back(std::move(part));
      }
      f.set_output(0, std::move(sequence));
    };
  }

 private:
  int64_t axis_;
  bool keep_axis_;  // ignored where lengths are given
};

class ConcatFromSequence final : public Op {
 public:
  explicit ConcatFromSequence(const OpInit& init)
      : axis_(init.attrs.require<int64_t>("axis")), new_axis_(init.attrs.get("new_axis", 0) != 0) {}

  void infer(InferContext& ctx) const override {
    Type item = item_type(ctx.input(0));
    if (item.shape) {
      const auto rank = static_cast<int64_t>(item.shape->size());
      const int64_t axis = normalize_axis(axis_, rank + new_axis_);
      if (new_axis_) {
        item.shape->insert(item.shape->begin() + axis, Dim::unknown());
      } else {
        (*item.shape)[axis] = Dim::unknown();
      }
    }
    ctx.set_output(0, std::move(item));
  }

  Step prepare(PrepareContext&) const override {
    return [axis_given = axis_, new_axis = new_axis_](Frame& f) {
      const Datum input = f.input(0);
      const std::vector<Datum>& items = input.sequence().items;
      check(!items.empty(), "cannot concatenate an empty sequence");
      const Tensor& first = items[0].tensor();
      const int64_t axis = normalize_axis(axis_given, first.rank() + new_axis);
      Shape shape = first.shape();
      if (new_axis) shape.insert(axis, 0);
      Shape rest = shape;
      rest[axis] = 0;
      shape[axis] = 0;
      std::vector<Tensor> parts;
      Checkpoint checkpoint;
      for (const Datum& item : items) {
        checkpoint(kPartWork);
        Tensor part = item.tensor();
        Shape part_shape = part.shape();
        if (new_axis) {
          check(part.rank() == first.rank(), "ranks differ: ", first.rank(), " and ", part.rank());
          part_shape.insert(axis, 1);
          part = part.reshaped(part_shape);
        }
        check(part.dtype() == first.dtype() && part.rank() == static_cast<int64_t>(rest.size()),
              "tensors differ in element type or rank: ", first.shape(), " and ",
              item.tensor().shape());
        shape[axis] = checked_add(shape[axis], part_shape[axis]);
        part_shape[axis] = 0;
        check(part_shape == rest, "shapes differ beside axis ", axis, ": ", first.shape(), " and ",
              item.tensor().shape());
        parts.push_back(std::move(part));
      }
      Tensor result = Tensor::allocate(first.dtype(), shape);
      const AxisSplit around = split_at(shape, axis);
      const auto bytes = static_cast<int64_t>(item_size(first.dtype()));
      int64_t begin = 0;
      for (const Tensor& part : parts) {
        checkpoint(kPartWork);
        const int64_t run = part.shape()[axis] * around.inner;
        for (int64_t o = 0; o < around.outer; ++o)
          copy_run(
              first.dtype(), static_cast<const char*>(part.raw()) + o * run * bytes,
              static_cast<char*>(result.raw()) + (o * around.size * around.inner + begin) * bytes,
              run, checkpoint);
        begin += run;
      }
      f.set_output(0, std::move(result));
    };
  }

 private:
  int64_t axis_;
  bool new_axis_;
};

class SequenceMap final : public Op {
 public:
  explicit SequenceMap(const OpInit& init) {
    init.attrs.require<std::shared_ptr<Graph>>("body");
    check_nesting(init.attrs);
  }

  void infer(InferContext& ctx) const override {
    std::vector<Facts> inputs;
    const int formal = ctx.input_count() - ctx.capture_count();
    check(formal >= 1, "the input sequence is missing");
    for (int i = 0; i < formal; ++i) {
      const Type& type = ctx.input(i);
      const bool is_sequence = i == 0 || type.kind == Type::Kind::sequence;
      inputs.push_back(Facts::of(is_sequence ? item_type(type) : type));
    }
    for (int i = formal; i < ctx.input_count(); ++i) inputs.push_back(ctx.facts(i));
    std::vector<Type> types = ctx.infer_subgraph("body", inputs);
    check(ctx.output_count() <= static_cast<int>(types.size()), "the node has ", ctx.output_count(),
          " outputs, its body ", types.size());
    for (int i = 0; i < ctx.output_count(); ++i)
      ctx.set_output(i, Type::sequence(std::move(types[i])));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int captures = ctx.capture_count();
    std::vector<DType> dtypes;  // of the items of each output, for empty sequences
    for (const Value* output : ctx.node().outputs()) {
      const bool typed = output && output->type().element;
      dtypes.push_back(typed ? output->type().element->dtype : DType::float32);
    }
    return [body = &ctx.program("body"), captures, dtypes = std::move(dtypes)](Frame& f) {
      const int formal = f.input_count() - captures;
      std::vector<Datum> inputs;
      for (int i = 0; i < formal; ++i) inputs.push_back(f.input(i));
      append_captures(f, captures, inputs);
      const std::size_t count = inputs[0].sequence().items.size();
      std::vector<Datum> arguments = inputs;
      std::vector<Sequence> results;
      for (const DType dtype : dtypes) results.push_back({dtype, {}});
      for (std::size_t step = 0; step < count; ++step) {
        stop_if_cancelled(f);
        for (int i = 0; i < formal; ++i) {
          if (!inputs[i].is_sequence()) continue;
          const std::vector<Datum>& items = inputs[i].sequence().items;
          check(items.size() == count, "sequence lengths differ: ", count, " and ", items.size());
          arguments[i] = items[step];
        }
        std::vector<Datum> outputs = body->run(arguments, f.state());
        for (std::size_t i = 0; i < results.size(); ++i)
          results[i].items.push_back(std::move(outputs[i]));
      }
      for (std::size_t i = 0; i < results.size(); ++i)
        f.set_output(static_cast<int>(i), std::move(results[i]));
    };
  }
};

}  // namespace

[[gnu::cold]] void register_sequence(OpRegistry& ops) {
  ops.add<SequenceEmpty>("SequenceEmpty", {.since = 11});
  ops.add<SequenceConstruct>("SequenceConstruct", {.since = 11});
  ops.add<SequenceInsert>("SequenceInsert", {.since = 11});
  ops.add<SequenceErase>("SequenceErase", {.since = 11});
  ops.add<SequenceAt>("SequenceAt", {.since = 11});
  ops.add<SequenceLength>("SequenceLength", {.since = 11});
  ops.add<SplitToSequence>("SplitToSequence", {.since = 11});
  ops.add<ConcatFromSequence>("ConcatFromSequence", {.since = 11});
  ops.add<SequenceMap>("SequenceMap", {.since = 17});
}

}  // namespace sdx::ops
