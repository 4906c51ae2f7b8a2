"""OrtValue and SparseTensor: what a run takes and returns, with its type."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from sardonyx.compat.onnxruntime import dlpack, types
from sardonyx.compat.onnxruntime.devices import OrtDevice, OrtMemoryInfo, require_cpu
from sardonyx.compat.onnxruntime.enums import OrtSparseFormat
from sardonyx.compat.onnxruntime.types import Array

_BOOL_NAMES = ("bool", "bool_", "torch.bool")


def element_dtype(element_type: Any) -> np.dtype[Any]:
    """The type of elements given as a NumPy type or a number of TensorProto.DataType."""
    if isinstance(element_type, int) and not isinstance(element_type, bool):
        return types.dtype_of_number(int(element_type))
    dtype = np.dtype(element_type)
    return np.dtype(object) if dtype.kind in "UST" else dtype


def array_at(pointer: int, shape: Sequence[int], element_type: Any) -> Array:
    """The memory at an address as an array; the caller keeps it alive."""
    dtype = element_dtype(element_type)
    if dtype.kind == "O":
        raise RuntimeError("Only binding of non-string Tensors is currently supported")
    count = int(np.prod([int(dim) for dim in shape], dtype=np.int64))
    if count == 0:
        return np.empty(tuple(shape), dtype)
    memory = (ctypes.c_byte * (count * dtype.itemsize)).from_address(int(pointer))
    array: Array = np.ctypeslib.as_array(memory).view(dtype).reshape(tuple(shape))
    return array


def _read_only(array: Array) -> Array:
    view: Array = array.view()
    view.flags.writeable = False
    return view


class SparseTensor:
    """A sparse tensor in coordinates or in compressed rows."""

    def __init__(
        self, values: Any, shape: Any = (), indices: Any = None, outer: Any = None
    ) -> None:
        if isinstance(values, SparseTensor):
            values, shape, indices, outer = values._parts()
        self._values = np.asarray(values)
        self._shape = np.asarray(shape, np.int64)
        self._indices = np.asarray(indices, np.int64)
        self._outer = None if outer is None else np.asarray(outer, np.int64)

    def _parts(self) -> tuple[Array, Array, Array, Array | None]:
        return self._values, self._shape, self._indices, self._outer

    @classmethod
    def sparse_coo_from_numpy(
        cls, dense_shape: Any, values: Any, coo_indices: Any, ort_device: OrtDevice
    ) -> SparseTensor:
        return cls(values, dense_shape, coo_indices)

    @classmethod
    def sparse_csr_from_numpy(
        cls,
        dense_shape: Any,
        values: Any,
        inner_indices: Any,
        outer_indices: Any,
        ort_device: OrtDevice,
    ) -> SparseTensor:
        return cls(values, dense_shape, inner_indices, outer_indices)

    def values(self) -> Array:
        return self._values if self._values.dtype.kind in "OUST" else _read_only(self._values)

    def as_coo_view(self) -> Coordinates:
        if self._outer is not None:
            raise RuntimeError("This sparse tensor does not contain COO format")
        return Coordinates(_read_only(self._indices))

    def as_csrc_view(self) -> CompressedRows:
        if self._outer is None:
            raise RuntimeError("This sparse tensor does not contain CSR(C) format")
        return CompressedRows(_read_only(self._indices), _read_only(self._outer))

    def as_blocksparse_view(self) -> Any:
        raise RuntimeError("This sparse tensor does not contain block sparse format")

    def to_cuda(self, ort_device: OrtDevice) -> SparseTensor:
        raise RuntimeError("Sardonyx runs on the CPU")

    def format(self) -> OrtSparseFormat:
        if self._outer is None:
            return OrtSparseFormat.ORT_SPARSE_COO
        return OrtSparseFormat.ORT_SPARSE_CSRC

    def dense_shape(self) -> list[int]:
        return [int(dim) for dim in self._shape]

    def data_type(self) -> str:
        return f"sparse_{types.spell_dtype(self._values.dtype)}"

    def device_name(self) -> str:
        return "cpu"

    def _get_c_tensor(self) -> SparseTensor:
        return self

    def _feed(self) -> tuple[Array, Array, tuple[int, ...]]:
        """As the session takes it: values, indices, shape."""
        indices = self._indices
        if self._outer is not None:
            rows = np.repeat(np.arange(len(self._outer) - 1), np.diff(self._outer))
            indices = np.stack([rows, self._indices], axis=1)
        return self._values, indices, tuple(self.dense_shape())


class Coordinates:
    """The indices of a sparse tensor's elements."""

    def __init__(self, indices: Array) -> None:
        self._indices = indices

    def indices(self) -> Array:
        return self._indices


class CompressedRows:
    """The column of each element, and where each row begins."""

    def __init__(self, inner: Array, outer: Array) -> None:
        self._inner, self._outer = inner, outer

    def inner(self) -> Array:
        return self._inner

    def outer(self) -> Array:
        return self._outer


class OrtValue:
    """A tensor, sequence, map, sparse tensor or nothing. Tensors share memory with their array."""

    __slots__ = ("_declared", "_value")

    def __init__(self, ortvalue: Any, numpy_obj: Any = None, session: Any = None) -> None:
        if not isinstance(ortvalue, OrtValue):
            raise ValueError(
                "`Provided ortvalue` needs to be of type "
                "`onnxruntime.capi.onnxruntime_pybind11_state.OrtValue`"
            )
        self._value: Any = ortvalue._value
        self._declared: str = ortvalue._declared

    @classmethod
    def _of(cls, value: Any, declared: str = "") -> OrtValue:
        made = object.__new__(cls)
        made._value = value
        made._declared = declared
        return made

    @classmethod
    def ortvalue_from_numpy(
        cls, numpy_obj: Any, /, device_type: Any = "cpu", device_id: int = 0, vendor_id: int = -1
    ) -> OrtValue:
        if isinstance(device_type, str):
            require_cpu(device_type)
        if not isinstance(numpy_obj, np.ndarray) or not types.number_of_dtype(numpy_obj.dtype):
            raise RuntimeError(
                "Creation of OrtValues is currently only supported from numpy arrays of a type "
                f"that ONNX has, got {getattr(numpy_obj, 'dtype', type(numpy_obj).__name__)}"
            )
        if numpy_obj.flags.c_contiguous:
            return cls._of(numpy_obj)
        return cls._of(np.ascontiguousarray(numpy_obj))

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(cls, data: Array, /, onnx_element_type: int) -> OrtValue:
        dtype = types.dtype_of_number(int(onnx_element_type))
        if dtype.itemsize != data.dtype.itemsize or dtype.kind == "O":
            raise RuntimeError(f"elements of {data.dtype} cannot be taken for {dtype}")
        return cls._of(np.ascontiguousarray(data).view(dtype))

    @classmethod
    def ortvalue_from_shape_and_type(
        cls,
        shape: Sequence[int],
        element_type: Any,
        device_type: Any = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
        memory_info: OrtMemoryInfo | None = None,
    ) -> OrtValue:
        if isinstance(device_type, str):
            require_cpu(device_type)
        return cls._of(np.zeros(tuple(int(dim) for dim in shape), element_dtype(element_type)))

    @classmethod
    def ortvalue_from_shape_and_onnx_type(
        cls, shape: Sequence[int], element_type: int, device: Any = None
    ) -> OrtValue:
        return cls.ortvalue_from_shape_and_type(shape, element_type)

    @classmethod
    def ort_value_from_sparse_tensor(cls, sparse_tensor: SparseTensor) -> OrtValue:
        return cls._of(sparse_tensor)

    @classmethod
    def from_dlpack(cls, data: Any, /, is_bool_tensor: bool = False) -> OrtValue:
        """Shares the memory of an object with `__dlpack__`, or of a capsule."""
        if isinstance(data, OrtValue):
            return cls(data)
        dtype = getattr(data, "dtype", None)
        is_bool = is_bool_tensor or getattr(dtype, "name", str(dtype)) in _BOOL_NAMES
        array = dlpack.take(data)
        return cls._of(array.view(np.bool_) if is_bool and array.dtype != np.bool_ else array)

    def _array(self) -> Array:
        if not isinstance(self._value, np.ndarray):
            raise RuntimeError(
                "Only OrtValues that are Tensors are convertible to Numpy objects, "
                f"this one is {self.data_type()}"
            )
        return self._value

    @property
    def _ortvalue(self) -> OrtValue:
        return self

    def _get_c_value(self) -> OrtValue:
        return self

    def _feed(self) -> Any:
        return self._value._feed() if isinstance(self._value, SparseTensor) else self._value

    def as_sparse_tensor(self) -> SparseTensor:
        if not isinstance(self._value, SparseTensor):
            raise RuntimeError(f"this OrtValue holds no sparse tensor, but {self.data_type()}")
        return self._value

    def data_ptr(self) -> int:
        return self._array().ctypes.data

    def device_name(self) -> str:
        return "cpu"

    def shape(self) -> list[int]:
        if isinstance(self._value, SparseTensor):
            return self._value.dense_shape()
        return list(self._array().shape)

    def data_type(self) -> str:
        if isinstance(self._value, SparseTensor):
            return self._value.data_type()
        if self._value is None or isinstance(self._value, list | dict):
            return self._declared or types.spell_value(self._value)
        return types.spell_value(self._value)

    def element_type(self) -> int:
        return types.number_of_dtype(self._array().dtype)

    def tensor_size_in_bytes(self) -> int:
        return self._array().nbytes

    def has_value(self) -> bool:
        return self._value is not None

    def is_tensor(self) -> bool:
        return isinstance(self._value, np.ndarray)

    def is_sparse_tensor(self) -> bool:
        return isinstance(self._value, SparseTensor)

    def is_tensor_sequence(self) -> bool:
        return isinstance(self._value, list) and "map(" not in self.data_type()

    def numpy(self) -> Array:
        return types.shown(self._array())

    def update_inplace(self, data: Any) -> None:
        array = np.asarray(data._array() if isinstance(data, OrtValue) else data)
        if array.size != self._array().size:
            raise RuntimeError(
                "The input size of numpy arrays does not match the size of the OrtValue."
            )
        np.copyto(self._array(), array.reshape(self._array().shape), casting="no")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        if copy:
            return np.array(array, dtype=dtype)
        return np.asarray(array, dtype=dtype)

    def __dlpack__(self, **_: Any) -> Any:
        return dlpack.export(self._array())

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def to_dlpack(self) -> Any:
        return self.__dlpack__()


class OrtValueVector(list[OrtValue]):
    """A list of OrtValues with the methods of ONNX Runtime's own kind of list."""

    def push_back(self, value: OrtValue) -> None:
        self.append(value)

    def push_back_batch(
        self,
        tensors: Sequence[Any],
        data_ptrs: Sequence[int],
        element_types: Sequence[Any],
        shapes: Sequence[Sequence[int]],
        devices: Sequence[Any],
    ) -> None:
        """Appends the memory at these addresses, which the tensors keep alive."""
        for pointer, element_type, shape in zip(data_ptrs, element_types, shapes, strict=True):
            self.append(OrtValue._of(array_at(pointer, shape, element_type)))

    def reserve(self, count: int) -> None:
        """Lists grow by themselves."""

    def shrink_to_fit(self) -> None:
        """Lists shrink by themselves."""

    def dlpack_at(self, index: int) -> Any:
        return self[index].to_dlpack()

    def to_dlpacks(self, to_tensor: Callable[[Any], Any] | None = None) -> list[Any]:
        """A capsule for each value, or what `to_tensor` makes of it."""
        capsules = [value.to_dlpack() for value in self]
        return capsules if to_tensor is None else [to_tensor(capsule) for capsule in capsules]

    def element_type_at(self, index: int) -> int:
        return self[index].element_type()

    def bool_tensor_indices(self) -> list[int]:
        return [i for i, value in enumerate(self) if value.data_type() == "tensor(bool)"]


def copy_tensors(src: Iterable[OrtValue], dst: Iterable[OrtValue], stream: Any = None) -> None:
    """Copies tensors into others of the same type and number of elements."""
    for source, destination in zip(src, dst, strict=True):
        destination.update_inplace(source)
