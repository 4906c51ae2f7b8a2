// BitCast: the same bits under another element type.
#include "ops/movement.h"

namespace sdx::ops {
namespace {

// Elements narrower than a byte lie in bytes of their own: integers extended, floats as codes.
void recode(const uint8_t* from, uint8_t* to, std::size_t n, int bits, bool sign) {
  const auto mask = static_cast<uint8_t>((1 << bits) - 1);
  const auto high = static_cast<uint8_t>(sign ? 1 << (bits - 1) : 0);
  for (std::size_t i = 0; i < n; ++i)
    to[i] = static_cast<uint8_t>(((from[i] & mask) ^ high) - high);
}

class BitCast final : public Op {
 public:
  explicit BitCast(const OpInit& init) {
    const int64_t code = init.attrs.require<int64_t>("to");
    check(is_known_dtype(code), "attribute 'to' is ", code, ", not an element type");
    to_ = static_cast<DType>(code);
    check(to_ != DType::string, "strings have no fixed bits");
  }

  void infer(InferContext& ctx) const override {
    const DType from = ctx.dtype(0);
    check(file_bits(from) == file_bits(to_), "an element of ", from, " has ", file_bits(from),
          " bits, one of ", to_, " has ", file_bits(to_));
    Type type = ctx.input(0);
    type.dtype = to_;
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    if (keeps_bytes(ctx.dtype(0))) return copy_step(ctx);
    const auto count = static_cast<std::size_t>(ctx.count(0));
    if (to_ == DType::boolean)
      // A bool that is neither 0 nor 1 would not be one to C++: every other pattern is true.
      return [count](Frame& f) {
        std::transform(f.in<uint8_t>(0), f.in<uint8_t>(0) + count, f.out<bool>(0),
                       [](uint8_t bits) { return bits != 0; });
      };
    return [count, bits = file_bits(to_), sign = is_signed_integer(to_)](Frame& f) {
      recode(f.in<uint8_t>(0), f.out<uint8_t>(0), count, bits, sign);
    };
  }

  std::optional<View> view(const PrepareContext& ctx, int) const override {
    return keeps_bytes(ctx.dtype(0)) ? std::optional(View{}) : std::nullopt;
  }

 private:
  bool keeps_bytes(DType from) const {
    return from == to_ || (file_bits(to_) >= 8 && to_ != DType::boolean);
  }

  DType to_ = DType::undefined;
};

}  // namespace

[[gnu::cold]] void register_bit_cast(OpRegistry& ops) {
  ops.add<BitCast>("BitCast", {.since = 26, .elementwise = true});
}

}  // namespace sdx::ops
