#include "base/datum.h"

#include <algorithm>

namespace sdx {
namespace {

bool all_owned(const Datum& datum) {
  if (datum.is_tensor()) return datum.tensor().owns();
  if (datum.is_map()) return datum.map().keys.owns() && datum.map().values.owns();
  if (datum.is_sparse()) return datum.sparse().values.owns() && datum.sparse().indices.owns();
  if (!datum.is_sequence()) return true;
  const std::vector<Datum>& items = datum.sequence().items;
  return std::all_of(items.begin(), items.end(), all_owned);
}

}  // namespace

Datum::Datum(Sequence sequence) : held_(std::make_shared<const Sequence>(std::move(sequence))) {}
Datum::Datum(Map map) : held_(std::make_shared<const Map>(std::move(map))) {}
Datum::Datum(SparseTensor sparse)
    : held_(std::make_shared<const SparseTensor>(std::move(sparse))) {}

const char* Datum::kind() const {
  constexpr const char* kKinds[] = {"nothing", "tensor", "sequence", "map", "sparse tensor"};
  return kKinds[held_.index()];
}

const Tensor& Datum::tensor() const {
  check_argument(is_tensor(), "expected a tensor, got ", kind());
  return std::get<Tensor>(held_);
}

Tensor& Datum::tensor() {
  check_argument(is_tensor(), "expected a tensor, got ", kind());
  return std::get<Tensor>(held_);
}

const Sequence& Datum::sequence() const {
  check_argument(is_sequence(), "expected a sequence, got ", kind());
  return *std::get<std::shared_ptr<const Sequence>>(held_);
}

const Map& Datum::map() const {
  check_argument(is_map(), "expected a map, got ", kind());
  return *std::get<std::shared_ptr<const Map>>(held_);
}

const SparseTensor& Datum::sparse() const {
  check_argument(is_sparse(), "expected a sparse tensor, got ", kind());
  return *std::get<std::shared_ptr<const SparseTensor>>(held_);
}

Datum Datum::owned() const {
  if (all_owned(*this)) return *this;  // what is held is never written to
  if (is_tensor()) return tensor().owned();
  if (is_sequence()) {
    Sequence copy{sequence().dtype, {}};
    copy.items.reserve(sequence().items.size());
    for (const Datum& item : sequence().items) copy.items.push_back(item.owned());
    return copy;
  }
  if (is_map()) return Map{map().keys.owned(), map().values.owned()};
  if (is_sparse())
    return SparseTensor{sparse().values.owned(), sparse().indices.owned(), sparse().shape};
  return {};
}

}  // namespace sdx
