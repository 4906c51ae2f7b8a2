"""Types as ONNX Runtime spells them: 'tensor(float)', 'seq(map(int64,tensor(float)))'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# By the number of the element type in TensorProto.DataType: Sardonyx' name, ONNX Runtime's.
_NAMES = {
    1: ("float32", "float"),
    2: ("uint8", "uint8"),
    3: ("int8", "int8"),
    4: ("uint16", "uint16"),
    5: ("int16", "int16"),
    6: ("int32", "int32"),
    7: ("int64", "int64"),
    8: ("string", "string"),
    9: ("bool", "bool"),
    10: ("float16", "float16"),
    11: ("float64", "double"),
    12: ("uint32", "uint32"),
    13: ("uint64", "uint64"),
    14: ("complex64", "complex64"),
    15: ("complex128", "complex128"),
    16: ("bfloat16", "bfloat16"),
    17: ("float8_e4m3fn", "float8e4m3fn"),
    18: ("float8_e4m3fnuz", "float8e4m3fnuz"),
    19: ("float8_e5m2", "float8e5m2"),
    20: ("float8_e5m2fnuz", "float8e5m2fnuz"),
    21: ("uint4", "uint4"),
    22: ("int4", "int4"),
    23: ("float4_e2m1fn", "float4e2m1"),
    24: ("float8_e8m0fnu", "float8e8m0"),
    25: ("uint2", "uint2"),
    26: ("int2", "int2"),
    27: ("float6_e2m3fn", "float6e2m3"),
    28: ("float6_e3m2fn", "float6e3m2"),
}
_SPELLED = dict(_NAMES.values())
NUMBERS = {ours: number for number, (ours, _) in _NAMES.items()}
STRING = 8
# NumPy has no such types; ONNX Runtime shows their bytes.
SHOWN_AS_BYTES = {17, 18, 19, 20, 24}


def dtype_of_number(number: int) -> np.dtype[Any]:
    """The NumPy or ml_dtypes type of TensorProto.DataType's `number`; object for strings."""
    if number not in _NAMES:
        raise RuntimeError(f"Unsupported ONNX element type: {number}")
    name = _NAMES[number][0]
    if number == STRING:
        return np.dtype(object)
    if name in np.sctypeDict:
        return np.dtype(name)
    import ml_dtypes  # takes longer to import than most models to load

    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype


def dtype_of_tensor(spelled: str) -> np.dtype[Any] | None:
    """The element type of 'tensor(float)'; None of what is no tensor."""
    for number, (_, name) in _NAMES.items():
        if spelled == f"tensor({name})":
            return dtype_of_number(number)
    return None


def number_of_dtype(dtype: np.dtype[Any]) -> int:
    """The number in TensorProto.DataType of an array's type, 0 where it has none."""
    if dtype.kind in "OUST":
        return STRING
    return NUMBERS.get(dtype.name, 0)


def spell(declared: str) -> str:
    """'sequence(map(int64, float32[]))' as 'seq(map(int64,tensor(float)))'."""
    word = declared
    for i, letter in enumerate(declared):
        if letter in "([,":
            word = declared[:i]
            break
    inside = declared[len(word) + 1 : -1]
    if word == "sequence":
        return f"seq({spell(inside)})"
    if word == "optional":
        return f"optional({spell(inside)})"
    if word == "map":
        key, _, value = inside.partition(", ")
        return f"map({key},{spell(value)})"
    if word.startswith("sparse "):
        return f"sparse_tensor({_SPELLED.get(word[7:], word[7:])})"
    return f"tensor({_SPELLED.get(word, word)})"


def spell_dtype(dtype: np.dtype[Any]) -> str:
    """'tensor(float)' of an array's type."""
    number = number_of_dtype(dtype)
    return f"tensor({_NAMES[number][1]})" if number else f"tensor({dtype})"


def spell_value(value: Any) -> str:
    """The type of what a run takes or returns."""
    if value is None:
        return "optional"
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[0], np.ndarray):
        return f"sparse_{spell_dtype(value[0].dtype)}"
    if isinstance(value, list | tuple):
        return f"seq({spell_value(value[0]) if value else 'tensor(float)'})"
    if isinstance(value, Mapping):
        key, item = next(iter(value.items()), ("", 0.0))
        kind = "string" if isinstance(key, str) else "int64"
        return f"map({kind},{'tensor(float)' if isinstance(item, float) else spell_value(item)})"
    return spell_dtype(np.asarray(value).dtype)


def dims_in(declared: str) -> list[int | str | None]:
    """The dimensions in 'optional(float32[?, batch, 2])'; nothing where none are said."""
    _, _, inside = declared.partition("[")
    words = [word for word in inside.partition("]")[0].split(", ") if word not in ("", "...")]
    return [None if w == "?" else int(w) if w.isdigit() else w for w in words]


def shown(array: Array) -> Array:
    """An array as ONNX Runtime hands it out: 8-bit floats as their bytes."""
    if number_of_dtype(array.dtype) in SHOWN_AS_BYTES:
        return array.view(np.uint8)
    return array
