"""Models that ask for too much nodes, nesting, folding, memory or time end soon and in words."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import sardonyx
from sardonyx import InvalidModel

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def model(
    nodes: list[onnx.NodeProto],
    initializers: Any = (),
    inputs: dict[str, Any] | None = None,
    outputs: Any = ("y",),
) -> bytes:
    inputs = {"x": [1]} if inputs is None else inputs
    infos = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()]
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(nodes, "graph", infos, results, list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return made.SerializeToString()


def integers(name: str, *values: int) -> onnx.TensorProto:
    return helper.make_tensor(name, INT64, [len(values)], values)


def field(number: int, payload: bytes) -> bytes:
    """A field of bytes, encoded by hand: much faster than a message of a million nodes."""
    size, length = len(payload), bytearray()
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2]) + bytes(length) + bytes([size]) + payload


def with_graph(graph: bytes) -> bytes:
    head = onnx.ModelProto(ir_version=10, opset_import=[helper.make_opsetid("", 21)])
    return head.SerializeToString() + field(7, graph)


def test_too_many_nodes() -> None:
    node = helper.make_node("Relu", ["x"], ["y"]).SerializeToString()
    with pytest.raises(InvalidModel, match="more than 1048576 nodes"):
        sardonyx.load(with_graph(field(1, node) * (2**20 + 1)))


def test_too_many_attributes() -> None:
    attribute = field(5, onnx.AttributeProto(name="a", i=1, type=2).SerializeToString())
    node = field(1, field(4, b"Relu") + attribute * (2**22 + 1))
    with pytest.raises(InvalidModel, match="more than 4194304 attributes"):
        sardonyx.load(with_graph(node))


def test_groups_of_the_wire_format_nested_too_deep() -> None:
    begin, end = (
        bytes([99 << 3 & 0x7F | 0x80 | 3, 99 >> 4]),
        bytes([99 << 3 & 0x7F | 0x80 | 4, 99 >> 4]),
    )
    for depth in (10_000_000, 100):
        with pytest.raises(InvalidModel, match="malformed protobuf"):
            sardonyx.load(begin * depth + end * depth)


def test_small_files_fold_to_no_large_models() -> None:
    """A hundred constants of 64 MB, all wanted: most are left to the run."""
    count = 100
    sizes = [integers(f"s{i}", 16 << 20) for i in range(count)]
    nodes = [helper.make_node("ConstantOfShape", [f"s{i}"], [f"c{i}"]) for i in range(count)]
    nodes += [helper.make_node("Add", ["x", f"c{i}"], [f"y{i}"]) for i in range(count)]
    outputs = [f"y{i}" for i in range(count)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = sardonyx.load(model(nodes, sizes, outputs=outputs), memory_limit=1 << 30)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700 << 10
    with pytest.raises(MemoryError, match="limit"):
        loaded.run(None, {"x": np.zeros(1, np.float32)})


def test_folding_ends_soon() -> None:
    """A thousand products of 17 GFLOP each, of constants; packing them all would take 16 GB."""
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["v0"])]
    nodes += [helper.make_node("MatMul", [f"v{i}", "v0"], [f"v{i + 1}"]) for i in range(1000)]
    nodes.append(helper.make_node("Add", ["x", "v1000"], ["y"]))
    begin = time.monotonic()
    loaded = sardonyx.load(model(nodes, [integers("s", 2048, 2048)]))
    assert time.monotonic() - begin < 20
    with pytest.raises(sardonyx.Timeout):
        loaded.run(None, {"x": np.zeros(1, np.float32)}, timeout=0.2)


def endless(scanned: bool) -> bytes:
    values = {"i": (INT64, []), "go": (BOOL, []), "v": (FLOAT, [1])}
    inputs = [helper.make_tensor_value_info(name, *kind) for name, kind in values.items()]
    nodes = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["v"], ["w"])]
    outputs = ["on", "w", "w2"] if scanned else ["on", "w"]
    if scanned:
        nodes.append(helper.make_node("Relu", ["v"], ["w2"]))
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    body = helper.make_graph(nodes, "body", inputs, results)
    names = ["z", "y"] if scanned else ["y"]
    loop = helper.make_node("Loop", ["trips", "go", "x"], names, body=body)
    start = helper.make_tensor("trips", INT64, [], [2**63 - 1])
    return model([loop], [start, helper.make_tensor("go", BOOL, [], [True])])


@pytest.mark.parametrize("scanned", [False, True])
def test_endless_loops_end_with_the_timeout(scanned: bool) -> None:
    loaded = sardonyx.load(endless(scanned))
    begin = time.monotonic()
    with pytest.raises(sardonyx.Timeout):
        loaded.run(None, {"x": np.zeros(1, np.float32)}, timeout=0.3)
    assert time.monotonic() - begin < 3


def test_loops_that_collect_without_end_keep_to_the_memory_limit() -> None:
    loaded = sardonyx.load(endless(True), memory_limit=1 << 20)
    with pytest.raises((MemoryError, sardonyx.Timeout)):
        loaded.run(None, {"x": np.zeros(1, np.float32)}, timeout=20)


def test_shapes_that_double_are_refused_before_memory_is_taken() -> None:
    nodes = [helper.make_node("Concat", [f"v{i}"] * 2, [f"v{i + 1}"], axis=0) for i in range(60)]
    nodes[0].input[:] = ["x", "x"]
    loaded = sardonyx.load(model(nodes, inputs={"x": ["n"]}, outputs=["v60"]), memory_limit=1 << 30)
    with pytest.raises((MemoryError, InvalidModel)):
        loaded.run(None, {"x": np.zeros(8, np.float32)})


GREEDY = """
import resource, sys
import numpy as np
import sardonyx
taken = 4096 * int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 28),) * 2)
model = sardonyx.load(sys.stdin.buffer.read(), threads=1)
for _ in range(3):
    try:
        model.run(None, {"s": np.array([1 << 20, 1 << 10])})
    except MemoryError as error:
        assert "cannot allocate" in str(error), error
    else:
        sys.exit("it had the memory")
    assert model.run(None, {"s": np.array([1, 2])})[0].shape == (1, 2)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS")
def test_memory_that_the_system_refuses_is_a_memory_error() -> None:
    node = helper.make_node("ConstantOfShape", ["s"], ["y"])
    info = helper.make_tensor_value_info("s", INT64, [2])
    graph = helper.make_graph([node], "graph", [info], [onnx.ValueInfoProto(name="y")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    done = subprocess.run(
        [sys.executable, "-c", GREEDY], input=made.SerializeToString(), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
