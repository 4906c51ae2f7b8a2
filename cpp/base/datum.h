// What a value can hold at run time: a tensor, a sequence, a map, a sparse tensor, or nothing.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "base/tensor.h"

namespace sdx {

class Datum;

// Items all of one type. `dtype` is that of tensor items, so that an empty sequence knows it.
struct Sequence {
  DType dtype = DType::undefined;
  std::vector<Datum> items;
};

// Keys (1-D int64 or string, no duplicates) and their values, position by position.
struct Map {
  Tensor keys;
  Tensor values;
};

// COO: values [n] and indices [n] (linear) or [n, rank], sorted.
struct SparseTensor {
  Tensor values;
  Tensor indices;
  Shape shape;
};

class Datum {
 public:
  Datum() = default;  // an optional without a value
  Datum(Tensor tensor) : held_(std::move(tensor)) {}
  Datum(Sequence sequence);
  Datum(Map map);
  Datum(SparseTensor sparse);

  bool empty() const { return std::holds_alternative<std::monostate>(held_); }
  bool is_tensor() const { return std::holds_alternative<Tensor>(held_); }
  bool is_sequence() const { return std::holds_alternative<std::shared_ptr<const Sequence>>(held_); }
  bool is_map() const { return std::holds_alternative<std::shared_ptr<const Map>>(held_); }
  bool is_sparse() const {
    return std::holds_alternative<std::shared_ptr<const SparseTensor>>(held_);
  }

  // Each throws where the datum holds something else.
  const Tensor& tensor() const;
  Tensor& tensor();
  const Sequence& sequence() const;
  const Map& map() const;
  const SparseTensor& sparse() const;

  // The same, with every tensor in it owning its memory.
  Datum owned() const;
  // "tensor", "sequence", "map", "sparse tensor" or "nothing".
  const char* kind() const;

 private:
  std::variant<std::monostate, Tensor, std::shared_ptr<const Sequence>, std::shared_ptr<const Map>,
               std::shared_ptr<const SparseTensor>>
      held_;
};

}  // namespace sdx
