"""Operators that a program brings along: Python functions, and functions of ONNX nodes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
Known = tuple[str, str, Callable[..., Any], Callable[..., Any] | None, bool]

_operators: dict[tuple[str, str], Known] = {}
_functions: dict[tuple[str, str], bytes] = {}


def op(
    domain: str, name: str, *, infer: Callable[..., Any] | None = None, pure: bool = False
) -> Callable[[Function], Function]:
    """Makes the decorated function the operator `domain::name` of models loaded from then on.

    The function gets NumPy arrays of its own (None for an input left out) by position and the
    attributes by name, and returns an array, or a tuple where there are several outputs. `infer` is
    called before a run with (dtype, shape) pairs in their place, and returns such pairs; dimensions
    are numbers, names or None. Without it the outputs have the first input's element type. A `pure`
    function may be called while a model loads, and not at all where nothing uses its results.

    >>> import numpy as np
    >>> @op("my.domain", "Twice")
    ... def twice(x, *, offset=0.0):
    ...     return 2 * x + np.float32(offset)
    """

    def register(function: Function) -> Function:
        _operators[domain, name] = (domain, name, function, infer, pure)
        return function

    return register


def function(text: str) -> None:
    """Makes a function of ONNX nodes known to models loaded from then on; needs the package onnx.

    function('''<opset_import: ["" : 20], domain: "my.domain">
        Shifted (x, y) => (z) { d = Sub (x, y)  z = Abs (d) }''')
    """
    try:
        from onnx import parser
    except ImportError:
        raise RuntimeError("functions as text need the package onnx: pip install onnx") from None
    made = parser.parse_function(text)
    _functions[made.domain, made.name] = made.SerializeToString()


def known_operators() -> list[Known]:
    """What `op` has been given, the latest of each name."""
    return list(_operators.values())


def with_functions(data: bytes) -> bytes:
    """A model's bytes with those functions that it may call: fields that follow are read too."""
    for (domain, name), body in _functions.items():
        if domain.encode() in data and name.encode() in data:
            data += b"\xca\x01" + _varint(len(body)) + body  # ModelProto.functions
    return data


def file_with_functions(path: str) -> bytes | None:
    """The same of a file; None where it can be read as it is."""
    if not _functions or not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        data = file.read()
    extended = with_functions(data)
    return None if extended is data else extended


def _varint(number: int) -> bytes:
    low = bytearray()
    while number > 127:
        low.append(number & 127 | 128)
        number >>= 7
    return bytes([*low, number])
