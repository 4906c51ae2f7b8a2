"""Operators that a program brings along: Python functions, libraries, functions of ONNX nodes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from sardonyx import _core

Function = TypeVar("Function", bound=Callable[..., Any])

_operators: dict[tuple[str, str], Any] = {}
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
    body = made.SerializeToString()
    # ModelProto.functions, the one field of a model.
    _functions[made.domain, made.name] = b"\xca\x01" + _varint(len(body)) + body


def load_operators(path: str | os.PathLike[str]) -> list[str]:
    """Loads a library of operators for models loaded from then on; returns their names.

    Such libraries are written in C++ with sardonyx/operator.hpp, or in C with sardonyx/operator.h.
    """
    loaded = _core.load_operators(os.fspath(path))
    for domain, name, held in loaded:
        _operators[domain, name] = held
    return [f"{domain}::{name}" for domain, name, _ in loaded]


def known_operators() -> list[Any]:
    """What these have been given, the latest of each name, as sessions take it."""
    return [*_operators.values(), *_functions.values()]


def _varint(number: int) -> bytes:
    low = bytearray()
    while number > 127:
        low.append(number & 127 | 128)
        number >>= 7
    return bytes([*low, number])
