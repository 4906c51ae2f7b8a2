// Values that are more than a tensor: sequences, maps, sparse tensors, and nothing.
#include <set>

#include "capi/handles.h"

namespace sdx::capi {
namespace {

const Tensor& tensor_of(const sdx_value* value, const char* name) {
  check_given(value, name);
  check_argument(value->datum.is_tensor(), name, ": expected a tensor, got a ",
                 value->datum.kind());
  return value->datum.tensor();
}

template <class T>
void check_distinct(const Tensor& keys) {
  const std::span<const T> items = keys.items<T>();
  check_argument(std::set<T>(items.begin(), items.end()).size() == items.size(),
                 "keys: one of them is there twice");
}

Map map_from(const Tensor& keys, const Tensor& values) {
  check_argument(keys.rank() == 1 && values.rank() == 1 && keys.count() == values.count(),
                 "expected as many keys as values in two rows, got ", keys.shape(), " and ",
                 values.shape());
  check_argument(keys.dtype() == DType::int64 || keys.dtype() == DType::string,
                 "keys: expected int64 or strings, got ", keys.dtype());
  if (keys.dtype() == DType::int64)
    check_distinct<int64_t>(keys);
  else
    check_distinct<std::string>(keys);
  return {keys, values};
}

// Places are inside the shape and in order, each once.
SparseTensor sparse_from(const Tensor& values, const Tensor& indices, const Shape& shape) {
  const int64_t count = values.count(), rank = static_cast<int64_t>(shape.size());
  const bool linear = indices.rank() == 1;
  check_argument(values.rank() == 1 && indices.dtype() == DType::int64 &&
                     (linear ? indices.count() == count : indices.shape() == Shape{count, rank}),
                 "expected values [n] and int64 indices [n] or [n, ", rank, "], got ",
                 values.shape(), " and ", indices.dtype(), indices.shape());
  const int64_t cells = element_count(shape);
  int64_t last = -1;
  for (int64_t i = 0; i < count; ++i) {
    int64_t place = linear ? indices.data<int64_t>()[i] : 0;
    for (int64_t axis = 0; !linear && axis < rank; ++axis) {
      const int64_t index = indices.data<int64_t>()[i * rank + axis];
      const int64_t size = shape[static_cast<size_t>(axis)];
      check_argument(index >= 0 && index < size, "indices: ", index, " is not inside ", shape);
      place = place * size + index;
    }
    check_argument(place > last && place < cells, "indices are not in order inside ", shape);
    last = place;
  }
  return {values, indices, shape};
}

const Sequence* sequence_in(const sdx_value* value) {
  return value && value->datum.is_sequence() ? &value->datum.sequence() : nullptr;
}
const SparseTensor* sparse_in(const sdx_value* value) {
  return value && value->datum.is_sparse() ? &value->datum.sparse() : nullptr;
}
const Map& map_of(const sdx_value* value) {
  check_argument(value && value->datum.is_map(), "the value is no map");
  return value->datum.map();
}
const SparseTensor& sparse_of(const sdx_value* value) {
  check_argument(sparse_in(value), "the value is no sparse tensor");
  return *sparse_in(value);
}

}  // namespace
}  // namespace sdx::capi

using namespace sdx;
using namespace sdx::capi;

sdx_kind sdx_value_kind(const sdx_value* value) noexcept {
  if (!value || value->datum.empty()) return SDX_KIND_NONE;
  if (value->datum.is_tensor()) return SDX_KIND_TENSOR;
  if (value->datum.is_sequence()) return SDX_KIND_SEQUENCE;
  return value->datum.is_map() ? SDX_KIND_MAP : SDX_KIND_SPARSE_TENSOR;
}

sdx_status sdx_value_share(const sdx_value* value, sdx_value** out) noexcept {
  return guarded([&] {
    check_given(value, "value");
    hand_out(out, value->datum);
  });
}
void sdx_value_free(sdx_value* value) noexcept { delete value; }

sdx_status sdx_none_create(sdx_value** out) noexcept {
  return guarded([&] { hand_out(out); });
}

sdx_status sdx_sequence_create(sdx_dtype dtype, const sdx_value* const* items, size_t count,
                               sdx_value** out) noexcept {
  return guarded([&] {
    check_argument(items || count == 0, "items is NULL");
    Sequence sequence;
    if (dtype != SDX_UNDEFINED) sequence.dtype = dtype_from(dtype);
    for (size_t i = 0; i < count; ++i) {
      check_given(items[i], "an item");
      const Datum& item = items[i]->datum;
      check_argument(i == 0 || sdx_value_kind(items[i]) == sdx_value_kind(items[0]), "items[", i,
                     "] is a ", item.kind(), ", items[0] a ", items[0]->datum.kind());
      if (item.is_tensor()) {
        const DType found = item.tensor().dtype();
        if (sequence.dtype == DType::undefined) sequence.dtype = found;
        check_argument(found == sequence.dtype, "items[", i, "]: expected element type ",
                       sequence.dtype, ", got ", found);
      }
      sequence.items.push_back(item);
    }
    hand_out(out, Datum(std::move(sequence)));
  });
}
size_t sdx_sequence_count(const sdx_value* value) noexcept {
  const Sequence* sequence = sequence_in(value);
  return sequence ? sequence->items.size() : 0;
}
sdx_status sdx_sequence_item(const sdx_value* value, size_t index, sdx_value** out) noexcept {
  return guarded([&] {
    const Sequence* sequence = sequence_in(value);
    check_argument(sequence, "the value is no sequence");
    check_argument(index < sequence->items.size(), "there is no item ", index, " of ",
                   sequence->items.size());
    hand_out(out, sequence->items[index]);
  });
}

sdx_status sdx_map_create(const sdx_value* keys, const sdx_value* values,
                          sdx_value** out) noexcept {
  return guarded(
      [&] { hand_out(out, map_from(tensor_of(keys, "keys"), tensor_of(values, "values"))); });
}
sdx_status sdx_map_keys(const sdx_value* map, sdx_value** out) noexcept {
  return guarded([&] { hand_out(out, map_of(map).keys); });
}
sdx_status sdx_map_values(const sdx_value* map, sdx_value** out) noexcept {
  return guarded([&] { hand_out(out, map_of(map).values); });
}

sdx_status sdx_sparse_create(const sdx_value* values, const sdx_value* indices,
                             const int64_t* shape, size_t rank, sdx_value** out) noexcept {
  return guarded([&] {
    hand_out(out, sparse_from(tensor_of(values, "values"), tensor_of(indices, "indices"),
                              shape_from(shape, rank)));
  });
}
sdx_status sdx_sparse_values(const sdx_value* sparse, sdx_value** out) noexcept {
  return guarded([&] { hand_out(out, sparse_of(sparse).values); });
}
sdx_status sdx_sparse_indices(const sdx_value* sparse, sdx_value** out) noexcept {
  return guarded([&] { hand_out(out, sparse_of(sparse).indices); });
}
size_t sdx_sparse_rank(const sdx_value* value) noexcept {
  const SparseTensor* sparse = sparse_in(value);
  return sparse ? sparse->shape.size() : 0;
}
const int64_t* sdx_sparse_shape(const sdx_value* value) noexcept {
  const SparseTensor* sparse = sparse_in(value);
  return sparse ? sparse->shape.data() : nullptr;
}
