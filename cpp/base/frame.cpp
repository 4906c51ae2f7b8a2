#include "base/frame.h"

namespace sdx {

Split split_work(int64_t items, double cost, int64_t grain) {
  constexpr double kChunkNanoseconds = 6000;
  constexpr double kMaxChunks = 256;
  // A run that is cancelled ends after the chunks in work, so none takes long.
  constexpr double kLongestChunk = 1e6;
  Split split{items, 1};
  const double total = std::min(static_cast<double>(items) * cost, 1e15);
  if (total < 2 * kChunkNanoseconds || items <= grain) return split;
  // A multiple of four shares out evenly among two and four threads.
  const int64_t wanted = (static_cast<int64_t>(total / kChunkNanoseconds) + 3) / 4 * 4;
  const auto most = static_cast<int64_t>(std::max(kMaxChunks, total / kLongestChunk));
  split.chunks = std::min({wanted, most, (items + grain - 1) / grain});
  if (grain > 1) {
    const int64_t grains = (items + grain - 1) / grain;
    const int64_t per_chunk = (grains + split.chunks - 1) / split.chunks;
    split.step = per_chunk * grain;
    split.chunks = (items + split.step - 1) / split.step;
  }
  return split;
}

void Frame::spread(const Split& split, ThreadPool::Pieces pieces,
                   FunctionRef<void(Range)> f) const {
  const auto part = [&](int64_t begin, int64_t end) {
    if (!cancelled()) f(Range{split.chunk(begin).begin, split.chunk(end - 1).end});
  };
  if (split.chunks > 1 && state_.pool) return state_.pool->run(split.chunks, pieces, part);
  if (pieces == ThreadPool::Pieces::halves && split.chunks > 0) return part(0, split.chunks);
  for (int64_t i = 0; i < split.chunks; ++i) part(i, i + 1);
}

Datum Frame::input(int i) const {
  if (!has_input(i)) return {};
  const uint32_t value = inputs_[i];
  if (!datums_[value].empty()) return datums_[value];
  const Layout& layout = layouts_[value];
  // Without a layout the datum was an empty optional.
  if (!layout.known) return {};
  return Tensor::view(layout.dtype, layout.shape, data_[value]);
}

void Frame::set_output(int i, Datum datum) const {
  if (!wants_output(i)) return;
  const uint32_t value = outputs_[i];
  if (datum.is_tensor()) {
    const Layout& layout = layouts_[value];
    check(!layout.known ||
              (layout.dtype == datum.tensor().dtype() && layout.shape == datum.tensor().shape()),
          "output ", i, " came out as ", datum.tensor().dtype(), datum.tensor().shape(), ", not ",
          layout.dtype, layout.shape);
    // A place chosen before the run keeps its meaning for whoever reads it later.
    if (layout.known && data_[value] && datums_[value].empty())
      return copy_items(layout.dtype, datum.tensor().raw(), data_[value], datum.tensor().count());
    data_[value] = datum.tensor().raw();
  }
  datums_[value] = std::move(datum);
}

Tensor Frame::allocate_output(int i, DType dtype, const Shape& shape) const {
  Tensor tensor = Tensor::allocate(dtype, shape);
  set_output(i, tensor);
  return tensor;
}

}  // namespace sdx
