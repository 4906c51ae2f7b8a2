// The float32 view of a frame of 16-bit floats.
#include <algorithm>
#include <array>

#include "base/checked.h"
#include "ir/graph.h"
#include "kernels/convert.h"
#include "ops/float32_adapter.h"

namespace sdx::ops {
namespace {

constexpr int kMaxValues = 24;
constexpr double kConvertCost = 0.15;  // nanoseconds an element

struct Copy {
  int index;
  int64_t count;
  int64_t offset;  // bytes into the scratch
  DType dtype;
};

struct Adapter {
  Step inner;
  std::vector<Copy> inputs, outputs;
  kernels::WidenF16* widen_f16 = kernels::f16_to_f32.resolve();
  kernels::WidenF16* widen_bf16 = kernels::bf16_to_f32.resolve();
  kernels::NarrowF32* narrow_f16 = kernels::f32_to_f16.resolve();
  kernels::NarrowF32* narrow_bf16 = kernels::f32_to_bf16.resolve();

  void operator()(Frame& f) const {
    // Values 0.. are inputs, then outputs, of a frame made up here.
    std::array<void*, 2 * kMaxValues> data{};
    std::array<uint32_t, kMaxValues> in, out;
    for (int i = 0; i < f.input_count(); ++i) {
      in[i] = f.has_input(i) ? static_cast<uint32_t>(i) : Frame::kNoValue;
      data[i] = const_cast<std::byte*>(f.in<std::byte>(i));
    }
    for (int i = 0; i < f.output_count(); ++i) {
      out[i] = f.wants_output(i) ? static_cast<uint32_t>(kMaxValues + i) : Frame::kNoValue;
      data[kMaxValues + i] = f.out<std::byte>(i);
    }
    for (const Copy& copy : inputs) {
      const auto* from = f.in<uint16_t>(copy.index);
      if (!from) continue;
      auto* to = reinterpret_cast<float*>(f.scratch() + copy.offset);
      auto* widen = copy.dtype == DType::float16 ? widen_f16 : widen_bf16;
      f.parallel_for(split_work(copy.count, kConvertCost, 64),
                     [&](Range r) { widen(from + r.begin, to + r.begin, r.size()); });
      data[copy.index] = to;
    }
    for (const Copy& copy : outputs) data[kMaxValues + copy.index] = f.scratch() + copy.offset;
    Frame wide(data.data(), nullptr, nullptr, {in.data(), static_cast<size_t>(f.input_count())},
               {out.data(), static_cast<size_t>(f.output_count())}, f.scratch(), f.state());
    inner(wide);
    for (const Copy& copy : outputs) {
      auto* to = f.out<uint16_t>(copy.index);
      const auto* from = reinterpret_cast<const float*>(f.scratch() + copy.offset);
      auto* narrow = copy.dtype == DType::float16 ? narrow_f16 : narrow_bf16;
      f.parallel_for(split_work(copy.count, kConvertCost, 64),
                     [&](Range r) { narrow(from + r.begin, to + r.begin, r.size()); });
    }
  }
};

}  // namespace

const float* as_floats(const Tensor& tensor, std::vector<float>& wide) {
  if (tensor.dtype() == DType::float32) return tensor.data<float>();
  wide.resize(static_cast<std::size_t>(tensor.count()));
  const bool half = tensor.dtype() == DType::float16;
  (half ? kernels::f16_to_f32 : kernels::bf16_to_f32)
      .resolve()(static_cast<const uint16_t*>(tensor.raw()), wide.data(), wide.size());
  return wide.data();
}

Step in_float32(PrepareContext& ctx, Step inner) {
  Adapter adapter;
  check(ctx.input_count() <= kMaxValues && ctx.output_count() <= kMaxValues, "too many values");
  const std::vector<int>& released = ctx.node().released_inputs;
  int64_t end = round_up(ctx.scratch(), kAlignment);
  const auto place = [&](std::vector<Copy>& list, int i, DType dtype, int64_t count) {
    list.push_back({i, count, end, dtype});
    end = checked_add(end, round_up(checked_mul(count, sizeof(float)), kAlignment));
  };
  for (int i = 0; i < ctx.input_count(); ++i) {
    if (!ctx.has_input(i) || !is_half_float(ctx.dtype(i))) continue;
    if (std::find(released.begin(), released.end(), i) != released.end()) continue;
    place(adapter.inputs, i, ctx.dtype(i), ctx.count(i));
  }
  for (int i = 0; i < ctx.output_count(); ++i)
    if (ctx.wants_output(i) && is_half_float(ctx.output_dtype(i)))
      place(adapter.outputs, i, ctx.output_dtype(i), element_count(ctx.output_shape(i)));
  if (adapter.inputs.empty() && adapter.outputs.empty()) return inner;
  ctx.request_scratch(end);
  adapter.inner = std::move(inner);
  return adapter;
}

}  // namespace sdx::ops
