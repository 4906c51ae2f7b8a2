"""What is wrong with the values a run is given, in ONNX Runtime's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sardonyx.compat.onnxruntime import types
from sardonyx.compat.onnxruntime.errors import InvalidArgument

if TYPE_CHECKING:
    from sardonyx.compat.onnxruntime.session import NodeArg

_TEXT = "tensor(string)"


def make_text(arguments: Iterable[NodeArg], feeds: dict[str, Any]) -> bool:
    """Turns objects that are fed for text into text, as ONNX Runtime does; whether any are."""
    changed = False
    for arg in arguments:
        value = feeds.get(arg.name)
        if arg.type != _TEXT or not isinstance(value, np.ndarray):
            continue
        if value.dtype.kind == "V" and value.dtype.fields is None:
            items: list[Any] = [v.tobytes() for v in value.flat]
        elif value.dtype == object and not all(isinstance(v, str | bytes) for v in value.flat):
            items = [v if isinstance(v, str | bytes) else str(v) for v in value.flat]
        else:
            continue
        feeds[arg.name] = np.array(items, object).reshape(value.shape)
        changed = True
    return changed


def make_maps(arguments: Iterable[NodeArg], feeds: dict[str, Any]) -> bool:
    """Makes floats of the numbers in dicts that are fed for maps; refuses what is no number."""
    changed = False
    for arg in arguments:
        value = feeds.get(arg.name)
        if not (arg.type.startswith("map(") and isinstance(value, Mapping)):
            continue
        is_text = isinstance(next(iter(value), None), str)
        link = (
            f"it cannot be linked to C type {'string' if is_text else 'int64_t'} "
            f"for input '{arg.name}'."
        )
        for key, item in value.items():
            if not is_text and not isinstance(key, int | np.integer):
                raise RuntimeError(f"Unexpected key type  {type(key)}, {link}")
            if not isinstance(item, int | float | np.number | np.bool_):
                raise RuntimeError(f"Unexpected value type  {type(item)}, {link}")
        if not all(isinstance(item, float) for item in value.values()):
            feeds[arg.name] = {key: float(item) for key, item in value.items()}
            changed = True
    return changed


def make_arrays(arguments: Iterable[NodeArg], feeds: dict[str, Any]) -> bool:
    """Makes arrays of the declared type of lists that are fed for tensors, as ONNX Runtime does."""
    changed = False
    for arg in arguments:
        value = feeds.get(arg.name)
        dtype = types.dtype_of_tensor(arg.type)
        if isinstance(value, list) and dtype is not None:
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                feeds[arg.name] = np.array(value, dtype)
                changed = True
    return changed


def make_scalars(names: Iterable[str], feeds: dict[str, Any]) -> bool:
    """Takes arrays of one element for scalars, whose shape ONNX Runtime does not check."""
    changed = False
    for name in names:
        value = feeds.get(name)
        if isinstance(value, np.ndarray) and value.ndim > 0 and value.size == 1:
            feeds[name] = value.reshape(())
            changed = True
    return changed


def check_names(
    arguments: Iterable[NodeArg],
    outputs: Iterable[NodeArg],
    feeds: Mapping[str, Any],
    output_names: Iterable[str] | None,
) -> None:
    """Raises InvalidArgument where a name is not one of the model's."""
    inputs = {arg.name for arg in arguments}
    for name in feeds:
        if name not in inputs:
            raise InvalidArgument.of(f"Invalid input name: {name}")
    known = {arg.name for arg in outputs}
    for name in output_names or ():
        if name not in known:
            raise InvalidArgument.of(f"Invalid output name:{name}")


def check_maps(arguments: Iterable[NodeArg], feeds: Mapping[str, Any]) -> None:
    """Raises InvalidArgument for dicts, which ONNX Runtime takes for maps to floats only."""
    for arg in arguments:
        value = feeds.get(arg.name)
        if isinstance(value, Mapping):
            raise InvalidArgument.of(_other_type(dict.fromkeys(value, 0.0), arg))


def check_feeds(arguments: Iterable[NodeArg], feeds: Mapping[str, Any]) -> None:
    """Raises InvalidArgument where a value has not the type and shape that is declared."""
    known = {arg.name: arg for arg in arguments}
    for name, value in feeds.items():
        message = _misfit(known[name], value)
        if message:
            raise InvalidArgument.of(message)


def _other_type(value: Any, arg: NodeArg) -> str:
    actual = types.spell_value(value)
    return f"Unexpected input data type. Actual: (({actual})) , expected: (({arg.type}))"


def _misfit(arg: NodeArg, value: Any) -> str:
    if value is None:
        return ""
    is_array = isinstance(value, np.ndarray)
    actual = types.spell_value(value)
    holds_tensor = arg.type.removeprefix("optional(").startswith("tensor(")
    if is_array and not holds_tensor:
        expected = f"input with name: '{arg.name}' expected to be of type: {arg.type}"
        return f"{expected} but received a tensor"
    if holds_tensor and actual not in arg.type:
        return f"Unexpected input data type. Actual: ({actual}) , expected: ({arg.type})"
    if not is_array:
        if holds_tensor or actual == arg.type:
            return ""
        return _other_type(value, arg)
    if len(arg.shape) != value.ndim:
        return (
            f"Invalid rank for input: {arg.name} Got: {value.ndim} Expected: {len(arg.shape)} "
            "Please fix either the inputs/outputs or the model."
        )
    wrong = [
        f" index: {i} Got: {got} Expected: {expected}\n"
        for i, (got, expected) in enumerate(zip(value.shape, arg.shape, strict=True))
        if isinstance(expected, int) and got != expected
    ]
    if wrong:
        return (
            f"Got invalid dimensions for input: {arg.name} for the following indices\n"
            f"{''.join(wrong)} Please fix either the inputs/outputs or the model."
        )
    return ""
