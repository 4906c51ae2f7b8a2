// The sparse form of a constant that a graph puts out, as constants are dense from the file on, and
// the dense form of a sparse input.
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

class ToDense final : public Op {
 public:
  explicit ToDense(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    const Type& type = ctx.input(0);
    check(type.kind == Type::Kind::sparse_tensor, "expected a sparse tensor, got ", type);
    if (type.dtype == DType::string)
      fail(ErrorKind::unsupported, "products of sparse strings are not supported");
    Type dense = Type::tensor(type.dtype);
    if (type.shape) dense.shape = Dims(type.shape->size(), Dim::unknown());
    ctx.set_output(0, std::move(dense));
  }

  Step prepare(PrepareContext&) const override {
    return [](Frame& f) {
      const Datum datum = f.input(0);
      const SparseTensor& sparse = datum.sparse();
      const Shape& shape = sparse.shape;
      const auto rank = static_cast<int64_t>(shape.size()), count = sparse.values.count();
      const int64_t axes = count > 0 ? sparse.indices.count() / count : 0;
      check_argument(axes * count == sparse.indices.count() && (axes <= 1 || axes == rank),
                     "indices of shape ", sparse.indices.shape(), " of ", count,
                     " entries in a tensor of shape ", shape);
      Tensor dense = Tensor::allocate(sparse.values.dtype(), shape);
      std::memset(dense.raw(), 0, dense.bytes());
      const auto item = static_cast<int64_t>(item_size(dense.dtype()));
      const auto* indices = static_cast<const int64_t*>(sparse.indices.raw());
      for (int64_t i = 0; i < count; ++i) {
        int64_t at = 0;
        for (int64_t axis = 0; axis < axes; ++axis) {
          const int64_t limit = axes == 1 ? dense.count() : shape[static_cast<std::size_t>(axis)];
          const int64_t index = indices[i * axes + axis];
          check_argument(index >= 0 && index < limit, "index ", index,
                         " of a sparse tensor of shape ", shape);
          at = at * limit + index;
        }
        std::memcpy(static_cast<char*>(dense.raw()) + at * item,
                    static_cast<const char*>(sparse.values.raw()) + i * item,
                    static_cast<std::size_t>(item));
      }
      f.set_output(0, std::move(dense));
    };
  }
};

}  // namespace

[[gnu::cold]] void register_sparse(OpRegistry& ops) {
  ops.add<ToDense>("ToDense", {.since = 1}, "sardonyx");
  ops.add<ToSparse>("ToSparse", {.since = 1}, "sardonyx");
}

}  // namespace sdx::ops
