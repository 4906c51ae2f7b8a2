// Memory in large pages, for what is too big to be read through 4 KB ones at full speed.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>

namespace sdx {

// As allocate_bytes, in 2 MB pages from a few of them on, where the system grants them.
std::shared_ptr<void> allocate_large(std::size_t bytes);

// Memory for what lives as long as a model: one piece after the other in slabs of large pages,
// each given back when the last piece in it goes. Small models stay in ordinary memory. Safe to
// use from many threads.
class WeightMemory {
 public:
  WeightMemory() = default;
  WeightMemory(const WeightMemory&) = delete;
  WeightMemory& operator=(const WeightMemory&) = delete;
  ~WeightMemory() { close_slab(); }

  // Uninitialised, aligned to kAlignment. Throws `out_of_memory`.
  std::shared_ptr<void> allocate(std::size_t bytes);

 private:
  // Gives back the pages of the slab that no piece lies in.
  void close_slab();

  std::mutex mutex_;
  std::shared_ptr<void> slab_;
  std::size_t used_ = 0;   // bytes of the slab
  std::size_t plain_ = 0;  // bytes in ordinary memory so far
};

}  // namespace sdx
