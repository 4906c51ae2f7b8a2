// Types and steps of elementwise operators of one operand.
#include <numeric>

#include "ops/broadcast.h"
#include "ops/float32_adapter.h"
#include "ops/half_block.h"
#include "ops/unary.h"

namespace sdx::ops {
namespace {

template <class T>
Step real_step(UnaryLoop<T>* run, const Split& split, T alpha, T beta) {
  return [=](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      run(f.in<T>(0) + r.begin, f.out<T>(0) + r.begin, static_cast<std::size_t>(r.size()), alpha,
          beta);
    });
  };
}

// Rows that lie apart, of the input, the output, or both.
Step rows_step(UnaryLoop<float>* run, const PrepareContext& ctx, double cost, float alpha,
               float beta) {
  const Rows in = ctx.rows(0), out = ctx.output_rows();
  const int64_t length = std::gcd(in.length, out.length);
  const auto place = [](const Rows& rows, int64_t i) {
    return rows.apart() ? i / rows.length * rows.step + i % rows.length : i;
  };
  const int64_t count = ctx.count(0) / length;
  return [=, split = split_work(count, cost * static_cast<double>(length) + 2)](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      for (int64_t i = r.begin * length; i < r.end * length; i += length)
        run(f.in<float>(0) + place(in, i), f.out<float>(0) + place(out, i),
            static_cast<std::size_t>(length), alpha, beta);
    });
  };
}

Step half_step(UnaryLoop<float>* run, const Split& split, HalfConversion half, float alpha,
               float beta) {
  return [=](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      map_halves(half, f.in<uint16_t>(0) + r.begin, f.out<uint16_t>(0) + r.begin,
                 static_cast<std::size_t>(r.size()),
                 [&](float* block, std::size_t n) { run(block, block, n, alpha, beta); });
    });
  };
}

}  // namespace

Unary::Unary(const OpInit& init) : function_(&unary_function(init)) {
  const auto read = [&](const UnaryAttribute& attribute) {
    return attribute.name ? init.attrs.get<float>(attribute.name, attribute.fallback)
                          : attribute.fallback;
  };
  alpha_ = read(function_->alpha);
  beta_ = read(function_->beta);
}

void Unary::infer(InferContext& ctx) const {
  const DType dtype = ctx.dtype(0);
  check(is_float(dtype) || (function_->integer && is_integer(dtype)), "element type ", dtype,
        " is not one that ", function_->name, " takes");
  ctx.set_output(0, ctx.input(0));
  if (!function_->symbolic) return;
  if (auto contents = ctx.contents(0)) {
    for (Dim& item : *contents) item = function_->symbolic(item);
    ctx.set_contents(0, std::move(*contents));
  }
}

Step Unary::prepare(PrepareContext& ctx) const {
  const int64_t count = ctx.count(0);
  const DType dtype = ctx.dtype(0);
  if (dtype == DType::float64) {
    if (const UnaryF64Kernel* kernel = function_->kernel_f64)
      return real_step<double>(kernel->resolve(), split_work(count, 3, kElementGrain), 0, 0);
    // The others run through the C library, item by item.
    const Split split = split_work(count, 10, kElementGrain);
    return real_step<double>(function_->f64, split, alpha_, beta_);
  }
  if (is_integer(dtype)) return function_->integer(dtype, count, alpha_, beta_);
  const Split split = split_work(count, function_->cost, kElementGrain);
  if (is_half_float(dtype))
    return half_step(resolve(), split, half_conversion(dtype), alpha_, beta_);
  if (ctx.rows(0).apart() || ctx.output_rows().apart())
    return rows_step(resolve(), ctx, function_->cost, alpha_, beta_);
  return real_step<float>(resolve(), split, alpha_, beta_);
}

}  // namespace sdx::ops
