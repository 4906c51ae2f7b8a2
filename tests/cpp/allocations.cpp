#include "allocations.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

thread_local int64_t count = 0;    // of allocations
thread_local int64_t fail_at = 0;  // the one that fails; 0: none
thread_local bool fail_behind = false;

bool next_fails() {
  ++count;
  return fail_at > 0 && (count == fail_at || (fail_behind && count > fail_at));
}

void* take(std::size_t bytes, std::size_t alignment) {
  if (next_fails()) return nullptr;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes > 0 ? bytes : 1);
  void* memory = nullptr;
  return posix_memalign(&memory, alignment, bytes) == 0 ? memory : nullptr;
}

void* take_or_throw(std::size_t bytes, std::size_t alignment = 1) {
  if (void* memory = take(bytes, alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace

namespace sdx::test {

int64_t allocations() { return count; }

FailingAllocation::FailingAllocation(int64_t at, bool lasting) {
  fail_at = count + at;
  fail_behind = lasting;
}
FailingAllocation::~FailingAllocation() { fail_at = 0; }
bool FailingAllocation::failed() const { return count >= fail_at; }

}  // namespace sdx::test

void* operator new(std::size_t bytes) { return take_or_throw(bytes); }
void* operator new[](std::size_t bytes) { return take_or_throw(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return take_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes, 1); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Tensors' memory comes from here.
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return take(bytes, alignment);
}
#endif
