// TopK.
#include <algorithm>
#include <bit>
#include <functional>

#include "ops/axes.h"
#include "ops/checkpoint.h"

namespace sdx::ops {
namespace {

// Whether a goes before b; NaN counts as the largest.
template <class T>
bool goes_before(T a, T b, bool largest) {
  using C = ComputeType<T>;
  const C x = static_cast<C>(a), y = static_cast<C>(b);
  if (x != x || y != y) return largest ? x != x && y == y : x == x && y != y;
  return largest ? x > y : x < y;
}

// The best k so far in the memory of the results, as a heap whose root is the worst of them.
template <class T>
class Best {
 public:
  Best(T* values, int64_t* indices, int64_t stride, bool largest, Watch& watch)
      : values_(values), indices_(indices), stride_(stride), largest_(largest), watch_(watch) {}

  void put(int64_t slot, T value, int64_t index) {
    values_[slot * stride_] = value;
    indices_[slot * stride_] = index;
  }
  void offer(T value, int64_t index, int64_t count) {
    using C = ComputeType<T>;
    const C x = static_cast<C>(value), worst = static_cast<C>(values_[0]);
    if (largest_ ? x <= worst : x >= worst) return;         // the usual end; NaN goes on
    if (!goes_before(value, values_[0], largest_)) return;  // on ties, the lower index stays
    put(0, value, index);
    sink(0, count);
  }
  void make_heap(int64_t count) {
    for (int64_t i = count / 2; i-- > 0 && !watch_.over(kSinkWork);) sink(i, count);
  }
  void sort(int64_t count) {
    for (int64_t last = count - 1; last > 0 && !watch_.over(kSinkWork); --last) {
      swap(0, last);
      sink(0, last);
    }
  }

 private:
  static constexpr int64_t kSinkWork = 300;  // nanoseconds, in a heap larger than the caches

  bool is_worse(int64_t a, int64_t b) const {
    const T x = values_[a * stride_], y = values_[b * stride_];
    if (goes_before(y, x, largest_)) return true;
    return !goes_before(x, y, largest_) && indices_[a * stride_] > indices_[b * stride_];
  }
  void swap(int64_t a, int64_t b) {
    std::swap(values_[a * stride_], values_[b * stride_]);
    std::swap(indices_[a * stride_], indices_[b * stride_]);
  }
  void sink(int64_t root, int64_t count) {
    while (2 * root + 1 < count) {
      int64_t child = 2 * root + 1;
      if (child + 1 < count && is_worse(child + 1, child)) ++child;
      if (!is_worse(child, root)) return;
      swap(root, child);
      root = child;
    }
  }

  T* values_;
  int64_t* indices_;
  int64_t stride_;
  bool largest_;
  Watch& watch_;
};

// The rank of a float in the high half and, for ties, that of its index in the low half: the larger
// the better. `flip` is kLowest where low ones are best, else 0.
constexpr uint32_t kLowest = 0xffffffff;
uint64_t key_of(float item, int64_t index, uint32_t flip) {
  const auto bits = std::bit_cast<uint32_t>(item + 0.0f);  // -0 is as large as 0
  const uint32_t ordered = bits ^ (bits >> 31 ? 0xffffffff : 0x80000000);
  const uint32_t rank = (item == item ? ordered : 0xffffffff) ^ flip;
  return uint64_t{rank} << 32 | (0xffffffff - static_cast<uint64_t>(index));
}
int64_t index_of(uint64_t key) { return static_cast<int64_t>(0xffffffff - (key & 0xffffffff)); }

// The few best of a short line of floats without a branch on any of them.
template <int64_t kSlots>
void take_few(const float* items, int64_t size, int64_t stride, bool largest, int64_t k,
              float* values, int64_t* indices) {
  const uint32_t flip = largest ? 0 : kLowest;
  uint64_t best[kSlots] = {};
  for (int64_t i = 0; i < size; ++i) {
    uint64_t key = key_of(items[i * stride], i, flip);
    for (uint64_t& slot : best) {
      const uint64_t worse = std::min(slot, key);
      slot = std::max(slot, key);
      key = worse;
    }
  }
  for (int64_t i = 0; i < k; ++i) {
    const int64_t index = index_of(best[i]);
    values[i * stride] = items[index * stride];
    indices[i * stride] = index;
  }
}

// The smallest key of a heap gives way to another one. The hole it leaves goes all the way down
// without a branch on the keys, then the new one goes up, which is seldom far.
void replace_smallest(uint64_t* heap, int64_t count, uint64_t key) {
  int64_t hole = 0;
  while (2 * hole + 2 < count) {
    int64_t child = 2 * hole + 1;
    child += heap[child + 1] < heap[child];
    heap[hole] = heap[child];
    hole = child;
  }
  if (2 * hole + 1 < count) {
    heap[hole] = heap[2 * hole + 1];
    hole = 2 * hole + 1;
  }
  for (; hole > 0 && heap[(hole - 1) / 2] > key; hole = (hole - 1) / 2)
    heap[hole] = heap[(hole - 1) / 2];
  heap[hole] = key;
}

// Elements between two looks at the time, and nanoseconds that they may take.
constexpr int64_t kBlock = 1024, kBlockWork = kBlock * 64;
// The most that are sorted without a look at the time.
constexpr int64_t kMostKeys = 1 << 16;

// The best of a line of floats; until they are found, their keys are in the place of the indices.
void take_keys(const float* items, int64_t size, bool largest, int64_t k, float* values,
               int64_t* indices, Watch& watch) {
  const uint32_t flip = largest ? 0 : kLowest;
  auto* keys = reinterpret_cast<uint64_t*>(indices);
  for (int64_t i = 0; i < k; ++i) keys[i] = key_of(items[i], i, flip);
  std::make_heap(keys, keys + k, std::greater<>());
  float worst = items[index_of(keys[0])];
  const auto is_worse = [&](float item) { return largest ? item <= worst : item >= worst; };
  const auto offer = [&](int64_t i) {
    if (is_worse(items[i])) return;  // NaN is not
    const uint64_t key = key_of(items[i], i, flip);
    if (key < keys[0]) return;
    replace_smallest(keys, k, key);
    worst = items[index_of(keys[0])];
  };
  constexpr int64_t kRun = 16;  // looked at together: hardly any has one of the best
  for (int64_t begin = k; begin < size && !watch.over(kBlockWork); begin += kBlock) {
    const int64_t end = std::min(size, begin + kBlock);
    int64_t i = begin;
    for (; i + kRun <= end; i += kRun) {
      int32_t worse = 0;
      if (largest)
        for (int64_t j = 0; j < kRun; ++j) worse += items[i + j] <= worst;
      else
        for (int64_t j = 0; j < kRun; ++j) worse += items[i + j] >= worst;
      if (worse == kRun) continue;
      for (int64_t j = 0; j < kRun; ++j) offer(i + j);
    }
    for (; i < end; ++i) offer(i);
  }
  std::sort(keys, keys + k, std::greater<>());
  for (int64_t i = 0; i < k; ++i) {
    const int64_t index = index_of(keys[i]);
    values[i] = items[index];
    indices[i] = index;
  }
}

constexpr int64_t kColumns = 8;    // neighbours that are looked at together
constexpr int64_t kFewKeys = 128;  // of a column, that lie beside the results

// The best of kColumns lines of floats that lie side by side, items of a line `stride` apart: rows
// are read in order, and hardly any has one of the best.
void take_columns(const float* items, int64_t size, int64_t stride, bool largest, int64_t k,
                  float* values, int64_t* indices, Watch& watch) {
  const uint32_t flip = largest ? 0 : kLowest;
  uint64_t keys[kColumns][kFewKeys];
  float worst[kColumns];
  for (int64_t j = 0; j < kColumns; ++j) {
    for (int64_t i = 0; i < k; ++i) keys[j][i] = key_of(items[i * stride + j], i, flip);
    std::make_heap(keys[j], keys[j] + k, std::greater<>());
    worst[j] = items[index_of(keys[j][0]) * stride + j];
  }
  for (int64_t begin = k; begin < size && !watch.over(kBlockWork * kColumns); begin += kBlock)
    for (int64_t i = begin, end = std::min(size, begin + kBlock); i < end; ++i) {
      const float* row = items + i * stride;
      int32_t worse = 0;
      if (largest)
        for (int64_t j = 0; j < kColumns; ++j) worse += row[j] <= worst[j];
      else
        for (int64_t j = 0; j < kColumns; ++j) worse += row[j] >= worst[j];
      if (worse == kColumns) continue;
      for (int64_t j = 0; j < kColumns; ++j) {
        if (largest ? row[j] <= worst[j] : row[j] >= worst[j]) continue;  // NaN goes on
        const uint64_t key = key_of(row[j], i, flip);
        if (key < keys[j][0]) continue;
        replace_smallest(keys[j], k, key);
        worst[j] = items[index_of(keys[j][0]) * stride + j];
      }
    }
  for (int64_t j = 0; j < kColumns; ++j) {
    std::sort(keys[j], keys[j] + k, std::greater<>());
    for (int64_t i = 0; i < k; ++i) {
      const int64_t index = index_of(keys[j][i]);
      values[i * stride + j] = items[index * stride + j];
      indices[i * stride + j] = index;
    }
  }
}

// The function for lines of `size` items where the best are few; else null.
auto few_taker(int64_t size, int64_t k) -> decltype(&take_few<1>) {
  constexpr int64_t kLongest = 128;
  if (size > kLongest || k > 8) return nullptr;
  if (k > 4) return &take_few<8>;
  if (k > 2) return &take_few<4>;
  return k == 2 ? &take_few<2> : &take_few<1>;
}

class TopK final : public Op {
 public:
  explicit TopK(const OpInit& init)
      : axis_(init.attrs.get("axis", -1)), largest_(init.attrs.get("largest", 1) != 0) {
    if (init.opset < 10) k_ = init.attrs.require<int64_t>("k");
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    Dim k = Dim::unknown();
    if (k_)
      k = *k_;
    else
      k = one_element(ctx, 1, "K");
    check(k.value_or(0) >= 0, "K is ", k);
    if (!ctx.has_rank(0)) {
      ctx.set_output(0, dtype);
      return ctx.set_output(1, DType::int64);
    }
    Dims dims = ctx.dims(0);
    Dim& dim = dims[normalize_axis(axis_, ctx.rank(0))];
    check(!dim.is_known() || k.value_or(0) <= dim.value(), "K is ", k, " for an axis of size ",
          dim);
    dim = k;
    ctx.set_output(0, dtype, dims);
    ctx.set_output(1, DType::int64, std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const AxisSplit x = split_at(ctx.shape(0), axis_);
    const bool has_values = ctx.wants_output(0), has_indices = ctx.wants_output(1);
    const int64_t k = split_at(ctx.output_shape(has_values ? 0 : 1), axis_).size;
    const int64_t rows = x.outer * x.inner;
    if (k == 0 || rows == 0) return [](Frame&) {};
    return dispatch(NumberTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      // An output that nobody takes still needs a place to work in.
      const int64_t spare = has_values && has_indices ? 0 : rows * k;
      ctx.request_scratch(spare * 8);
      return [=, largest = largest_, take = few_taker(x.size, k)](Frame& f) {
        const T* from = f.in<T>(0);
        T* values = has_values ? f.out<T>(0) : f.scratch<T>();
        int64_t* indices = has_indices ? f.out<int64_t>(1) : f.scratch<int64_t>();
        const double cost = 1.5 * static_cast<double>(x.size + 8 * k);
        const int64_t grain = x.inner >= kColumns ? kColumns : 1;
        f.parallel_for(split_work(rows, cost, grain), [&](Range r) {
          Watch watch(f);
          for (int64_t row = r.begin; row < r.end; ++row) {
            const int64_t outer = row / x.inner, inner = row % x.inner;
            const T* items = from + outer * x.size * x.inner + inner;
            const int64_t offset = outer * k * x.inner + inner;
            if constexpr (std::is_same_v<T, float>) {
              if (take) {
                take(items, x.size, x.inner, largest, k, values + offset, indices + offset);
                continue;
              }
              if (x.inner == 1 && k <= kMostKeys && x.size <= int64_t{kLowest}) {
                take_keys(items, x.size, largest, k, values + offset, indices + offset, watch);
                continue;
              }
              if (std::min(x.inner - inner, r.end - row) >= kColumns && k <= kFewKeys &&
                  x.size <= int64_t{kLowest}) {
                take_columns(items, x.size, x.inner, largest, k, values + offset, indices + offset,
                             watch);
                row += kColumns - 1;
                continue;
              }
            }
            Best<T> best(values + offset, indices + offset, x.inner, largest, watch);
            for (int64_t i = 0; i < k; ++i) best.put(i, items[i * x.inner], i);
            best.make_heap(k);
            for (int64_t begin = k; begin < x.size && !watch.over(kBlockWork); begin += kBlock)
              for (int64_t i = begin, end = std::min(x.size, begin + kBlock); i < end; ++i)
                best.offer(items[i * x.inner], i, k);
            best.sort(k);
          }
        });
      };
    });
  }

 private:
  int64_t axis_;
  bool largest_;
  std::optional<int64_t> k_;
};

}  // namespace

[[gnu::cold]] void register_topk(OpRegistry& ops) { ops.add<TopK>("TopK", {}); }

}  // namespace sdx::ops
