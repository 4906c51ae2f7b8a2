// float32 matrix products cut into pieces for threads: what every operator built on GEMM shares.
#pragma once

#include "base/frame.h"
#include "kernels/gemm.h"

namespace sdx::ops {

// The kernels of this machine.
struct GemmKernels {
  kernels::GemmTiling tiling = kernels::gemm_tiling.resolve()();
  kernels::GemmPackB* pack_b = kernels::gemm_pack_b.resolve();
  kernels::GemmPacked* packed = kernels::gemm_packed.resolve();
  kernels::GemmDynamic* dynamic = kernels::gemm_dynamic.resolve();
  kernels::GemmDynamicScratch* dynamic_scratch = kernels::gemm_dynamic_scratch.resolve();

  int64_t panels(int64_t n) const {
    return static_cast<int64_t>(kernels::panel_count(tiling, static_cast<std::size_t>(n)));
  }
  int64_t packed_floats(int64_t k, int64_t n) const {
    return static_cast<int64_t>(
        kernels::packed_b_floats(tiling, static_cast<std::size_t>(k), static_cast<std::size_t>(n)));
  }
};

// Nanoseconds on one core, about.
double gemm_cost(int64_t m, int64_t n, int64_t k);

// Products of one size cut into blocks of rows by blocks of panels, by their sizes alone.
struct GemmGrid {
  int64_t batches = 0;
  int64_t row_blocks = 1, panel_blocks = 1;
  int64_t rows = 0, panels = 0;
  int64_t row_step = 1;  // rows are cut at multiples of it
  Split split;           // over the blocks of all batches

  int64_t row_tiles() const { return (rows + row_step - 1) / row_step; }

  struct Block {
    int64_t batch;
    kernels::GemmRange range;
  };
  // Blocks are numbered with panels fastest: a run of them shares its rows of A.
  Block block(int64_t item) const { return blocks(item, item + 1); }
  // The blocks from `item` on that lie in the same rows, up to `end`.
  Block blocks(int64_t item, int64_t end) const;
  // Calls f(block) for as few blocks as cover the items.
  template <class F>
  void for_each(Range items, F&& f) const {
    while (items.begin < items.end) {
      f(blocks(items.begin, items.end));
      items.begin += panel_blocks - items.begin % panel_blocks;
    }
  }
};

// For gemm_packed.
GemmGrid gemm_grid(const GemmKernels& gemm, int64_t batches, int64_t m, int64_t n, int64_t k);
// For gemm_dynamic: columns are cut before rows, since every block of rows may copy its part of B,
// and chunks are few, since each has scratch of its own.
GemmGrid gemm_dynamic_grid(const GemmKernels& gemm, int64_t batches, int64_t m, int64_t n,
                           int64_t k);

// One product, all of it, on as many threads as there are. For gemm_packed.
void run_packed(const Frame& f, const GemmKernels& gemm, const GemmGrid& grid,
                const kernels::GemmArgs& args);

}  // namespace sdx::ops
