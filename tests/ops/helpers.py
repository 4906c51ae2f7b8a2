"""Checks of one operator through the public API: a case is one line against a reference.

`check_op` builds one-node models in three forms (declared shapes, symbolic shapes, and all inputs
but the first as constants), runs each and compares. Tolerances live here, in one table.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import sardonyx

DEFAULT_OPSETS = {"": 26, "ai.onnx.ml": 5, "com.microsoft": 1}

# (relative to the element, relative to the largest element of the reference).
TOLERANCES = {
    "float64": (1e-12, 1e-14),
    "float32": (1e-5, 3e-7),
    "float16": (2e-3, 1e-3),
    "bfloat16": (1.6e-2, 8e-3),
    "complex64": (1e-5, 3e-7),
    "complex128": (1e-12, 1e-14),
    "float8_e4m3fn": (0.13, 0),
    "float8_e4m3fnuz": (0.13, 0),
    "float8_e5m2": (0.26, 0),
    "float8_e5m2fnuz": (0.26, 0),
}

REFERENCE_OPSET_OF_ORT = 23


def tolerance(dtype: np.dtype, length: int = 1) -> tuple[float, float]:
    """What one value may differ by; `length` is how many products or terms it sums up."""
    rtol, scaled = TOLERANCES.get(dtype.name, (0.0, 0.0))
    return rtol, scaled * float(np.sqrt(length))


def randn(*shape: int, dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    """Normal values that depend only on the arguments."""
    rng = np.random.default_rng([seed, *shape])
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def randint(low: int, high: int, *shape: int, dtype: Any = np.int64, seed: int = 0) -> np.ndarray:
    """Integers low <= value < high that depend only on the arguments."""
    rng = np.random.default_rng([seed, *shape])
    return np.asarray(rng.integers(low, high, shape)).astype(dtype)


def in_threads(work: Callable[[int], None], count: int = 8) -> None:
    """Calls `work` with 0, 1, ... in as many threads at once, and waits for all."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))  # raises what they raise


def is_text(array: np.ndarray) -> bool:
    return array.dtype.kind in "OUST"


def _as_value(value: Any) -> Any:
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, list):
        return [_as_value(item) for item in value]
    return np.asarray(value)


def _elem_type(array: np.ndarray) -> int:
    return TensorProto.STRING if is_text(array) else helper.np_dtype_to_tensor_dtype(array.dtype)


def _type_of(value: Any, shape: Sequence[int | str] | None) -> onnx.TypeProto:
    if isinstance(value, dict):
        keys = np.asarray(list(value))
        items = np.asarray(list(value.values()))
        tensor = helper.make_tensor_type_proto(_elem_type(items), [])
        return helper.make_map_type_proto(_elem_type(keys), tensor)
    if isinstance(value, list):
        element = _type_of(value[0], None) if value else _type_of(np.zeros(0, np.float32), None)
        return helper.make_sequence_type_proto(element)
    return helper.make_tensor_type_proto(_elem_type(value), shape)


def _attribute(name: str, value: Any) -> onnx.AttributeProto:
    if isinstance(value, np.ndarray):
        value = numpy_helper.from_array(value)
    if isinstance(value, bool | np.bool_ | np.integer):
        value = int(value)
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, list) and not value:
        return helper.make_attribute(name, value, attr_type=onnx.AttributeProto.INTS)
    return helper.make_attribute(name, value)


def make_model(
    op_type: str,
    inputs: Sequence[Any],
    *,
    domain: str = "",
    opset: int | None = None,
    outputs: int | Sequence[str] = 1,
    constants: Sequence[int] = (),
    symbolic: bool = False,
    attrs: dict[str, Any] | None = None,
) -> onnx.ModelProto:
    """A model of one node named 'node' over x0, x1, ... -> y0, y1, ...; None leaves an input out,
    an empty name in `outputs` an output."""
    opset = opset or DEFAULT_OPSETS.get(domain, 1)
    names = ["" if value is None else f"x{i}" for i, value in enumerate(inputs)]
    while names and not names[-1]:
        names.pop()
    wanted = [f"y{i}" for i in range(outputs)] if isinstance(outputs, int) else list(outputs)
    infos, initializers = [], []
    for i, (name, value) in enumerate(zip(names, inputs, strict=False)):
        if not name:
            continue
        if i in constants:
            initializers.append(numpy_helper.from_array(value, name))
            continue
        shape: Sequence[int | str] | None = None
        if isinstance(value, np.ndarray):
            shape = [f"n{i}_{j}" for j in range(value.ndim)] if symbolic else list(value.shape)
        infos.append(helper.make_value_info(name, _type_of(value, shape)))
    node = helper.make_node(op_type, names, wanted, name="node", domain=domain)
    node.attribute.extend(_attribute(k, v) for k, v in (attrs or {}).items() if v is not None)
    results = [onnx.ValueInfoProto(name=name) for name in wanted if name]
    graph = helper.make_graph([node], "case", infos, results, initializers)
    opsets = {"": DEFAULT_OPSETS[""]} | {domain: opset}
    imports = [helper.make_opsetid(d, v) for d, v in opsets.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def _forms(
    op_type: str, inputs: Sequence[Any], options: dict[str, Any]
) -> Iterator[tuple[str, onnx.ModelProto, dict[str, Any]]]:
    feeds = {f"x{i}": value for i, value in enumerate(inputs) if value is not None}
    yield "declared shapes", make_model(op_type, inputs, **options), feeds
    tensors = [i for i, value in enumerate(inputs) if isinstance(value, np.ndarray)]
    if any(inputs[i].ndim for i in tensors):
        yield "symbolic shapes", make_model(op_type, inputs, symbolic=True, **options), feeds
    constants = [i for i in tensors if i > 0]
    if constants:
        fed = {name: value for name, value in feeds.items() if int(name[1:]) not in constants}
        yield "constants", make_model(op_type, inputs, constants=constants, **options), fed


def compare(
    expected: Any,
    actual: Any,
    where: str,
    *,
    length: int = 1,
    wide: bool = False,
    limits: tuple[float, float] | None = None,
) -> None:
    """Asserts that `actual` is `expected`: container, element type, shape, values.

    wide:   allows a float64 reference for a narrower float
    limits: the relative and absolute tolerance of a suite that brings its own
    """
    options: dict[str, Any] = {"length": length, "wide": wide, "limits": limits}
    if expected is None:
        assert actual is None, f"{where}: expected nothing, got {type(actual).__name__}"
        return
    if isinstance(expected, list | tuple):
        assert isinstance(actual, list), f"{where}: expected a list, got {type(actual).__name__}"
        assert len(actual) == len(expected), f"{where}: {len(actual)} items, not {len(expected)}"
        for i, (e, a) in enumerate(zip(expected, actual, strict=True)):
            compare(e, a, f"{where}[{i}]", **options)
        return
    if isinstance(expected, dict):
        assert isinstance(actual, dict), f"{where}: expected a dict, got {type(actual).__name__}"
        assert list(expected) == list(actual), f"{where}: keys {list(actual)}, not {list(expected)}"
        keys, values = list(expected), np.asarray(list(expected.values()))
        items = np.asarray([actual[key] for key in keys]).astype(values.dtype)  # Python numbers
        compare(values, items, f"{where} values", **options)
        return
    e, a = np.asarray(expected), np.asarray(actual)
    assert a.shape == e.shape, f"{where}: shape {a.shape}, expected {e.shape}"
    if is_text(e):
        assert is_text(a), f"{where}: {a.dtype}, expected strings"
        assert a.astype(str).tolist() == e.astype(str).tolist(), where
        return
    narrowed = wide and e.dtype == np.float64
    assert a.dtype == e.dtype or narrowed, f"{where}: {a.dtype}, expected {e.dtype}"
    kind = np.complex128 if e.dtype.kind == "c" else np.float64
    if a.dtype.kind in "biu" and np.array_equal(a, e):
        return
    rtol, scaled = limits or tolerance(a.dtype, length)
    if not rtol and not scaled:
        np.testing.assert_array_equal(a.astype(kind), e.astype(kind), err_msg=where)
        return
    e, a = e.astype(kind), a.astype(kind)
    finite = np.abs(e[np.isfinite(e)])
    largest = float(finite.max()) if finite.size else 0.0
    atol = scaled if limits else scaled * (largest or 1.0)
    np.testing.assert_allclose(a, e, rtol=rtol, atol=atol, err_msg=where)


def _reference(ref: Any, model: onnx.ModelProto, feeds: dict, inputs: Sequence, attrs: dict) -> Any:
    if callable(ref):
        accepted = inspect.signature(ref).parameters
        every = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
        return ref(*inputs, **{k: v for k, v in attrs.items() if every or k in accepted})
    if isinstance(ref, str) and ref == "ort":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        data = model.SerializeToString()
        return tuple(onnxruntime.InferenceSession(data, options).run(None, feeds))
    if ref is None:
        from onnx.reference import ReferenceEvaluator

        return tuple(ReferenceEvaluator(model).run(None, feeds))
    return ref


def check_op(
    op_type: str,
    *inputs: Any,
    ref: Callable[..., Any] | Any = None,
    domain: str = "",
    opset: int | None = None,
    outputs: int | Sequence[str] = 1,
    length: int = 1,
    **attrs: Any,
) -> None:
    """Runs the operator in every form of model and compares it with the reference.

    inputs:  arrays; lists are sequences, dicts maps; None leaves an optional input out
    ref:     the outputs (a tuple where there are several; a list is a sequence), or a function of
             the inputs and of those attributes it takes by name, or "ort" for onnxruntime;
             without one, onnx.reference
    outputs: how many, or their names with "" for one that is left out
    length:  how many terms one result sums up; it widens the tolerance by its square root
    """
    values = [_as_value(value) for value in inputs]
    options: dict[str, Any] = {
        "domain": domain,
        "opset": opset,
        "outputs": outputs,
        "attrs": attrs,
    }
    oracle = options | (
        {"opset": opset or REFERENCE_OPSET_OF_ORT} if isinstance(ref, str) and not domain else {}
    )
    feeds = {f"x{i}": value for i, value in enumerate(values) if value is not None}
    expected = _reference(ref, make_model(op_type, values, **oracle), feeds, values, attrs)
    results = expected if isinstance(expected, tuple) else (expected,)
    wide = not any(isinstance(v, np.ndarray) and v.dtype == np.float64 for v in values)
    for form, model, fed in _forms(op_type, values, options):
        where = f"{op_type} with {form}"
        actual = sardonyx.load(model).run(None, fed)
        assert len(actual) == len(results), f"{where}: {len(actual)} outputs, not {len(results)}"
        for i, (e, a) in enumerate(zip(results, actual, strict=True)):
            compare(e, a, f"{where}: output {i}", length=length, wide=wide)


def run_op(op_type: str, *inputs: Any, **options: Any) -> Any:
    """The outputs of the operator over declared shapes, for checks `check_op` cannot state."""
    known = {k: options.pop(k) for k in ("domain", "opset", "outputs") if k in options}
    values = [_as_value(value) for value in inputs]
    model = make_model(op_type, values, attrs=options, **known)
    feeds = {f"x{i}": value for i, value in enumerate(values) if value is not None}
    results = sardonyx.load(model).run(None, feeds)
    return results[0] if len(results) == 1 else tuple(results)


def expect_error(
    op_type: str,
    *inputs: Any,
    match: str,
    error: type[Exception] = sardonyx.Error,
    domain: str = "",
    opset: int | None = None,
    outputs: int | Sequence[str] = 1,
    **attrs: Any,
) -> None:
    """Asserts that every form of the model is refused, at load or in the run, in these words
    (a regular expression)."""
    values = [_as_value(value) for value in inputs]
    options = {"domain": domain, "opset": opset, "outputs": outputs, "attrs": attrs}
    for _, model, fed in _forms(op_type, values, options):
        with pytest.raises(error, match=match):
            sardonyx.load(model).run(None, fed)
