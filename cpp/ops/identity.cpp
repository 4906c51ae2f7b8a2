// Identity, and Dropout, which is one outside training.
#include <atomic>
#include <memory>
#include <random>

#include "ops/broadcast.h"
#include "ops/contents.h"
#include "ops/half_block.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

class Identity final : public Op {
 public:
  explicit Identity(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    ctx.set_output(0, ctx.input(0));
    if (auto contents = ctx.contents(0)) ctx.set_contents(0, std::move(*contents));
  }

  Step prepare(PrepareContext& ctx) const override {
    // Without a known shape it may be anything a value can be.
    if (!ctx.output_is_known(0)) return [](Frame& f) { f.set_output(0, f.keep_input(0)); };
    return copy_step(ctx);
  }

  bool is_identity() const override { return true; }
};
