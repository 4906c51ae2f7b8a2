"""sardonyx.backend, as tools that speak onnx.backend call it."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import make_model, randn
from onnx import helper, numpy_helper

from sardonyx import backend


def test_representations_take_lists_dicts_and_protobufs() -> None:
    a, b = randn(3), randn(3, seed=1)
    prepared = backend.prepare(make_model("Add", [a, b]))
    proto = numpy_helper.from_array(a, "x0")
    for inputs in ([a, b], (a, b), {"x0": a, "x1": b}, [proto, b], [a.tolist(), b]):
        (result,) = prepared.run(inputs)
        np.testing.assert_array_equal(result, a + b)
    with pytest.raises(ValueError, match="2 inputs, got 3"):
        prepared.run([a, b, a])


def test_one_array_is_one_input() -> None:
    (result,) = backend.run_model(make_model("Neg", [randn(3)]), randn(3))
    np.testing.assert_array_equal(result, -randn(3))


def test_nodes_run_alone() -> None:
    node = helper.make_node("Sub", ["a", "b"], ["c"])
    (result,) = backend.run_node(node, [randn(3), np.float32(1)])
    np.testing.assert_array_equal(result, randn(3) - 1)


def test_devices_and_compatibility() -> None:
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA:0")
    model = make_model("Neg", [randn(3)])
    assert backend.is_compatible(model)
    assert not backend.is_compatible(model, "CUDA")
    assert not backend.is_compatible(make_model("NoSuchOperator", [randn(3)]))
    with pytest.raises(ValueError, match="CUDA"):
        backend.prepare(model, "CUDA")
