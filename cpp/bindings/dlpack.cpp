// Reading DLPack: the exchange structures as its specification lays them out, version 0.x, which
// every producer hands out when not asked for a newer one.
#include "base/error.h"
#include "bindings/convert.h"

namespace sdx::bindings {
namespace {

struct DLDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};

struct DLTensor {
  void* data;
  int32_t device_type;
  int32_t device_id;
  int32_t ndim;
  DLDataType dtype;
  const int64_t* shape;
  const int64_t* strides;  // in elements; null: contiguous
  uint64_t byte_offset;
};

constexpr int kCpu = 1;
constexpr int kPinnedHostMemory = 3;

DType element_type(DLDataType type) {
  const int code = type.code;
  const int bits = type.bits;
  check_argument(type.lanes == 1, "expected scalar elements, got vectors of ", type.lanes);
  const auto of_bits = [&](DType b8, DType b16, DType b32, DType b64) {
    return bits == 8    ? b8
           : bits == 16 ? b16
           : bits == 32 ? b32
           : bits == 64 ? b64
                        : DType::undefined;
  };
  DType dtype = DType::undefined;
  switch (code) {
    case 0:
      dtype = of_bits(DType::int8, DType::int16, DType::int32, DType::int64);
      break;
    case 1:
      dtype = of_bits(DType::uint8, DType::uint16, DType::uint32, DType::uint64);
      break;
    case 2:
      dtype = of_bits(DType::undefined, DType::float16, DType::float32, DType::float64);
      break;
    case 4:
      dtype = of_bits(DType::undefined, DType::bfloat16, DType::undefined, DType::undefined);
      break;
    case 5:
      if (bits == 64) dtype = DType::complex64;
      if (bits == 128) dtype = DType::complex128;
      break;
    case 6:
      if (bits == 8) dtype = DType::boolean;
      break;
    case 10:
      dtype = DType::float8e4m3fn;
      break;
    case 11:
      dtype = DType::float8e4m3fnuz;
      break;
    case 12:
      dtype = DType::float8e5m2;
      break;
    case 13:
      dtype = DType::float8e5m2fnuz;
      break;
    case 14:
      dtype = DType::float8e8m0;
      break;
    default:
      break;
  }
  check_argument(dtype != DType::undefined, "DLPack element type ", code, " of ", bits,
                 " bits is not an ONNX type");
  return dtype;
}

}  // namespace

py::array array_of_dlpack(py::handle value) {
  const auto device = value.attr("__dlpack_device__")().cast<std::pair<int, int>>().first;
  check_argument(device == kCpu || device == kPinnedHostMemory,
                 "expected memory of the host, got DLPack device type ", device);
  const auto capsule = py::reinterpret_borrow<py::capsule>(value.attr("__dlpack__")());
  // The structure begins with the tensor. Left unconsumed, the capsule frees it in the end.
  const auto* tensor =
      static_cast<const DLTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  if (!tensor) throw py::error_already_set();
  const DType dtype = element_type(tensor->dtype);
  const auto bytes = static_cast<py::ssize_t>(item_size(dtype));
  std::vector<py::ssize_t> shape(tensor->shape, tensor->shape + tensor->ndim);
  std::vector<py::ssize_t> strides;
  for (int i = 0; tensor->strides && i < tensor->ndim; ++i) {
    strides.push_back(static_cast<py::ssize_t>(tensor->strides[i]) * bytes);
  }
  const char* data = static_cast<const char*>(tensor->data) + tensor->byte_offset;
  return py::array(numpy_dtype(dtype), std::move(shape), std::move(strides), data, capsule);
}

}  // namespace sdx::bindings
