"""What fuzzing single nodes has found: each is one error now, and nothing outside memory."""

from __future__ import annotations

import contextlib
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from helpers import make_model, randn
from onnx import TensorProto, helper

import sardonyx
from sardonyx import InvalidModel, Unsupported


def run(op: str, *inputs: Any, opset: int = 21, **options: Any) -> list[np.ndarray]:
    """Every input is fed and its sizes are symbols: nothing is known when the model is loaded."""
    made = make_model(op, inputs, opset=opset, symbolic=True, **options)
    feeds = {f"x{i}": np.asarray(v) for i, v in enumerate(inputs) if v is not None}
    return sardonyx.load(made).run(None, feeds)


def as_constants(op: str, *inputs: Any, opset: int = 21, **options: Any) -> list[np.ndarray]:
    made = make_model(op, inputs, opset=opset, constants=range(1, len(inputs)), **options)
    return sardonyx.load(made).run(None, {"x0": np.asarray(inputs[0])})


LISTS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "Reshape by halves": ([randn(1, 3), np.float16(3)], {}),
    "Unsqueeze by bfloat16": ([randn(8), np.array([1, 2], ml_dtypes.bfloat16)], {}),
    "Slice by floats": ([randn(8), *[np.ones(1, np.float32)] * 4], {}),
    "Tile by floats": ([randn(1, 2, 1), np.ones(1, np.float32)], {}),
    "Pad by booleans": ([randn(2, 2), np.ones(4, bool)], {}),
    "ReduceLogSumExp by booleans": ([randn(2, 3), np.zeros(0, bool)], {}),
    "Split by more sizes than there are outputs": (
        [randn(8), np.ones(1000, np.int64)],
        {"outputs": 3},
    ),
    "Reshape to a thousand sizes": ([randn(8), np.full(1500, 2)], {}),
    "DFT along many axes": ([randn(2, 4, 2), np.int64(4), np.zeros(512, np.int64)], {}),
    "Squeeze to a scalar of two": ([randn(2), np.int64(3)], {}),
    "Squeeze of an axis that is longer": ([randn(2), np.array([0])], {}),
}


@pytest.mark.parametrize("given", [run, as_constants])
@pytest.mark.parametrize("name", LISTS)
def test_lists_of_the_wrong_kind(name: str, given: Any) -> None:
    inputs, options = LISTS[name]
    with pytest.raises(InvalidModel, match="'node'"):
        given(name.split()[0], *inputs, **options)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("name", ["strides", "dilations", "pads", "kernel_shape"])
def test_lists_shorter_than_constant_weights_have_axes(op: str, name: str) -> None:
    for axes in (2, 9):
        x, w = randn(1, 2, *[3] * axes), randn(2, 2, *[3] * 2, *[1] * (axes - 2))
        made = make_model(op, [x, w], constants=[1], attrs={name: [1]})
        made.graph.input[0].type.tensor_type.ClearField("shape")
        with pytest.raises(InvalidModel, match=f"'node'.*{name}"):
            sardonyx.load(made)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "QLinearConv"])
def test_more_groups_than_constant_weights_have_channels(op: str) -> None:
    x, w = randn(1, 2, 3, 3), randn(2, 1, 3, 3)
    given: list[Any] = [x, w]
    if op == "QLinearConv":
        scale, zero = np.float32(0.1), np.uint8(1)
        given = [x.astype(np.uint8), scale, zero, w.astype(np.uint8), scale, zero, scale, zero]
    made = make_model(op, given, constants=range(1, len(given)), attrs={"group": 2**63 - 1})
    made.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(InvalidModel, match=r"'node'.*channels in 9\d* groups"):
        sardonyx.load(made)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_scalar_is_not_resized(mode: str) -> None:
    for op, opset in (("Resize", 10), ("Upsample", 9)):
        for scales in (np.float32(2), np.ones((1, 8), np.float32), np.ones(1, np.float32)):
            with pytest.raises(InvalidModel, match="expected 0 scales"):
                run(op, randn(), scales, opset=opset, attrs={"mode": mode})


@pytest.mark.parametrize("opset", [6, 9, 14, 22])
@pytest.mark.parametrize("op", ["BatchNormalization", "InstanceNormalization"])
def test_parameters_that_are_left_out(op: str, opset: int) -> None:
    most = 5 if op == "BatchNormalization" else 3
    for missing in range(1, most):
        inputs: list[Any] = [randn(1, 3, 4, 4)] + [np.ones(3, np.float32)] * (most - 1)
        for i in (missing, slice(missing, most)):
            given = list(inputs)
            given[i] = None if isinstance(i, int) else [None] * (most - missing)
            for call in (run, as_constants):
                with pytest.raises(InvalidModel, match="'node'"):
                    call(op, *given, opset=opset)


@pytest.mark.parametrize(
    "op", ["Ceil", "Relu", "Softmax", "Transpose", "Cast", "Shape", "ReduceMax"]
)
def test_outputs_that_an_operator_does_not_have(op: str) -> None:
    attrs = {"to": 1} if op == "Cast" else {}
    for outputs in (["", "y"], ["y", "z"]):
        with pytest.raises(InvalidModel, match="the operator has no output 1"):
            run(op, randn(2, 3), outputs=outputs, attrs=attrs)


@pytest.mark.parametrize("shape", [(0, 3), (0, 8), (4, 3), (2, 6), (2, 1, 3), (2,)])
@pytest.mark.parametrize("place", [1, 2])
def test_factors_that_do_not_broadcast(shape: tuple[int, ...], place: int) -> None:
    inputs: list[Any] = [randn(2, 3), np.ones(3, np.float32), np.ones(3, np.float32)]
    inputs[place] = np.ones(shape, np.float32)
    for given in (run, as_constants):
        with pytest.raises(InvalidModel, match="'node'"):
            given("LayerNormalization", *inputs)


@pytest.mark.parametrize("op", ["GlobalLpPool", "GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_is_pooled(op: str, dtype: Any) -> None:
    with contextlib.suppress(InvalidModel):
        (result,) = run(op, np.zeros((2, 3, 0, 4), dtype))
        assert result.shape == (2, 3, 1, 1)


@pytest.mark.parametrize("op", ["MatMul", "Gemm", "Conv", "GRU", "LSTM", "RNN"])
def test_products_of_one(op: str) -> None:
    attributes = {"hidden_size": 3} if op in ("GRU", "LSTM", "RNN") else {}
    node = helper.make_node(op, ["x"], ["y"], name="node", **attributes)
    for shape in ([2, 2] if op in ("MatMul", "Gemm") else [2, 2, 2], None):
        info = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        graph = helper.make_graph([node], "graph", [info], [onnx.ValueInfoProto(name="y")])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        with pytest.raises(InvalidModel, match=r"'node'.*input 1 is missing"):
            sardonyx.load(made)


@pytest.mark.parametrize("place", [2, 3, 4])
def test_limits_of_another_type(place: int) -> None:
    limits: list[Any] = [np.array([3]), np.ones(1, np.float32), np.zeros(1, np.float32)]
    limits[place - 2] = np.zeros(1, np.int8)
    with pytest.raises(InvalidModel, match=f"'node'.*input {place}"):
        run("NonMaxSuppression", randn(1, 6, 4), randn(1, 1, 6), *limits)


def test_errors_may_repeat_any_bytes_of_the_file() -> None:
    with pytest.raises(InvalidModel, match="Einsum"):
        run("Einsum", randn(2), attrs={"equation": "ä"})


def test_shapes_that_numpy_does_not_have() -> None:
    node = helper.make_node("ConstantOfShape", ["s"], ["y"])
    info = helper.make_tensor_value_info("s", TensorProto.INT64, [None])
    graph = helper.make_graph([node], "graph", [info], [onnx.ValueInfoProto(name="y")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    loaded = sardonyx.load(made)
    for shape in ([0, 2**62], [1] * 100):
        with pytest.raises(Unsupported, match="NumPy has no arrays of shape"):
            loaded.run(None, {"s": np.array(shape)})
    assert loaded.run(None, {"s": np.array([2, 3])})[0].shape == (2, 3)


def test_resize_of_a_scalar_by_no_sizes_of_two_axes() -> None:
    nothing = np.zeros((5, 0), np.int64)
    for given in (run, as_constants):
        with pytest.raises(InvalidModel, match="expected 0 scales, got 16"):
            given("Resize", np.float32(3), None, np.ones((8, 2), np.float32), nothing)


def test_slices_of_more_axes_than_there_are() -> None:
    graph = helper.make_graph(
        [helper.make_node("Slice", ["x", "starts", "ends"], ["y"])],
        "graph",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3]),
            helper.make_tensor_value_info("starts", TensorProto.INT64, [1 << 62]),
            helper.make_tensor_value_info("ends", TensorProto.INT64, [3]),
        ],
        [onnx.ValueInfoProto(name="y")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    with pytest.raises(InvalidModel, match=r"starts of 4611686018427387904 axes.* rank 2"):
        sardonyx.load(model)
