#include "ops/movement.h"

namespace sdx::ops {
namespace {

// A position in the outer axes of a copy, walked row-major from any row.
class Odometer {
 public:
  Odometer(const StridedCopy& copy, int axes, int64_t row) : copy_(copy), index_(axes) {
    for (int i = axes; i-- > 0;) {
      index_[i] = row % copy.shape[i];
      row /= copy.shape[i];
      from_ += index_[i] * copy.from[i];
      to_ += index_[i] * copy.to[i];
    }
  }
  int64_t from() const { return from_; }
  int64_t to() const { return to_; }
  void advance() {
    for (int i = static_cast<int>(index_.size()); i-- > 0;) {
      from_ += copy_.from[i];
      to_ += copy_.to[i];
      if (++index_[i] < copy_.shape[i]) return;
      from_ -= copy_.from[i] * copy_.shape[i];
      to_ -= copy_.to[i] * copy_.shape[i];
      index_[i] = 0;
    }
  }

 private:
  const StridedCopy& copy_;
  Shape index_;
  int64_t from_ = 0, to_ = 0;
};

template <class T>
void move_transposed(const Frame& f, const StridedCopy& copy, int column, const T* from, T* to) {
  constexpr int64_t kBlock = 128;
  const int last = static_cast<int>(copy.shape.size()) - 1;
  StridedCopy outer;
  for (int i = 0; i < last; ++i) {
    if (i == column) continue;
    outer.shape.push_back(copy.shape[i]);
    outer.from.push_back(copy.from[i]);
    outer.to.push_back(copy.to[i]);
  }
  const int64_t rows = copy.shape[last], cols = copy.shape[column];
  // Of a narrow matrix, a pixel of few channels at its narrowest, blocks are longer.
  const auto side = [](int64_t across) {
    return across < kBlock / 4 ? kBlock * kBlock / 4 / across / 64 * 64 : kBlock;
  };
  const int64_t row_block = side(cols), col_block = side(rows);
  const int64_t row_blocks = (rows + row_block - 1) / row_block;
  const int64_t col_blocks = (cols + col_block - 1) / col_block;
  const int64_t matrices = element_count(outer.shape);
  const int64_t blocks = row_blocks * col_blocks;
  const double cost = 2 * move_cost<T>() * static_cast<double>(rows * cols) / blocks;
  f.parallel_for(split_work(matrices * blocks, cost), [&](Range r) {
    const int axes = static_cast<int>(outer.shape.size());
    Odometer at(outer, axes, r.begin / blocks);
    for (int64_t item = r.begin; item < r.end; ++item) {
      const int64_t block = item % blocks;
      const int64_t row = block % row_blocks * row_block, col = block / row_blocks * col_block;
      transpose_block(std::min(row_block, rows - row), std::min(col_block, cols - col),
                      from + at.from() + row * copy.from[last] + col, copy.from[last],
                      to + at.to() + col * copy.to[column] + row, copy.to[column]);
      if (block + 1 == blocks) at.advance();
    }
  });
}

template <class T>
void move_items(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t count) {
  if (from_stride == 1 && to_stride == 1)
    copy_run(from, to, count);
  else if (from_stride == 0 && to_stride == 1)
    std::fill_n(to, count, *from);
  else
    for (int64_t i = 0; i < count; ++i) to[i * to_stride] = from[i * from_stride];
}

// `count` copies of `run` one after the other, from what is written already in ever longer pieces.
template <class T>
void repeat_run(const T* run, int64_t length, T* to, int64_t count) {
  copy_run(run, to, length);
  for (int64_t done = 1; done < count; done += std::min(done, count - done))
    copy_run(to, to + done * length, std::min(done, count - done) * length);
}

// Rows of this few bytes are copied without asking for their length again in each.
constexpr int64_t kFewBytes = 128;

// Copies the first and the last kPart bytes of every row; they meet or overlap.
template <std::size_t kPart>
void copy_ends(const std::byte* from, int64_t from_row, std::byte* to, int64_t to_row, int64_t rows,
               int64_t bytes) {
  const int64_t back = bytes - static_cast<int64_t>(kPart);
  for (int64_t row = 0; row < rows; ++row, from += from_row, to += to_row) {
    std::memcpy(to, from, kPart);
    std::memcpy(to + back, from + back, kPart);
  }
}

// Copies `rows` runs of `length` items. Runs of the copy do not overlap what is written.
template <class T>
void copy_rows(const T* from, int64_t from_row, T* to, int64_t to_row, int64_t rows,
               int64_t length) {
  if constexpr (std::is_trivially_copyable_v<T>) {
    constexpr auto kItem = static_cast<int64_t>(sizeof(T));
    const int64_t bytes = length * kItem;
    const auto copy = [&](auto* ends) {
      ends(reinterpret_cast<const std::byte*>(from), from_row * kItem,
           reinterpret_cast<std::byte*>(to), to_row * kItem, rows, bytes);
    };
    if (bytes > kFewBytes) {
      for (int64_t row = 0; row < rows; ++row)
        copy_run(from + row * from_row, to + row * to_row, length);
    } else if (bytes >= 64) {
      copy(&copy_ends<64>);
    } else if (bytes >= 32) {
      copy(&copy_ends<32>);
    } else if (bytes >= 16) {
      copy(&copy_ends<16>);
    } else if (bytes >= 8) {
      copy(&copy_ends<8>);
    } else if (bytes >= 4) {
      copy(&copy_ends<4>);
    } else if (bytes >= 2) {
      copy(&copy_ends<2>);
    } else {
      copy(&copy_ends<1>);
    }
  } else {
    for (int64_t row = 0; row < rows; ++row)
      copy_run(from + row * from_row, to + row * to_row, length);
  }
}

template <class T>
void move(const Frame& f, const StridedCopy& copy, const void* from_bytes, void* to_bytes) {
  const T* from = static_cast<const T*>(from_bytes);
  T* to = static_cast<T*>(to_bytes);
  const int rank = static_cast<int>(copy.shape.size());
  if (rank == 0) {
    *to = *from;
    return;
  }
  const int64_t total = element_count(copy.shape);
  if (total == 0) return;
  const int last = rank - 1;
  const int64_t from_stride = copy.from[last], to_stride = copy.to[last];
  if (to_stride == 1 && from_stride > 1) {
    for (int i = 0; i < last; ++i)
      if (copy.from[i] == 1) return move_transposed(f, copy, i, from, to);
  }
  // Runs lie along the last axis, rows of runs along the one before it.
  const int64_t length = copy.shape[last], rows = last > 0 ? copy.shape[last - 1] : 1;
  const int64_t from_row = last > 0 ? copy.from[last - 1] : 0;
  const int64_t to_row = last > 0 ? copy.to[last - 1] : 0;
  const bool runs = from_stride == 1 && to_stride == 1;
  const int64_t bytes = length * static_cast<int64_t>(sizeof(T));
  const double cost = move_cost<T>() + (runs && bytes <= kFewBytes ? 2.0 : 6.0) / length +
                      (from_stride == 1 ? 0.0 : 0.5);
  constexpr int64_t kShortBytes = 256;
  const bool repeats = runs && from_row == 0 && to_row == length && bytes < kShortBytes &&
                       rows > (bytes <= kFewBytes ? 16 : 1);
  f.parallel_for(split_work(total, cost, 64), [&](Range r) {
    if (r.size() <= 0) return;
    int64_t row = r.begin / length, column = r.begin % length;
    Odometer at(copy, std::max(last - 1, 0), row / rows);
    row %= rows;
    for (int64_t left = r.size(); left > 0;) {
      // The rest of a run that the chunk begins in, whole ones, a part of one that it ends in.
      while (row < rows && left > 0) {
        const T* source = from + at.from() + row * from_row + column * from_stride;
        T* target = to + at.to() + row * to_row + column * to_stride;
        const int64_t whole = column == 0 ? std::min(rows - row, left / length) : 0;
        if (whole == 0) {
          const int64_t count = std::min(length - column, left);
          move_items(source, from_stride, target, to_stride, count);
          left -= count;
          column = 0;
          ++row;
          continue;
        }
        if (repeats) {
          repeat_run(source, length, target, whole);
        } else if (runs) {
          copy_rows(source, from_row, target, to_row, whole, length);
        } else {
          for (int64_t k = 0; k < whole; ++k)
            move_items(source + k * from_row, from_stride, target + k * to_row, to_stride, length);
        }
        left -= whole * length;
        row += whole;
      }
      row = 0;
      at.advance();
    }
  });
}

}  // namespace

StridedCopy simplify(const StridedCopy& copy) {
  StridedCopy result;
  for (std::size_t i = 0; i < copy.shape.size(); ++i) {
    const int64_t size = copy.shape[i];
    if (size == 1) continue;
    if (!result.shape.empty() && result.from.back() == copy.from[i] * size &&
        result.to.back() == copy.to[i] * size) {
      result.shape.back() *= size;
      result.from.back() = copy.from[i];
      result.to.back() = copy.to[i];
    } else {
      result.shape.push_back(size);
      result.from.push_back(copy.from[i]);
      result.to.push_back(copy.to[i]);
    }
  }
  return result;
}

bool is_one_run(const StridedCopy& simplified) {
  if (simplified.shape.empty() || element_count(simplified.shape) == 0) return true;
  return simplified.shape.size() == 1 && simplified.from[0] == 1 && simplified.to[0] == 1;
}

Mover strided_mover(DType dtype) {
  return dispatch_items(dtype, []<class T>() -> Mover { return &move<T>; });
}

namespace {

// Where short runs lie side by side along one axis, but would be read along the next one in as many
// passes over far memory: the same copy by blocks of the latter, which stay in cache meanwhile.
StridedCopy in_blocks(StridedCopy copy) {
  constexpr int64_t kShort = 64, kBlock = 64, kFar = 65536;
  const std::size_t rank = copy.shape.size();
  if (rank < 3 || copy.from[rank - 1] != 1 || copy.to[rank - 1] != 1) return copy;
  const std::size_t side = rank - 3, along = rank - 2;
  const int64_t length = copy.shape[rank - 1], rows = copy.shape[along];
  if (length > kShort || copy.from[side] != length || copy.from[along] <= length ||
      rows * copy.from[along] < kFar)
    return copy;
  int64_t block = kBlock;
  while (rows % block != 0) --block;
  if (block < kBlock / 4) return copy;
  copy.shape[along] = block;
  copy.shape.insert(side, rows / block);
  copy.from.insert(side, block * copy.from[along]);
  copy.to.insert(side, block * copy.to[along]);
  return copy;
}

// What is written is what output 0 has room for.
void check_size(const PrepareContext& ctx, int64_t count) {
  check(element_count(ctx.output_shape(0)) == count, count, " elements do not fill shape ",
        ctx.output_shape(0));
}

}  // namespace

Step strided_step(const PrepareContext& ctx, const StridedCopy& copy, int64_t from_offset) {
  const DType dtype = ctx.output_dtype(0);
  const auto skip = static_cast<int64_t>(item_size(dtype)) * from_offset;
  check_size(ctx, element_count(copy.shape));
  if (element_count(copy.shape) == 0) return [](Frame&) {};
  return [run = strided_mover(dtype), copy = in_blocks(simplify(copy)), skip](Frame& f) {
    run(f, copy, f.in<std::byte>(0) + skip, f.out<std::byte>(0));
  };
}

Step copy_step(const PrepareContext& ctx) {
  const int64_t count = ctx.count(0);
  check_size(ctx, count);
  if (count == 0) return [](Frame&) {};
  return [run = strided_mover(ctx.dtype(0)), copy = simplify({{count}, {1}, {1}})](Frame& f) {
    const void* from = f.in<std::byte>(0);
    void* to = f.out<std::byte>(0);
    if (from != to) run(f, copy, from, to);
  };
}

std::optional<View> strided_view(const PrepareContext& ctx, const StridedCopy& copy,
                                 int64_t from_offset) {
  const DType dtype = ctx.dtype(0);
  if (dtype == DType::string) return std::nullopt;
  const StridedCopy simple = simplify(copy);
  if (element_count(simple.shape) == 0) from_offset = 0;
  View view{0, static_cast<int64_t>(item_size(dtype)) * from_offset};
  if (is_one_run(simple)) return view;
  if (simple.shape.size() != 2 || simple.from[1] != 1 || simple.from[0] < simple.shape[1])
    return std::nullopt;
  view.rows = {simple.shape[1], simple.from[0]};
  return view;
}

}  // namespace sdx::ops
