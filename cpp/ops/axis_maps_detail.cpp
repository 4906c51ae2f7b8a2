#include "ops/axis_maps.h"
#include "ops/checkpoint.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

// Runs of fewer elements on average are quicker copied one by one.
constexpr int64_t kShortRun = 8;

// Positions of the innermost mapped axis that can be copied together.
struct Segment {
  int64_t to, from, count, step;  // from < 0: filled
};

CountedVector<Segment> segments_of(const CountedVector<int64_t>& from) {
  CountedVector<Segment> segments;
  const auto size = static_cast<int64_t>(from.size());
  Checkpoint checkpoint;
  for (int64_t i = 0; i < size;) {
    Segment segment{i, from[i], 1, 1};
    if (from[i] < 0) {
      while (i + segment.count < size && from[i + segment.count] < 0) ++segment.count;
    } else if (i + 1 < size && from[i + 1] >= 0) {
      segment.step = from[i + 1] - from[i];
      while (i + segment.count < size && from[i + segment.count] >= 0 &&
             from[i + segment.count] - from[i + segment.count - 1] == segment.step)
        ++segment.count;
    }
    segments.push_back(segment);
    checkpoint(10 + segment.count);
    i += segment.count;
  }
  return segments;
}

bool is_identity(const CountedVector<int64_t>& from, int64_t size) {
  if (static_cast<int64_t>(from.size()) != size) return false;
  for (int64_t i = 0; i < size; ++i)
    if (from[i] != i) return false;
  return true;
}

struct Job {
  std::vector<CountedVector<int64_t>> outer;  // offsets into the input by axis; negative: filled
  CountedVector<Segment> segments;
  int64_t rows = 1, row = 0, unit = 1;  // `row` items of `unit` elements
  int64_t from_step = 1, to_step = 1;   // from one item to the next
  int64_t repeat = 0;            // of every single element in turn, where that is all a row is
  CountedVector<int64_t> picks;  // of single elements, where runs of them are short
};

// How often `from` names every position in turn; 0 where it does something else.
int64_t uniform_repeat(const CountedVector<int64_t>& from, int64_t size) {
  const auto count = static_cast<int64_t>(from.size());
  if (size == 0 || count % size != 0) return 0;
  const int64_t repeat = count / size;
  for (int64_t i = 0; i < count; ++i)
    if (from[i] != i / repeat) return 0;
  return repeat;
}

template <class T>
void repeat_items(const T* from, T* to, int64_t count, int64_t repeat) {
  if (repeat == 2) {
    for (int64_t i = 0; i < count; ++i) to[2 * i] = to[2 * i + 1] = from[i];
    return;
  }
  // The transpose of a few rows that are the same one.
  constexpr int64_t kFewRows = 4;
  if (repeat <= kFewRows) return transpose_block(repeat, count, from, 0, to, repeat);
  for (int64_t i = 0; i < count; ++i) std::fill_n(to + i * repeat, repeat, from[i]);
}

template <class T>
void fill_row(const Job& job, const T* from, T* to, const T& fill, Watch& watch) {
  constexpr int64_t kPickBlock = 1 << 16, kSegmentWork = 3;
  const int64_t unit = job.unit, from_step = job.from_step, to_step = job.to_step;
  if (job.repeat) return repeat_items(from, to, job.row / job.repeat, job.repeat);
  if (!job.picks.empty()) {
    for (int64_t begin = 0; begin < job.row && !watch.over(kPickBlock); begin += kPickBlock)
      for (int64_t i = begin, end = std::min(job.row, begin + kPickBlock); i < end; ++i)
        to[i] = from[job.picks[i]];
    return;
  }
  for (const Segment& s : job.segments) {
    if (watch.over(kSegmentWork + s.count)) return;
    if (s.from < 0 && to_step == unit) {
      std::fill_n(to + s.to * unit, s.count * unit, fill);
    } else if (s.from < 0) {
      for (int64_t j = 0; j < s.count; ++j) std::fill_n(to + (s.to + j) * to_step, unit, fill);
    } else if (s.step == 1 && from_step == unit && to_step == unit) {
      copy_run(from + s.from * unit, to + s.to * unit, s.count * unit);
    } else if (unit == 1) {
      for (int64_t j = 0; j < s.count; ++j)
        to[(s.to + j) * to_step] = from[(s.from + j * s.step) * from_step];
    } else {
      for (int64_t j = 0; j < s.count; ++j)
        copy_run(from + (s.from + j * s.step) * from_step, to + (s.to + j) * to_step, unit);
    }
  }
}

// Where a row lies in the input.
struct RowPlace {
  int64_t offset = 0;
  bool filled = false;

  void add(int64_t more) {
    filled = filled || more < 0;
    offset += more;
  }
};

// Of rows numbered by all mapped axes but the last `skipped`.
RowPlace place_of(const Job& job, int64_t row, std::size_t skipped) {
  RowPlace place;
  for (std::size_t d = job.outer.size() - skipped; d-- > 0;) {
    const auto size = static_cast<int64_t>(job.outer[d].size());
    place.add(job.outer[d][row % size]);
    row /= size;
  }
  return place;
}

template <class T>
void run(const Frame& f, const Job& job, const T& fill) {
  const T* x = f.in<T>(0);
  T* y = f.out<T>(0);
  const int64_t unit = job.unit, width = job.row * job.to_step;
  const bool together = job.to_step == unit;
  const double cost =
      move_cost<T>() * static_cast<double>(job.row * unit) + 3.0 * job.segments.size() + 5;
  f.parallel_for(split_work(job.rows, cost), [&](Range r) {
    int64_t previous = -1;
    Watch watch(f);
    // The innermost of the outer axes is counted along; division is slow beside a short row.
    const std::size_t counted = job.outer.empty() ? 0 : 1;
    const int64_t size = counted ? static_cast<int64_t>(job.outer.back().size()) : 1;
    int64_t at = r.begin % size;
    RowPlace above = place_of(job, r.begin / size, counted);
    for (int64_t i = r.begin; i < r.end; ++i, ++at) {
      if (at == size) {
        at = 0;
        above = place_of(job, i / size, counted);
      }
      RowPlace place = above;
      if (counted) place.add(job.outer.back()[at]);
      const int64_t base = place.offset;
      T* to = y + i * width;
      if (place.filled)
        for (int64_t j = 0; j < job.row; ++j) std::fill_n(to + j * job.to_step, unit, fill);
      else if (base == previous && together)
        copy_run(to - width, to, width);
      else
        fill_row(job, x + base, to, fill, watch);
      previous = place.filled ? -1 : base;
    }
  });
}

}  // namespace

Step map_axes_step(const PrepareContext& ctx, const AxisMaps& maps, int fill_input,
                   const ItemBytes& fill) {
  const Shape& shape = ctx.shape(0);
  if (element_count(ctx.output_shape(0)) == 0) return [](Frame&) {};
  Job job;
  std::size_t mapped = shape.size();
  const bool rows_apart = ctx.rows(0).apart() || ctx.output_rows().apart();
  while (mapped > 0 && !(rows_apart && mapped < shape.size()) &&
         is_identity(maps.from[mapped - 1], shape[mapped - 1]))
    job.unit *= shape[--mapped];
  if (mapped == 0) return copy_step(ctx);
  job.from_step = ctx.step(0, job.unit);
  job.to_step = ctx.output_step(0, job.unit);
  const Shape strides = row_major_strides(shape);
  for (std::size_t i = 0; i + 1 < mapped; ++i) {
    CountedVector<int64_t> offsets = maps.from[i];
    for (int64_t& offset : offsets)
      if (offset >= 0) offset *= strides[i] / job.unit * job.from_step;
    job.rows *= static_cast<int64_t>(offsets.size());
    job.outer.push_back(std::move(offsets));
  }
  job.segments = segments_of(maps.from[mapped - 1]);
  if (job.unit == 1) job.repeat = uniform_repeat(maps.from[mapped - 1], shape[mapped - 1]);
  job.row = static_cast<int64_t>(maps.from[mapped - 1].size());
  const bool single = job.unit == 1 && job.from_step == 1 && job.to_step == 1;
  const bool fills = std::any_of(job.segments.begin(), job.segments.end(),
                                 [](const Segment& s) { return s.from < 0; });
  if (single && !fills && static_cast<int64_t>(job.segments.size()) > job.row / kShortRun)
    job.picks = maps.from[mapped - 1];
  return dispatch_items(ctx.dtype(0), [&]<class T>() -> Step {
    return [job = std::move(job), fill_input, fill](Frame& f) {
      T value{};
      if (fill_input >= 0)
        value = *f.in<T>(fill_input);
      else if constexpr (std::is_trivially_copyable_v<T>)
        std::memcpy(&value, fill.bytes, sizeof(T));
      run(f, job, value);
    };
  });
}

ItemBytes item_bytes(DType dtype, double value) {
  ItemBytes item;
  dispatch(NumberAndBoolTypes{}, dtype, [&]<class T>() {
    const T typed = static_cast<T>(static_cast<ComputeType<T>>(value));
    std::memcpy(item.bytes, &typed, sizeof(T));
  });
  return item;
}

}  // namespace sdx::ops
