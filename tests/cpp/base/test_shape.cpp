#include <doctest/doctest.h>

#include <cmath>

#include "base/error.h"
#include "base/half.h"
#include "base/shape.h"
#include "base/tensor.h"

using namespace sdx;

TEST_CASE("element counts refuse negative and overflowing dimensions") {
  CHECK(element_count(Shape{}) == 1);
  CHECK(element_count(Shape{2, 0, 5}) == 0);
  CHECK_THROWS_AS(element_count(Shape{2, -1}), Error);
  CHECK_THROWS_AS(element_count(Shape{INT64_MAX, 3}), Error);
}

TEST_CASE("shapes broadcast as in NumPy") {
  CHECK(broadcast(Shape{3, 1}, Shape{1, 4}) == Shape{3, 4});
  CHECK(broadcast(Shape{5}, Shape{2, 3, 1}) == Shape{2, 3, 5});
  CHECK(broadcast(Shape{0}, Shape{1}) == Shape{0});
  CHECK_THROWS_AS(broadcast(Shape{2}, Shape{3}), Error);
  CHECK(broadcast_strides(Shape{3, 1}, Shape{2, 3, 4}) == Shape{0, 1, 0});
}

TEST_CASE("shapes longer than their inline room live on the heap") {
  Shape shape;
  for (int64_t i = 0; i < 20; ++i) shape.push_back(i);
  Shape copy = shape;
  shape.erase(0);
  copy.insert(3, 100);
  CHECK(shape.size() == 19);
  CHECK(copy[3] == 100);
  CHECK(copy[4] == 3);
  const Shape moved = std::move(copy);
  CHECK(moved.size() == 21);
}

TEST_CASE("half floats round to nearest even") {
  CHECK(static_cast<float>(Half(65504.0f)) == 65504.0f);
  CHECK(static_cast<float>(Half(65519.9f)) == 65504.0f);
  CHECK(static_cast<float>(Half(65520.0f)) == INFINITY);
  CHECK(static_cast<float>(Half(5.9604645e-8f)) == 5.9604645e-8f);
  CHECK(static_cast<float>(Half(2.0f + 1.0f / 1024)) == 2.0f);
  CHECK(static_cast<float>(BFloat16(1.0f + 1.0f / 256)) == 1.0f);
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = half_bits_to_float(static_cast<uint16_t>(bits));
    if (value == value) CHECK(float_to_half_bits(value) == bits);
  }
}

TEST_CASE("tensors share memory when copied and not when cloned") {
  Tensor tensor = Tensor::of<int64_t>({1, 2, 3});
  const Tensor shared = tensor, cloned = tensor.clone();
  tensor.data<int64_t>()[0] = 9;
  CHECK(shared.data<int64_t>()[0] == 9);
  CHECK(cloned.data<int64_t>()[0] == 1);
  CHECK_THROWS_AS(tensor.reshaped(Shape{2}), Error);
  CHECK_THROWS_AS(Tensor::allocate(DType::float32, Shape{INT64_MAX / 2}), Error);
}
