// A dense tensor: element type, shape and memory, contiguous and row-major.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"

namespace sdx {

// Bytes of memory every allocation of tensor data is aligned to.
inline constexpr std::size_t kAlignment = 64;

// Uninitialised memory aligned to kAlignment. Throws `out_of_memory`.
std::shared_ptr<void> allocate_bytes(std::size_t bytes);

// A handle: copies share the memory. Memory that more than one handle sees is read-only by custom.
class Tensor {
 public:
  Tensor() = default;
  // New memory: numbers uninitialised, strings empty.
  static Tensor allocate(DType dtype, const Shape& shape);
  // Memory of somebody else, who must outlive the tensor.
  static Tensor view(DType dtype, const Shape& shape, const void* data);
  // Memory kept alive by `owner`.
  static Tensor own(DType dtype, const Shape& shape, std::shared_ptr<void> owner, void* data);
  template <class T>
  static Tensor scalar(T value) {
    return filled<T>({}, value);
  }
  template <class T>
  static Tensor filled(const Shape& shape, T value);
  // A vector of the items, or of the given shape.
  template <class T>
  static Tensor of(std::span<const T> items, const Shape& shape);
  template <class T>
  static Tensor of(const std::vector<T>& items) {
    return of<T>(std::span<const T>(items), Shape{static_cast<int64_t>(items.size())});
  }
  template <class T>
  static Tensor of(std::initializer_list<T> items) {
    return of<T>(std::span<const T>(items.begin(), items.size()),
                 Shape{static_cast<int64_t>(items.size())});
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t rank() const { return static_cast<int64_t>(shape_.size()); }
  int64_t count() const { return count_; }
  std::size_t bytes() const { return static_cast<std::size_t>(count_) * item_size(dtype_); }
  // Whether the memory lives as long as this handle.
  bool owns() const { return owner_ != nullptr; }
  const std::shared_ptr<void>& owner() const { return owner_; }

  const void* raw() const { return data_; }
  void* raw() { return data_; }
  template <class T>
  const T* data() const {
    SDX_ASSERT(item_size(dtype_) == sizeof(T));
    return static_cast<const T*>(data_);
  }
  template <class T>
  T* data() {
    SDX_ASSERT(item_size(dtype_) == sizeof(T));
    return static_cast<T*>(data_);
  }
  template <class T>
  std::span<const T> items() const {
    return {data<T>(), static_cast<std::size_t>(count_)};
  }

  // The same memory under another shape of the same element count.
  Tensor reshaped(const Shape& shape) const;
  // New memory with the same elements.
  Tensor clone() const;
  // This tensor if it owns its memory, else a clone.
  Tensor owned() const { return owns() ? *this : clone(); }
  // The elements of an integer (or bool) tensor widened to int64; throws for other types.
  std::vector<int64_t> to_int64s() const;
  // The elements of a number tensor as doubles; throws for other types.
  std::vector<double> to_doubles() const;

 private:
  DType dtype_ = DType::undefined;
  Shape shape_;
  int64_t count_ = 0;
  std::shared_ptr<void> owner_;
  void* data_ = nullptr;
};

// Copies elements, strings included, between memory that does not overlap.
void copy_items(DType dtype, const void* from, void* to, int64_t count);

template <class T>
Tensor Tensor::filled(const Shape& shape, T value) {
  Tensor result = allocate(dtype_of<T>, shape);
  for (int64_t i = 0; i < result.count(); ++i) result.data<T>()[i] = value;
  return result;
}

template <class T>
Tensor Tensor::of(std::span<const T> items, const Shape& shape) {
  Tensor result = allocate(dtype_of<T>, shape);
  check(result.count() == static_cast<int64_t>(items.size()), "shape ", shape, " needs ",
        result.count(), " elements, not ", items.size());
  for (std::size_t i = 0; i < items.size(); ++i) result.data<T>()[i] = items[i];
  return result;
}

}  // namespace sdx
