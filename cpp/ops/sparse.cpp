// The sparse form of a constant that a graph puts out: constants are dense from the file on.
#include <cstring>

#include "ir/op.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

class ToSparse final : public Op {
 public:
  explicit ToSparse(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    Type type = ctx.input(0);
    type.kind = Type::Kind::sparse_tensor;
    ctx.set_output(0, std::move(type));
  }

  // Entries are the elements of which any bit is set, -0 among them.
  Step prepare(PrepareContext& ctx) const override {
    return dispatch_size(item_size(ctx.dtype(0)), [&]<class T>() -> Step {
      return [](Frame& f) {
        const Tensor& dense = f.input_tensor(0);
        const auto* items = static_cast<const T*>(dense.raw());
        const T zero{};
        std::vector<int64_t> places;
        for (int64_t i = 0; i < dense.count(); ++i)
          if (std::memcmp(items + i, &zero, sizeof(T)) != 0) places.push_back(i);
        Tensor values = Tensor::allocate(dense.dtype(), {static_cast<int64_t>(places.size())});
        auto* to = static_cast<T*>(values.raw());
        for (const int64_t i : places) *to++ = items[i];
        f.set_output(0, SparseTensor{std::move(values), Tensor::of(places), dense.shape()});
      };
    });
  }
};

}  // namespace

[[gnu::cold]] void register_sparse(OpRegistry& ops) {
  ops.add<ToSparse>("ToSparse", {.since = 1}, "sardonyx");
}

}  // namespace sdx::ops
