// Element types and tensors.
#include "base/checked.h"
#include "capi/handles.h"

namespace sdx::capi {

Shape shape_from(const int64_t* shape, size_t rank) {
  check_argument(shape || rank == 0, "shape is NULL");
  constexpr size_t kMaxRank = 1024;
  check_argument(rank <= kMaxRank, "rank: ", rank, " is more than ", kMaxRank);
  for (size_t i = 0; i < rank; ++i)
    check_argument(shape[i] >= 0, "shape[", i, "] is negative: ", shape[i]);
  const Shape found(shape, shape + rank);
  try {
    checked_mul(element_count(found), int64_t{sizeof(std::string)});  // the largest of elements
  } catch (const Error&) {
    fail(ErrorKind::invalid_argument, "shape: ", found, " is too large");
  }
  return found;
}

DType dtype_from(sdx_dtype dtype) {
  check_argument(dtype != SDX_UNDEFINED && is_known_dtype(dtype), "dtype: there is no number ",
                 dtype);
  return static_cast<DType>(dtype);
}

namespace {

const Tensor* tensor_in(const sdx_value* value) {
  return value && value->datum.is_tensor() ? &value->datum.tensor() : nullptr;
}

bool is_text(const Tensor* tensor) { return tensor && tensor->dtype() == DType::string; }

// A tensor over memory of the caller's, of exactly this size.
Tensor over(sdx_dtype dtype, const int64_t* shape, size_t rank, void* data, size_t bytes) {
  const DType element = dtype_from(dtype);
  check_argument(element != DType::string, "strings cannot lie in memory of the caller");
  const Tensor tensor = Tensor::view(element, shape_from(shape, rank), data);
  check_argument(tensor.bytes() == bytes, "a tensor ", element, tensor.shape(), " takes ",
                 tensor.bytes(), " bytes, not ", bytes);
  check_argument(data || bytes == 0, "data is NULL");
  return tensor;
}

}  // namespace
}  // namespace sdx::capi

using namespace sdx;
using namespace sdx::capi;

const char* sdx_dtype_name(sdx_dtype dtype) noexcept {
  return is_known_dtype(dtype) ? dtype_name(static_cast<DType>(dtype)).data() : "undefined";
}

size_t sdx_dtype_size(sdx_dtype dtype) noexcept {
  if (!is_known_dtype(dtype) || dtype == SDX_UNDEFINED || dtype == SDX_STRING) return 0;
  return item_size(static_cast<DType>(dtype));
}

sdx_status sdx_tensor_create(sdx_dtype dtype, const int64_t* shape, size_t rank,
                             sdx_value** out) noexcept {
  return guarded(
      [&] { hand_out(out, Tensor::allocate(dtype_from(dtype), shape_from(shape, rank))); });
}

sdx_status sdx_tensor_view(sdx_dtype dtype, const int64_t* shape, size_t rank, void* data,
                           size_t bytes, sdx_value** out) noexcept {
  return guarded([&] { hand_out(out, over(dtype, shape, rank, data, bytes)); });
}

sdx_status sdx_tensor_adopt(sdx_dtype dtype, const int64_t* shape, size_t rank, void* data,
                            size_t bytes, void (*release)(void* context), void* context,
                            sdx_value** out) noexcept {
  return guarded([&] {
    check_given(reinterpret_cast<const void*>(release), "release");
    check_given(out, "out");
    const Tensor view = over(dtype, shape, rank, data, bytes);
    auto value = std::make_unique<sdx_value>();
    // Made ready first: from here on nothing but taking over can fail, and then does not release.
    struct Release {
      void (*release)(void*);
      void* context;
      bool armed = false;
      ~Release() {
        if (armed) release(context);
      }
    };
    const auto owner = std::make_shared<Release>(Release{release, context});
    value->datum =
        Tensor::own(view.dtype(), view.shape(), std::shared_ptr<void>(owner, owner.get()), data);
    owner->armed = true;
    *out = value.release();
  });
}

sdx_status sdx_tensor_strings(const int64_t* shape, size_t rank, const char* const* strings,
                              const size_t* lengths, sdx_value** out) noexcept {
  return guarded([&] {
    Tensor tensor = Tensor::allocate(DType::string, shape_from(shape, rank));
    check_argument(strings || tensor.count() == 0, "strings is NULL");
    for (int64_t i = 0; i < tensor.count(); ++i) {
      check_argument(strings[i] || (lengths && lengths[i] == 0), "strings[", i, "] is NULL");
      auto& text = tensor.data<std::string>()[i];
      if (!lengths)
        text = strings[i];
      else if (lengths[i])
        text.assign(strings[i], lengths[i]);
    }
    hand_out(out, std::move(tensor));
  });
}

sdx_dtype sdx_tensor_dtype(const sdx_value* value) noexcept {
  const Tensor* tensor = tensor_in(value);
  return tensor ? static_cast<sdx_dtype>(tensor->dtype()) : SDX_UNDEFINED;
}
size_t sdx_tensor_rank(const sdx_value* value) noexcept {
  const Tensor* tensor = tensor_in(value);
  return tensor ? tensor->shape().size() : 0;
}
const int64_t* sdx_tensor_shape(const sdx_value* value) noexcept {
  const Tensor* tensor = tensor_in(value);
  return tensor ? tensor->shape().data() : nullptr;
}
size_t sdx_tensor_count(const sdx_value* value) noexcept {
  const Tensor* tensor = tensor_in(value);
  return tensor ? static_cast<size_t>(tensor->count()) : 0;
}
size_t sdx_tensor_bytes(const sdx_value* value) noexcept {
  const Tensor* tensor = tensor_in(value);
  return tensor && !is_text(tensor) ? tensor->bytes() : 0;
}
void* sdx_tensor_data(sdx_value* value) noexcept {
  return const_cast<void*>(sdx_tensor_read(value));
}
const void* sdx_tensor_read(const sdx_value* value) noexcept {
  const Tensor* tensor = tensor_in(value);
  return tensor && !is_text(tensor) ? tensor->raw() : nullptr;
}

sdx_status sdx_tensor_string(const sdx_value* value, size_t index, const char** text,
                             size_t* length) noexcept {
  return guarded([&] {
    check_given(text, "text");
    const Tensor* tensor = tensor_in(value);
    check_argument(is_text(tensor), "the value is no tensor of strings");
    check_argument(index < static_cast<size_t>(tensor->count()), "there is no string ", index,
                   " of ", tensor->count());
    const std::string& found = tensor->data<std::string>()[index];
    *text = found.c_str();
    if (length) *length = found.size();
  });
}
