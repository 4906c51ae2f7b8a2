#include "base/large_memory.h"

#include "base/tensor.h"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace sdx {

#if defined(__linux__)
namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;
// From here on large pages are worth what the last of them leaves empty.
constexpr std::size_t kSmallestLarge = 2 * kLargePage;
constexpr std::size_t kSlabBytes = 16 * kLargePage;
// What a model packs into ordinary memory before it gets slabs.
constexpr std::size_t kPlainBytes = std::size_t{1} << 20;

std::size_t rounded_up(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// Pages that cost nothing until they are touched, aligned to large ones.
std::shared_ptr<void> map_pages(std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(PTRDIFF_MAX) - 2 * kLargePage)
    fail(ErrorKind::out_of_memory, "cannot allocate ", bytes, " bytes");
  const std::size_t size = rounded_up(bytes, page_bytes());
  // Without MAP_NORESERVE: where the machine never had so much, the system says so here.
  void* mapped =
      mmap(nullptr, size + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) fail(ErrorKind::out_of_memory, "cannot allocate ", bytes, " bytes");
  auto* const begin = static_cast<std::byte*>(mapped);
  const auto address = reinterpret_cast<std::size_t>(mapped);
  const std::size_t before = rounded_up(address, kLargePage) - address;
  if (before > 0) munmap(begin, before);
  if (before < kLargePage) munmap(begin + before + size, kLargePage - before);
  madvise(begin + before, size, MADV_HUGEPAGE);  // a wish
  return {begin + before, [size](void* pages) { munmap(pages, size); }};
}

}  // namespace

std::shared_ptr<void> allocate_large(std::size_t bytes) {
  return bytes < kSmallestLarge ? allocate_bytes(bytes) : map_pages(bytes);
}

void WeightMemory::close_slab() {
  if (!slab_) return;
  const std::size_t kept = rounded_up(used_, page_bytes());
  madvise(static_cast<std::byte*>(slab_.get()) + kept, kSlabBytes - kept, MADV_DONTNEED);
  slab_.reset();
}

std::shared_ptr<void> WeightMemory::allocate(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes < kPlainBytes && plain_ + bytes <= kPlainBytes) {
    plain_ += bytes;
    return allocate_bytes(bytes);
  }
  if (bytes > kSlabBytes / 2) return map_pages(bytes);
  if (!slab_ || used_ + bytes > kSlabBytes) {
    close_slab();
    slab_ = map_pages(kSlabBytes);
    used_ = 0;
  }
  std::byte* const piece = static_cast<std::byte*>(slab_.get()) + used_;
  used_ += rounded_up(bytes, kAlignment);
  return {slab_, piece};
}

#else  // large pages are not ours to ask for

std::shared_ptr<void> allocate_large(std::size_t bytes) { return allocate_bytes(bytes); }
void WeightMemory::close_slab() {}
std::shared_ptr<void> WeightMemory::allocate(std::size_t bytes) { return allocate_bytes(bytes); }

#endif

}  // namespace sdx
