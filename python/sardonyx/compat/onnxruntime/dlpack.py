"""DLPack capsules of the types that NumPy exchanges, and of those it does not."""

from __future__ import annotations

import ctypes
from typing import Any, cast

import numpy as np

from sardonyx.compat.onnxruntime.types import Array

# DLPack's codes for types of ml_dtypes.
_CODES = {
    "bfloat16": 4,
    "float8_e4m3fn": 10,
    "float8_e4m3fnuz": 11,
    "float8_e5m2": 12,
    "float8_e5m2fnuz": 13,
    "float8_e8m0fnu": 14,
}
_NAMES = {code: name for name, code in _CODES.items()}
_UNSIGNED = 1
_CODE_OFFSET = 20  # from the start of a DLManagedTensor

_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class _Capsule:
    """A bare DLPack capsule as np.from_dlpack wants it."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


class _Writable:
    """The memory of an array that NumPy says is constant, which old capsules cannot say."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self.__array_interface__ = {
            **array.__array_interface__,
            "data": (array.ctypes.data, False),
        }


def _code_of(capsule: Any) -> ctypes.c_uint8:
    return ctypes.c_uint8.from_address(_pointer_of(capsule, b"dltensor") + _CODE_OFFSET)


def export(array: Array) -> Any:
    """A capsule over the memory of the array."""
    code = _CODES.get(array.dtype.name)
    if code is not None:
        array = array.view(f"u{array.dtype.itemsize}")
    if not array.flags.writeable:
        array = np.asarray(_Writable(array))
    capsule = cast(Any, array).__dlpack__()
    if code is not None:
        _code_of(capsule).value = code
    return capsule


def take(data: Any) -> Array:
    """The memory of a capsule, or of an object that gives one, as an array."""
    if hasattr(data, "__dlpack__"):
        try:
            return np.from_dlpack(data)
        except (RuntimeError, BufferError):
            data = data.__dlpack__()
    code = _code_of(data)
    name = _NAMES.get(code.value)
    if name is None:
        return np.from_dlpack(_Capsule(data))
    import ml_dtypes  # takes longer to import than most models to load

    code.value = _UNSIGNED
    return np.from_dlpack(_Capsule(data)).view(getattr(ml_dtypes, name))
