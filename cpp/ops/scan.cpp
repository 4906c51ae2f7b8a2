// Scan: a graph run over the slices of tensors.
#include "base/error.h"
#include "ir/graph.h"
#include "ops/subgraph.h"

namespace sdx::ops {
namespace {

// Per-input or per-output attributes: all given or none.
std::vector<int64_t> filled(std::vector<int64_t> given, std::size_t count, std::string_view name) {
  if (given.empty()) given.resize(count, 0);
  check(given.size() == count, "attribute '", name, "' has ", given.size(), " entries instead of ",
        count);
  return given;
}

// Since opset 9 there is no batch; opset 8 runs the same loop once for each item of a batch.
class Scan final : public Op {
 public:
  explicit Scan(const OpInit& init) : batched_(init.opset < 9) {
    const Graph& body = *init.attrs.require<std::shared_ptr<Graph>>("body");
    check_nesting(init.attrs);
    scans_in_ = init.attrs.require<int64_t>("num_scan_inputs");
    check(scans_in_ >= 1 && scans_in_ <= static_cast<int64_t>(body.inputs().size()),
          "num_scan_inputs is ", scans_in_, ", the body has ", body.inputs().size(), " inputs");
    outputs_ = static_cast<int64_t>(body.outputs().size());
    directions_in_ = filled(init.attrs.ints(batched_ ? "directions" : "scan_input_directions"),
                            scans_in_, "scan_input_directions");
    if (batched_) {
      axes_in_.assign(scans_in_, 0);
      return;
    }
    axes_in_ = filled(init.attrs.ints("scan_input_axes"), scans_in_, "scan_input_axes");
    directions_out_ = init.attrs.ints("scan_output_directions");
    axes_out_ = init.attrs.ints("scan_output_axes");
  }

  void infer(InferContext& ctx) const override {
    const int64_t states = state_count(ctx);
    const int first = batched_ ? 1 : 0;
    if (batched_ && ctx.has_input(0))
      check(ctx.dtype(0) == DType::int64, "sequence_lens has element type ", ctx.dtype(0));
    std::vector<Facts> inputs;
    Dim batch = Dim::unknown(), steps = Dim::unknown();
    for (int64_t i = 0; i < states + scans_in_; ++i) {
      Type type = ctx.input(first + i);
      if (type.shape && batched_) batch = take_axis(*type.shape, 0, batch, "batch size");
      if (i >= states) {
        check(type.is_tensor(), "scan input ", i - states, " is no tensor but ", type);
        if (type.shape)
          steps = take_axis(*type.shape, axes_in_[i - states], steps, "sequence length");
      }
      inputs.push_back(Facts::of(std::move(type)));
    }
    std::vector<Type> types =
        infer_iterations(ctx, "body", std::move(inputs), {0, 0, static_cast<std::size_t>(states)});
    check(ctx.output_count() <= static_cast<int>(types.size()), "the node has ", ctx.output_count(),
          " outputs, its body ", types.size());
    const auto axes = filled(axes_out_, types.size() - states, "scan_output_axes");
    for (int i = 0; i < ctx.output_count(); ++i) {
      Type& type = types[i];
      if (type.shape && i >= states) {
        const int64_t rank = static_cast<int64_t>(type.shape->size()) + 1;
        const int64_t axis = normalize_axis(axes[i - states], rank);
        type.shape->insert(type.shape->begin() + axis, steps);
      }
      if (type.shape && batched_) type.shape->insert(type.shape->begin(), batch);
      ctx.set_output(i, std::move(type));
    }
  }

  Step prepare(PrepareContext& ctx) const override {
    const int states = static_cast<int>(state_count(ctx));
    std::vector<std::pair<DType, Shape>> slices;  // what a scan output collects if nothing runs
    for (int64_t i = states; i < outputs_; ++i)
      slices.push_back(declared_slice(ctx, i, i - states));
    Loop loop{&ctx.program("body"),
              ctx.capture_count(),
              states,
              static_cast<int>(scans_in_),
              static_cast<int>(outputs_),
              directions_in_,
              filled(directions_out_, outputs_ - states, "scan_output_directions"),
              std::move(slices)};
    if (batched_) return [loop = std::move(loop)](Frame& f) { run_batch(loop, f); };
    return [loop = std::move(loop), axes_in = axes_in_,
            axes_out = filled(axes_out_, outputs_ - states, "scan_output_axes")](Frame& f) {
      std::vector<Datum> inputs = loop_inputs(loop, f, 0);
      for (int i = 0; i < loop.scans; ++i) {
        Tensor& scanned = inputs[loop.states + i].tensor();
        scanned = move_axis(scanned, normalize_axis(axes_in[i], scanned.rank()), 0);
      }
      int64_t steps = 0;
      for (int i = 0; i < loop.scans; ++i) {
        const int64_t length = inputs[loop.states + i].tensor().shape()[0];
        check(i == 0 || length == steps, "sequence lengths differ: ", steps, " and ", length);
        steps = length;
      }
      std::vector<Stack> stacks = iterate(loop, f, inputs, steps);
      for (int i = 0; i < f.output_count(); ++i) {
        if (!f.wants_output(i)) continue;
        if (i < loop.states) {
          f.set_output(i, inputs[i].owned());
          continue;
        }
        const Tensor stacked = stacks[i - loop.states].finish();
        const int64_t axis = normalize_axis(axes_out[i - loop.states], stacked.rank());
        f.set_output(i, move_axis(stacked, 0, axis));
      }
    };
  }

 private:
  // What the iterations of one run have in common.
  struct Loop {
    Program* body;
    int captures;
    int states;
    int scans;
    int outputs;
    std::vector<int64_t> directions_in, directions_out;
    std::vector<std::pair<DType, Shape>> slices;
  };

  template <class Context>
  int64_t state_count(const Context& ctx) const {
    const int64_t formal = ctx.input_count() - ctx.capture_count() - (batched_ ? 1 : 0);
    const int64_t states = formal - scans_in_;
    check(states >= 0 && states <= outputs_, "the node has ", formal, " inputs, ", scans_in_,
          " of them scanned, its body ", outputs_, " outputs");
    return states;
  }

  // Removes an axis; `known` is the dimension that other inputs gave it.
  static Dim take_axis(Dims& dims, int64_t axis, const Dim& known, std::string_view what) {
    const int64_t position = normalize_axis(axis, static_cast<int64_t>(dims.size()));
    const Dim dim = dims[position];
    dims.erase(dims.begin() + position);
    if (!dim.is_known()) return known.is_unknown() ? dim : known;
    check(!known.is_known() || known == dim, what, " differs: ", known, " and ", dim);
    return dim;
  }

  // Element type and shape of one slice of scan output `scan`.
  std::pair<DType, Shape> declared_slice(const PrepareContext& ctx, int64_t i, int64_t scan) const {
    const Value* output = ctx.node().output(i);
    if (!output) return {DType::float32, Shape{}};
    const Type& type = output->type();
    const std::size_t leading = batched_ ? 2 : 1;
    if (!type.shape || type.shape->size() < leading) return {type.dtype, Shape{}};
    Shape shape = resolve_dims(ctx, *type.shape);
    if (batched_) shape.erase(0);
    const int64_t axis = axes_out_.empty() ? 0 : axes_out_[scan];
    shape.erase(normalize_axis(axis, static_cast<int64_t>(shape.size())));
    return {type.dtype, shape};
  }

  static std::vector<Datum> loop_inputs(const Loop& loop, const Frame& f, int first) {
    std::vector<Datum> inputs;
    for (int i = 0; i < loop.states + loop.scans; ++i) inputs.push_back(f.input(first + i));
    return inputs;
  }

  static std::vector<Stack> make_stacks(const Loop& loop, int64_t steps) {
    std::vector<Stack> stacks;
    for (const auto& [dtype, shape] : loop.slices) {
      stacks.emplace_back(dtype, shape);
      stacks.back().reserve(steps);
    }
    return stacks;
  }

  // Runs the body over `steps` slices of the scanned inputs, which have their axis first. `inputs`
  // holds the final state afterwards.
  static std::vector<Stack> iterate(const Loop& loop, const Frame& f, std::vector<Datum>& inputs,
                                    int64_t steps) {
    std::vector<Stack> stacks = make_stacks(loop, steps);
    const int formal = loop.states + loop.scans;
    std::vector<Datum> arguments(inputs.begin(), inputs.begin() + formal);
    append_captures(f, loop.captures, arguments);
    std::vector<std::vector<Tensor>> collected(stacks.size());
    for (int64_t step = 0; step < steps; ++step) {
      stop_if_cancelled(f);
      for (int i = 0; i < loop.scans; ++i)
        arguments[loop.states + i] = slice_first(
            inputs[loop.states + i].tensor(), loop.directions_in[i] == 0 ? step : steps - 1 - step);
      std::vector<Datum> results = loop.body->run(arguments, f.state());
      for (int i = 0; i < loop.states; ++i) arguments[i] = std::move(results[i]);
      for (int i = loop.states; i < loop.outputs; ++i) {
        if (!f.wants_output(i)) continue;
        const int scan = i - loop.states;
        if (loop.directions_out[scan] == 0) {
          stacks[scan].add(results[i].tensor());
        } else {
          collected[scan].push_back(results[i].tensor());
        }
      }
    }
    for (std::size_t scan = 0; scan < stacks.size(); ++scan)
      for (std::size_t i = collected[scan].size(); i-- > 0;) stacks[scan].add(collected[scan][i]);
    std::copy(arguments.begin(), arguments.begin() + loop.states, inputs.begin());
    return stacks;
  }

  static void run_batch(const Loop& loop, Frame& f) {
    const std::vector<Datum> inputs = loop_inputs(loop, f, 1);
    const Shape& scanned = inputs[loop.states].tensor().shape();
    const int64_t batch = scanned[0], longest = scanned[1];
    for (const Datum& input : inputs)
      check(input.tensor().rank() >= 1 && input.tensor().shape()[0] == batch,
            "batch sizes differ: ", batch, " and ", input.tensor().shape());
    std::vector<int64_t> lengths(batch, longest);
    if (f.has_input(0)) lengths = f.input_tensor(0).to_int64s();
    check(static_cast<int64_t>(lengths.size()) == batch, "sequence_lens has ", lengths.size(),
          " entries for a batch of ", batch);
    std::vector<Stack> results(loop.outputs, Stack(DType::float32, {}));
    for (int64_t b = 0; b < batch; ++b) {
      check(lengths[b] >= 0 && lengths[b] <= longest, "sequence length ", lengths[b],
            " is outside 0..", longest);
      std::vector<Datum> items;
      for (const Datum& input : inputs) items.push_back(slice_first(input.tensor(), b));
      for (int i = 0; i < loop.scans; ++i) {
        Tensor& sequence = items[loop.states + i].tensor();
        check(sequence.rank() >= 1 && sequence.shape()[0] == longest, "sequence lengths differ");
        Shape shape = sequence.shape();
        shape[0] = lengths[b];  // a reversed scan starts at the last step that counts
        sequence = Tensor::view(sequence.dtype(), shape, sequence.raw());
      }
      std::vector<Stack> stacks = iterate(loop, f, items, lengths[b]);
      for (int i = 0; i < loop.outputs; ++i) {
        if (!f.wants_output(i)) continue;
        if (i < loop.states) {
          results[i].add(items[i].tensor());
          continue;
        }
        Stack& stack = stacks[i - loop.states];
        while (stack.size() < longest) stack.add_zeros();
        results[i].add(stack.finish());
      }
    }
    for (int i = 0; i < loop.outputs; ++i)
      if (f.wants_output(i)) f.set_output(i, results[i].finish());
  }

  bool batched_;
  int64_t scans_in_ = 0;
  int64_t outputs_ = 0;
  std::vector<int64_t> axes_in_, directions_in_, axes_out_, directions_out_;
};

}  // namespace

[[gnu::cold]] void register_scan(OpRegistry& ops) { ops.add<Scan>("Scan", {.since = 8}); }

}  // namespace sdx::ops
