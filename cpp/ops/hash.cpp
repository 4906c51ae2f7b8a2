// MurmurHash3 (com.microsoft): each element's hash of 32 bits, as feature hashing wants it.
#include <bit>
#include <cstring>
#include <string>

#include "base/error.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

uint32_t scramble(uint32_t block) { return std::rotl(block * 0xcc9e2d51u, 15) * 0x1b873593u; }

// The public-domain function MurmurHash3_x86_32 of Austin Appleby, over little-endian blocks.
uint32_t murmur3(const void* data, std::size_t size, uint32_t seed) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint32_t hash = seed;
  std::size_t i = 0;
  for (; i + 4 <= size; i += 4) {
    uint32_t block = 0;
    for (int b = 3; b >= 0; --b) block = block << 8 | bytes[i + b];
    hash = std::rotl(hash ^ scramble(block), 13) * 5 + 0xe6546b64u;
  }
  uint32_t rest = 0;
  for (std::size_t b = size; b > i; --b) rest = rest << 8 | bytes[b - 1];
  if (i < size) hash ^= scramble(rest);
  hash ^= static_cast<uint32_t>(size);
  hash = (hash ^ hash >> 16) * 0x85ebca6bu;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
  return hash ^ hash >> 16;
}

class MurmurHash3 final : public Op {
 public:
  explicit MurmurHash3(const OpInit& init)
      : positive_(init.attrs.get("positive", 1) != 0),
        seed_(static_cast<uint32_t>(init.attrs.get("seed", 0))) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    const bool is_wide = dtype == DType::int32 || dtype == DType::uint32 || dtype == DType::int64 ||
                         dtype == DType::uint64 || dtype == DType::float32 ||
                         dtype == DType::float64;
    check(is_wide || dtype == DType::string, "expected text or numbers of 32 or 64 bits, got ",
          dtype);
    Type type = ctx.input(0);
    type.dtype = positive_ ? DType::uint32 : DType::int32;
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t count = element_count(ctx.shape(0));
    const std::size_t bytes = item_size(ctx.dtype(0));
    // Signed hashes are the same bits.
    if (ctx.dtype(0) == DType::string) {
      return [=, seed = seed_](Frame& f) {
        const auto* x = f.in<std::string>(0);
        auto* y = f.out<uint32_t>(0);
        for (int64_t i = 0; i < count; ++i) y[i] = murmur3(x[i].data(), x[i].size(), seed);
      };
    }
    return [=, seed = seed_](Frame& f) {
      const auto* x = f.in<uint8_t>(0);
      auto* y = f.out<uint32_t>(0);
      for (int64_t i = 0; i < count; ++i) y[i] = murmur3(x + i * bytes, bytes, seed);
    };
  }

 private:
  bool positive_;
  uint32_t seed_;
};

}  // namespace

[[gnu::cold]] void register_hash(OpRegistry& ops) {
  ops.add<MurmurHash3>("MurmurHash3", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
