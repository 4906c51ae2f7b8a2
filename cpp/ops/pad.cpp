// Pad.
#include "base/checked.h"
#include "ops/axes.h"
#include "ops/axis_maps.h"

namespace sdx::ops {
namespace {

enum class Mode { constant, reflect, edge, wrap };

Mode mode_of(const OpInit& init) {
  const std::string name = init.attrs.get("mode", "constant");
  if (name == "constant") return Mode::constant;
  if (name == "reflect") return Mode::reflect;
  if (name == "edge") return Mode::edge;
  if (name == "wrap") return Mode::wrap;
  fail(ErrorKind::invalid_model, "mode '", name, "' is none of constant, reflect, edge, wrap");
}

// The position in an axis of `size` that position i, inside it or not, takes its element from.
int64_t source(Mode mode, int64_t i, int64_t size) {
  switch (mode) {
    case Mode::constant:
      return i >= 0 && i < size ? i : -1;
    case Mode::edge:
      return std::clamp<int64_t>(i, 0, size - 1);
    case Mode::wrap:
      return (i % size + size) % size;
    case Mode::reflect: {
      if (size == 1) return 0;
      const int64_t period = 2 * (size - 1);
      const int64_t place = (i % period + period) % period;
      return std::min(place, period - place);
    }
  }
  return -1;
}

class Pad final : public Op {
 public:
  explicit Pad(const OpInit& init)
      : mode_(mode_of(init)),
        pads_(init, init.opset < 2 ? "paddings" : "pads", init.opset < 11 ? -1 : 1),
        axes_(init, "axes", init.opset < 18 ? -1 : 3),
        value_input_(init.opset < 11 ? -1 : 2),
        value_(init.attrs.get("value", 0.0)) {
    check(init.opset >= 11 || init.attrs.has(init.opset < 2 ? "paddings" : "pads"),
          "attribute 'pads' is missing");
  }

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0));
    const auto pads = pads_.symbols(ctx);
    const auto axes = axes_.given(ctx) ? axes_.get(ctx) : all_axes(ctx.rank(0));
    if (!pads || !axes) return ctx.set_output(0, ctx.dtype(0), unknown_dims(ctx.rank(0)));
    const Shape normal = normalize_axes(*axes, ctx.rank(0));
    check(pads->size() == 2 * normal.size(), "expected ", 2 * normal.size(), " pads, got ",
          pads->size());
    Dims dims = ctx.dims(0);
    bool numbers = true;
    for (std::size_t i = 0; i < normal.size(); ++i) {
      const Dim &begin = (*pads)[i], &end = (*pads)[i + normal.size()];
      Dim& dim = dims[normal[i]];
      const Dim before = dim;
      dim = dim + begin + end;
      numbers = numbers && begin.is_known() && end.is_known();
      check(dim.value_or(0) >= 0, "pads ", begin, " and ", end, " leave less than nothing of axis ",
            normal[i], " of size ", before);
      check(mode_ == Mode::constant || !(before == Dim(0)) || dim.value_or(0) == 0, "axis ",
            normal[i], " of size 0 has nothing to pad with");
    }
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
    if (!numbers && !ctx.at_load()) ctx.defer();
  }

  Step prepare(PrepareContext& ctx) const override {
    if (element_count(ctx.output_shape(0)) == 0) return [](Frame&) {};
    const Shape& shape = ctx.shape(0);
    const auto rank = static_cast<int64_t>(shape.size());
    const std::vector<int64_t> pads = pads_.get(ctx);
    const Shape axes = normalize_axes(axes_.given(ctx) ? axes_.get(ctx) : *all_axes(rank), rank);
    Shape begins(shape.size(), 0);
    for (std::size_t i = 0; i < axes.size(); ++i) begins[axes[i]] = pads[i];
    AxisMaps maps;
    for (int64_t i = 0; i < rank; ++i) {
      const int64_t size = ctx.output_shape(0)[i];
      auto& from = maps.from.emplace_back(size);
      for (int64_t p = 0; p < size; ++p) from[p] = source(mode_, p - begins[i], shape[i]);
    }
    const bool given =
        value_input_ >= 0 && ctx.has_input(value_input_) && ctx.count(value_input_) > 0;
    if (given)
      check(ctx.dtype(value_input_) == ctx.dtype(0), "a constant_value of ",
            ctx.dtype(value_input_), " for data of ", ctx.dtype(0));
    const ItemBytes fill = value_ != 0 ? item_bytes(ctx.dtype(0), value_) : ItemBytes{};
    return map_axes_step(ctx, maps, given ? value_input_ : -1, fill);
  }

 private:
  static std::optional<std::vector<int64_t>> all_axes(int64_t rank) {
    std::vector<int64_t> axes(rank);
    for (int64_t i = 0; i < rank; ++i) axes[i] = i;
    return axes;
  }

  Mode mode_;
  IntegerList pads_, axes_;
  int value_input_;
  float value_;
};

}  // namespace

[[gnu::cold]] void register_pad(OpRegistry& ops) { ops.add<Pad>("Pad", {}); }

}  // namespace sdx::ops
