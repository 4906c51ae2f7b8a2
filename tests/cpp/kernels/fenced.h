// Buffers for kernel tests: the byte after the last item is not there, so reading or writing past
// the end stops the test.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <random>

namespace sdx::kernels::test {

template <class T>
class Fenced {
 public:
  explicit Fenced(std::size_t count, T fill = T{}) : count_(count) {
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t body = (count * sizeof(T) + page - 1) / page * page;
    bytes_ = body + page;
    void* map = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) throw std::bad_alloc();
    map_ = static_cast<char*>(map);
    mprotect(map_ + body, page, PROT_NONE);
    data_ = reinterpret_cast<T*>(map_ + body - count * sizeof(T));
    for (T& item : *this) item = fill;
  }
  Fenced(const Fenced& other) : Fenced(other.count_) {
    for (std::size_t i = 0; i < count_; ++i) data_[i] = other.data_[i];
  }
  Fenced(Fenced&& other) noexcept
      : map_(other.map_), data_(other.data_), count_(other.count_), bytes_(other.bytes_) {
    other.map_ = nullptr;
  }
  Fenced& operator=(Fenced&&) = delete;
  ~Fenced() {
    if (map_) munmap(map_, bytes_);
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return count_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + count_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + count_; }

 private:
  char* map_;
  T* data_;
  std::size_t count_;
  std::size_t bytes_;
};

// Values in [-1, 1), the same for the same seed.
inline Fenced<float> random_floats(std::size_t count, unsigned seed) {
  Fenced<float> values(count);
  std::mt19937 engine(seed);
  for (float& v : values) v = static_cast<float>(engine() >> 8) / 0x1p23f - 1.0f;
  return values;
}

}  // namespace sdx::kernels::test
