// Cast and CastLike.
#include "ops/broadcast.h"
#include "ops/contents.h"
#include "ops/convert.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

// The first versions name the type: "FLOAT", "INT64".
DType dtype_from_old_name(std::string_view name) {
  static constexpr std::pair<std::string_view, DType> kNames[] = {
      {"FLOAT", DType::float32}, {"DOUBLE", DType::float64},    {"FLOAT16", DType::float16},
      {"INT8", DType::int8},     {"INT16", DType::int16},       {"INT32", DType::int32},
      {"INT64", DType::int64},   {"UINT8", DType::uint8},       {"UINT16", DType::uint16},
      {"UINT32", DType::uint32}, {"UINT64", DType::uint64},     {"BOOL", DType::boolean},
      {"STRING", DType::string}, {"BFLOAT16", DType::bfloat16},
  };
  for (const auto& [known, dtype] : kNames)
    if (known == name) return dtype;
  fail(ErrorKind::invalid_model, "'", name, "' is not the name of an element type");
}

DType target_of(const OpInit& init) {
  if (init.type == "CastLike") return DType::undefined;
  const auto found = init.attrs.all().find("to");
  if (found != init.attrs.all().end() && std::holds_alternative<std::string>(found->second))
    return dtype_from_old_name(std::get<std::string>(found->second));
  const int64_t code = init.attrs.require<int64_t>("to");
  check(is_known_dtype(code) && code != 0, "attribute 'to' is ", code, ", not an element type");
  return static_cast<DType>(code);
}

SmallFloatMode mode_of(const OpInit& init) {
  const std::string mode = init.attrs.get("round_mode", "up");
  check(mode == "up" || mode == "down" || mode == "nearest", "round_mode is '", mode, "'");
  return mode == "up"     ? SmallFloatMode::up
         : mode == "down" ? SmallFloatMode::down
                          : SmallFloatMode::nearest;
}

class Cast final : public Op {
 public:
  explicit Cast(const OpInit& init)
      : to_(target_of(init)),
        options_{.saturate = init.attrs.get("saturate", 1) != 0,
                 .mode = mode_of(init),
                 // No version of the text says; the standard's tests changed with opset 24.
                 .nan_is_largest = init.opset < 24} {}

  void infer(InferContext& ctx) const override {
    const DType from = ctx.dtype(0);
    const DType to = to_ == DType::undefined ? ctx.dtype(1) : to_;
    Type type = ctx.input(0);
    type.dtype = to;
    ctx.set_output(0, std::move(type));
    const bool counts =
        (to == DType::int64 || to == DType::int32) && (is_integer(from) || from == DType::boolean);
    if (!counts) return;
    if (auto contents = ctx.contents(0)) {
      for (Dim& item : *contents)
        if (item.is_known()) item = wrap(item.value(), to);
      ctx.set_contents(0, std::move(*contents));
    }
  }

  Step prepare(PrepareContext& ctx) const override {
    const DType from = ctx.dtype(0), to = ctx.output_dtype(0);
    if (from == to) return copy_step(ctx);
    Conversion convert = conversion(from, to, options_);
    return [split = split_work(ctx.count(0), convert.cost, kElementGrain),
            run = std::move(convert.run), from_size = item_size(from),
            to_size = item_size(to)](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        run(f.in<std::byte>(0) + static_cast<std::size_t>(r.begin) * from_size,
            f.out<std::byte>(0) + static_cast<std::size_t>(r.begin) * to_size,
            static_cast<std::size_t>(r.size()));
      });
    };
  }

  std::optional<View> view(const PrepareContext& ctx, int) const override {
    if (ctx.dtype(0) != ctx.output_dtype(0) || ctx.dtype(0) == DType::string) return std::nullopt;
    return View{};
  }

 private:
  DType to_;  // undefined: that of input 1
  ConvertOptions options_;
};

}  // namespace

[[gnu::cold]] void register_cast(OpRegistry& ops) {
  ops.add<Cast>("Cast", {.elementwise = true});
  ops.add<Cast>("CastLike", {.since = 15, .elementwise = true});
}

}  // namespace sdx::ops
