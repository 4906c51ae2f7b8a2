"""Operators that a program brings along: Python functions, and functions of ONNX nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import in_threads, randn
from onnx import TensorProto, helper

import sardonyx
from sardonyx.host import operators


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    yield
    operators._operators.clear()
    operators._functions.clear()


def model(nodes: list[Any], outputs: list[str], dtype: int = TensorProto.FLOAT) -> Any:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", dtype, ["n", 3])],
        [onnx.ValueInfoProto(name=name) for name in outputs],
    )
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("test", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def node(name: str, outputs: list[str] | None = None, **attributes: Any) -> Any:
    return helper.make_node(name, ["x"], outputs or ["y"], "the node", domain="test", **attributes)


def test_a_function_is_an_operator_among_others() -> None:
    @sardonyx.op("test", "Scale")
    def scale(x: np.ndarray, *, by: float, add: list[int], mode: str) -> np.ndarray:
        assert mode == "plain"
        return x * np.float32(by) + np.float32(sum(add))

    made = model(
        [
            node("Scale", ["s"], by=2.0, add=[1, 2], mode="plain"),
            helper.make_node("Relu", ["s"], ["r"]),
            helper.make_node("MatMul", ["r", "w"], ["y"]),
        ],
        ["y"],
    )
    w = randn(3, 5)
    made.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    loaded = sardonyx.load(made)
    for n in (1, 4, 0):
        x = randn(n, 3)
        np.testing.assert_allclose(loaded(x), np.maximum(x * 2 + 3, 0) @ w, rtol=1e-5, atol=1e-6)


def test_several_outputs_and_inference() -> None:
    asked: list[Any] = []

    def infer(x: Any, **_: Any) -> Any:
        asked.append(x)
        return [("int64", (x[1][0],)), (x[0], None)]

    @sardonyx.op("test", "Both", infer=infer)
    def both(x: np.ndarray) -> Any:
        return x.argmax(1), x.max(1, keepdims=True)

    loaded = sardonyx.load(model([node("Both", ["i", "m"])], ["i", "m"]))
    assert asked[0] == (np.dtype("float32"), ("n", 3))
    assert loaded.outputs[0].type.startswith("int64[")
    x = randn(4, 3)
    indices, largest = loaded(x)
    np.testing.assert_array_equal(indices, x.argmax(1))
    np.testing.assert_array_equal(largest, x.max(1, keepdims=True))


def test_arrays_may_be_kept_and_changed() -> None:
    kept: list[np.ndarray] = []

    @sardonyx.op("test", "Keep")
    def keep(x: np.ndarray) -> np.ndarray:
        kept.append(x)
        x += 1
        return x

    loaded = sardonyx.load(model([node("Keep")], ["y"]))
    given = [randn(2, 3, seed=i) for i in range(4)]
    results = [loaded(x) for x in given]
    for i, x in enumerate(given):
        np.testing.assert_array_equal(x, randn(2, 3, seed=i))
        np.testing.assert_array_equal(results[i], x + 1)
        np.testing.assert_array_equal(kept[i], x + 1)


def test_errors_name_the_node_and_keep_their_cause() -> None:
    @sardonyx.op("test", "Fail")
    def fail(x: np.ndarray) -> np.ndarray:
        raise KeyError("what is missing")

    loaded = sardonyx.load(model([node("Fail")], ["y"]))
    with pytest.raises(sardonyx.Error, match=r"node 'the node' \(test::Fail\).*KeyError") as caught:
        loaded(randn(1, 3))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("result", [None, "text", 3.5, [1, 2], np.zeros(3), (1, 2)])
def test_results_that_were_not_promised_are_refused(result: Any) -> None:
    sardonyx.op("test", "Wrong", infer=lambda x: x)(lambda x: result)
    loaded = sardonyx.load(model([node("Wrong")], ["y"]))
    with pytest.raises(sardonyx.Error, match="the node"):
        loaded(randn(1, 3))


def test_interrupts_go_through() -> None:
    @sardonyx.op("test", "Stop")
    def stop(x: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    loaded = sardonyx.load(model([node("Stop")], ["y"]))
    with pytest.raises(KeyboardInterrupt):
        loaded(randn(1, 3))


def test_many_threads_and_models_inside_models() -> None:
    inner = sardonyx.load(
        helper.make_model(
            helper.make_graph(
                [helper.make_node("Exp", ["x"], ["y"])],
                "graph",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
                [onnx.ValueInfoProto(name="y")],
            ),
            opset_imports=[helper.make_opsetid("", 20)],
            ir_version=10,
        )
    )
    sardonyx.op("test", "Inner")(lambda x: inner(x))
    loaded = sardonyx.load(model([node("Inner")], ["y"]), threads=2)
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = randn(50, 3, seed=seed)
        for _ in range(30):
            if not np.allclose(loaded(x), np.exp(x), rtol=1e-5):
                wrong.append(seed)

    in_threads(work)
    assert not wrong


def test_unknown_operators_point_here() -> None:
    with pytest.raises(sardonyx.Unsupported, match=r"test::Nowhere.*sardonyx\.op"):
        sardonyx.load(model([node("Nowhere")], ["y"]))
    sardonyx.op("", "Relu")(lambda x: x)
    with pytest.raises(sardonyx.InvalidArgument, match="needs a domain of its own"):
        sardonyx.load(model([node("Nowhere")], ["y"]))


def test_functions_as_text(tmp_path: Path) -> None:
    sardonyx.function(
        """<opset_import: ["" : 20], domain: "test">
        Spread (x) => (y) { low = ReduceMin <keepdims = 0> (x)  y = Sub (x, low) }"""
    )
    made = model([node("Spread")], ["y"])
    path = tmp_path / "model.onnx"
    onnx.save(made, path)
    x = randn(4, 3)
    for source in (made, path):
        np.testing.assert_allclose(sardonyx.load(source)(x), x - x.min(), rtol=1e-6)


def test_constants_of_functions_outlive_what_they_came_in(tmp_path: Path) -> None:
    weights = randn(1, 64)
    body = [
        helper.make_node("Constant", [], ["w"], value=onnx.numpy_helper.from_array(weights)),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    imports = [helper.make_opsetid("", 20)]
    made = helper.make_function("test", "Dense", ["x"], ["y"], body, imports)
    operators._functions["test", "Dense"] = onnx.ModelProto(functions=[made]).SerializeToString()
    graph = model([node("Dense")], ["y"])
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    onnx.save(graph, tmp_path / "model.onnx")
    loaded = sardonyx.load(tmp_path / "model.onnx", level=0)
    operators._functions.clear()
    x = randn(5, 1)
    for _ in range(3):
        np.testing.assert_allclose(loaded(x), x @ weights, rtol=1e-6)
        bytearray(b"\1" * 300)


def test_functions_of_the_model_go_first() -> None:
    sardonyx.function(
        """<opset_import: ["" : 20], domain: "test"> Change (x) => (y) { y = Neg (x) }"""
    )
    sardonyx.function(
        """<opset_import: ["" : 20], domain: "test"> Change (x) => (y) { y = Abs (x) }"""
    )
    made = model([node("Change")], ["y"])
    x = randn(4, 3)
    np.testing.assert_array_equal(sardonyx.load(made)(x), np.abs(x))
    body = [helper.make_node("Add", ["x", "x"], ["y"])]
    own = helper.make_function("test", "Change", ["x"], ["y"], body, [helper.make_opsetid("", 20)])
    made.functions.append(own)
    np.testing.assert_array_equal(sardonyx.load(made)(x), x + x)
    operators._functions["test", "Odd"] = b"no model"
    with pytest.raises(sardonyx.InvalidModel, match="functions that the program brings"):
        sardonyx.load(made)
