#include "base/tensor.h"

#include <cstdlib>
#include <cstring>

#include "base/checked.h"
#include "base/memory_budget.h"

namespace sdx {

std::shared_ptr<void> allocate_bytes(std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(PTRDIFF_MAX) - kAlignment)
    fail(ErrorKind::out_of_memory, "cannot allocate ", bytes, " bytes");
  const std::size_t rounded = (bytes + kAlignment) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded);
  if (!memory) fail(ErrorKind::out_of_memory, "cannot allocate ", bytes, " bytes");
  return {memory, std::free};
}

namespace {

std::shared_ptr<void> allocate_strings(int64_t count) {
  auto strings = std::shared_ptr<std::string[]>(new std::string[static_cast<std::size_t>(count)]);
  return {strings, strings.get()};
}

std::shared_ptr<void> allocate_items(DType dtype, int64_t count, std::size_t bytes) {
  return dtype == DType::string ? allocate_strings(count) : allocate_bytes(bytes);
}

// The same, counted as long as the memory lives, and before it is taken.
std::shared_ptr<void> allocate_counted(DType dtype, int64_t count, std::size_t bytes,
                                       const std::shared_ptr<MemoryBudget>& budget) {
  if (!budget->take(bytes)) fail(ErrorKind::out_of_memory, "a tensor of ", budget->refusal(bytes));
  const std::shared_ptr<void> claim(budget.get(),
                                    [bytes, budget](void*) { budget->give_back(bytes); });
  std::shared_ptr<void> memory = allocate_items(dtype, count, bytes);
  void* const data = memory.get();
  return {data, [memory = std::move(memory), claim](void*) {}};
}

}  // namespace

Tensor Tensor::allocate(DType dtype, const Shape& shape) {
  const int64_t count = element_count(shape);
  const auto bytes =
      static_cast<std::size_t>(checked_mul(count, static_cast<int64_t>(item_size(dtype))));
  const auto& budget = MemoryBudget::current();
  auto owner =
      budget ? allocate_counted(dtype, count, bytes, budget) : allocate_items(dtype, count, bytes);
  void* const data = owner.get();
  return own(dtype, shape, std::move(owner), data);
}

Tensor Tensor::view(DType dtype, const Shape& shape, const void* data) {
  return own(dtype, shape, nullptr, const_cast<void*>(data));
}

Tensor Tensor::own(DType dtype, const Shape& shape, std::shared_ptr<void> owner, void* data) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = shape;
  tensor.count_ = element_count(shape);
  tensor.owner_ = std::move(owner);
  tensor.data_ = data;
  return tensor;
}

Tensor Tensor::reshaped(const Shape& shape) const {
  check(element_count(shape) == count_, "cannot view shape ", shape_, " as ", shape);
  return own(dtype_, shape, owner_, data_);
}

Tensor Tensor::clone() const {
  Tensor copy = allocate(dtype_, shape_);
  copy_items(dtype_, data_, copy.data_, count_);
  return copy;
}

std::vector<int64_t> Tensor::to_int64s() const {
  std::vector<int64_t> result(static_cast<std::size_t>(count_));
  if (dtype_ == DType::boolean || dtype_ == DType::uint4 || dtype_ == DType::uint2) {
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = data<uint8_t>()[i];
  } else if (dtype_ == DType::int4 || dtype_ == DType::int2) {
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = data<int8_t>()[i];
  } else {
    dispatch(IntegerTypes{}, dtype_, [&]<class T>() {
      for (std::size_t i = 0; i < result.size(); ++i)
        result[i] = static_cast<int64_t>(data<T>()[i]);
    });
  }
  return result;
}

std::vector<double> Tensor::to_doubles() const {
  std::vector<double> result(static_cast<std::size_t>(count_));
  dispatch(NumberAndBoolTypes{}, dtype_, [&]<class T>() {
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] = static_cast<double>(static_cast<ComputeType<T>>(data<T>()[i]));
  });
  return result;
}

void copy_items(DType dtype, const void* from, void* to, int64_t count) {
  if (dtype == DType::string) {
    const auto* source = static_cast<const std::string*>(from);
    std::copy(source, source + count, static_cast<std::string*>(to));
  } else if (count > 0) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * item_size(dtype));
  }
}

}  // namespace sdx
