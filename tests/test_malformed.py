"""Malformed models and bad calls: each is one error of the right class that names the culprit.

A crash or a hang of the process that hosts us fails the whole run. Files beside the model are
test_external_data.py's.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import make_model, randn
from onnx import TensorProto, helper, numpy_helper

import sardonyx
from sardonyx import InvalidArgument, InvalidModel, Unsupported

FLOAT = TensorProto.FLOAT
X = helper.make_tensor_value_info("x", FLOAT, [2, 3])
RELU = helper.make_node("Relu", ["x"], ["y"], name="relu")

Edit = Callable[[onnx.ModelProto], Any]


def model(
    *nodes: onnx.NodeProto,
    inputs: Any = (X,),
    initializers: Any = (),
    outputs: Any = ("y",),
    opset: int = 21,
    **more: Any,
) -> onnx.ModelProto:
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(nodes or [RELU], "graph", inputs, results, initializers)
    more.setdefault("opset_imports", [helper.make_opsetid("", opset)])
    return helper.make_model(graph, ir_version=10, **more)


def edited(edit: Edit, *nodes: onnx.NodeProto, **more: Any) -> onnx.ModelProto:
    made = model(*nodes, **more)
    edit(made)
    return made


def with_weight(tensor: onnx.TensorProto) -> onnx.ModelProto:
    tensor.name = "w"
    return model(initializers=[tensor])


def raw(data_type: int, dims: list[int], data: bytes) -> onnx.TensorProto:
    return onnx.TensorProto(data_type=data_type, dims=dims, raw_data=data)


def one(op: str, *arrays: Any, **attributes: Any) -> onnx.ModelProto:
    """A node over constants: what is wrong with it shows at load."""
    return constant_inputs(op, arrays, attributes)


def constant_inputs(op: str, arrays: Any, attributes: dict[str, Any]) -> onnx.ModelProto:
    names = [f"i{k}" for k in range(len(arrays))]
    node = helper.make_node(op, names, ["y"], name="culprit", **attributes)
    weights = [
        numpy_helper.from_array(np.asarray(a), n) for a, n in zip(arrays, names, strict=True)
    ]
    return model(node, inputs=(), initializers=weights)


def function(name: str, nodes: list[onnx.NodeProto]) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    return helper.make_function("mine", name, ["a"], ["r"], nodes, imports)


def call(name: str, given: str, result: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(
        name, [given], [result], domain="mine", name=f"call_{name}", **attributes
    )


def calling(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    return model(call("F0", "x", "y"), functions=functions, opset_imports=imports)


def wrap(field: int, message: bytes) -> bytes:
    """A message as a field of another: protobuf's own library refuses to nest so deep."""
    size, length = len(message), bytearray()
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([field << 3 | 2]) + bytes(length) + bytes([size]) + message


def encoded_model(graph: bytes) -> bytes:
    head = onnx.ModelProto(ir_version=10, opset_import=[helper.make_opsetid("", 21)])
    return head.SerializeToString() + wrap(7, graph)


def nested_ifs(depth: int) -> bytes:
    result = [onnx.ValueInfoProto(name="r")]
    leaf = helper.make_graph([helper.make_node("Identity", ["x"], ["r"])], "leaf", [], result)
    body = leaf.SerializeToString()
    for _ in range(depth):
        node = helper.make_node("If", ["c"], ["r"], else_branch=leaf)
        branch = onnx.AttributeProto(name="then_branch", type=onnx.AttributeProto.GRAPH)
        branch = branch.SerializeToString() + wrap(6, body)
        shell = onnx.GraphProto(output=result).SerializeToString()
        body = shell + wrap(1, node.SerializeToString() + wrap(5, branch))
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    return encoded_model(body + onnx.GraphProto(input=[X, condition]).SerializeToString())


def deep_type(depth: int) -> bytes:
    kind = helper.make_tensor_type_proto(FLOAT, [2]).SerializeToString()
    for _ in range(depth):
        kind = wrap(4, wrap(1, kind))
    value = onnx.ValueInfoProto(name="x").SerializeToString() + wrap(2, kind)
    return encoded_model(model(inputs=()).graph.SerializeToString() + wrap(11, value))


def cyclic() -> onnx.ModelProto:
    return model(
        helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="second"),
        helper.make_node("Relu", ["a"], ["y"]),
    )


def set_attribute(node: onnx.NodeProto, **fields: Any) -> onnx.NodeProto:
    node = onnx.NodeProto.FromString(node.SerializeToString())
    node.attribute.append(onnx.AttributeProto(**fields))
    return node


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the model is empty"),
    "text": (b"hello, this is no model", "malformed protobuf"),
    "zeros": (bytes(100), "malformed protobuf: field number 0"),
    "an endless varint": (b"\x08" + b"\xff" * 20, "more than 10 bytes"),
    "a length beyond the file": (b"\x3a\xff\xff\xff\xff\x0f", "field 7 claims 4294967295 bytes"),
    "no graph": (b"\x08\x08", "no graph"),
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "a zip archive": (b"PK\x03\x04" + bytes(40), "zip archive"),
    "a web page": (b"<!DOCTYPE html><html></html>", "web page"),
    "a TensorFlow Lite model": (b"\x1c\x00\x00\x00TFL3" + bytes(40), "TensorFlow Lite"),
}

MODELS: dict[str, tuple[onnx.ModelProto | bytes, type[Exception], str]] = {
    # The model and its graph.
    "no IR version": (edited(lambda m: m.ClearField("ir_version")), InvalidModel, "IR version 0"),
    "no opset": (edited(lambda m: m.ClearField("opset_import")), InvalidModel, "no operator set"),
    "opset 0": (model(opset=0), InvalidModel, "domain '' has version 0"),
    "opset 0 of ai.onnx.ml": (
        edited(lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx.ml", 0))),
        InvalidModel,
        "domain 'ai.onnx.ml' has version 0",
    ),
    "a huge opset": (model(opset=2**40), InvalidModel, "version 1099511627776"),
    "two versions of a domain": (
        edited(lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx", 7))),
        InvalidModel,
        "imported twice, as versions 21 and 7",
    ),
    "a domain that is not imported": (
        model(helper.make_node("Relu", ["x"], ["y"], domain="other")),
        InvalidModel,
        "does not import domain 'other'",
    ),
    "an unknown operator": (
        model(helper.make_node("Sofmax", ["x"], ["y"], name="n")),
        Unsupported,
        r"Sofmax \(opset 21.*'n'",
    ),
    "an input without a type": (
        model(inputs=[onnx.ValueInfoProto(name="x")]),
        InvalidModel,
        "input 'x' has no type",
    ),
    "an input twice": (model(inputs=(X, X)), InvalidModel, "'x' is defined twice"),
    "an input of an unknown type": (
        model(inputs=[helper.make_tensor_value_info("x", 99, [2])]),
        InvalidModel,
        "value 'x': unknown element type 99",
    ),
    "types nested too deep": (deep_type(60), InvalidModel, "types are nested more than 32 deep"),
    "an opaque input": (
        edited(lambda m: m.graph.input[0].type.opaque_type.SetInParent()),
        Unsupported,
        "opaque",
    ),
    "an output nobody computes": (model(outputs=("y", "z")), InvalidModel, "output 'z'"),
    "a value nobody computes": (
        model(helper.make_node("Add", ["x", "q"], ["y"], name="sum")),
        InvalidModel,
        r"node 'sum' \(Add, opset 21\): 'q' is neither",
    ),
    "a value computed twice": (model(RELU, RELU), InvalidModel, "'y' is defined twice"),
    "a node that redefines an input": (
        model(helper.make_node("Relu", ["x"], ["x"]), RELU),
        InvalidModel,
        "'x' is defined twice",
    ),
    "an initializer twice": (
        model(initializers=[numpy_helper.from_array(randn(2), "w")] * 2),
        InvalidModel,
        "initializer 'w'",
    ),
    "a cycle": (cyclic(), InvalidModel, r"node 'first' .*cycle"),
    "a name that is not UTF-8": (
        model().SerializeToString().replace(b"relu", b"rel\xff"),
        InvalidModel,
        "field 3 is not UTF-8",
    ),
    # Attributes.
    "an attribute without a value": (
        model(set_attribute(RELU, name="alpha")),
        InvalidModel,
        "attribute 'alpha': no value",
    ),
    "an attribute twice": (
        model(
            set_attribute(
                set_attribute(RELU, name="a", i=1, type=2),
                **{"name": "a", "i": 2, "type": 2},
            )
        ),
        InvalidModel,
        "attribute 'a' is given twice",
    ),
    "a reference outside a function": (
        model(set_attribute(RELU, name="a", ref_attr_name="b")),
        InvalidModel,
        "'a' refers to 'b'",
    ),
    "an attribute of another type": (
        one("Softmax", randn(2, 3), axis="last"),
        InvalidModel,
        "'culprit'.*'axis' has the wrong type",
    ),
    # Initializers.
    "short raw data": (
        with_weight(raw(FLOAT, [4], bytes(15))),
        InvalidModel,
        "'w': .*15 bytes.*16",
    ),
    "long raw data": (with_weight(raw(FLOAT, [4], bytes(17))), InvalidModel, "'w': .*17 bytes.*16"),
    "short 4-bit data": (
        with_weight(raw(TensorProto.INT4, [5], bytes(2))),
        InvalidModel,
        r"'w': .*int4\[5\] needs 3",
    ),
    "no data": (with_weight(raw(FLOAT, [4], b"")), InvalidModel, "'w'"),
    "few typed numbers": (
        with_weight(onnx.TensorProto(data_type=FLOAT, dims=[3], float_data=[1, 2])),
        InvalidModel,
        "'w': float_data of 2 numbers",
    ),
    "the wrong typed field": (
        with_weight(onnx.TensorProto(data_type=FLOAT, dims=[2], int64_data=[1, 2])),
        InvalidModel,
        "'w': float_data of 0 numbers",
    ),
    "few strings": (
        with_weight(onnx.TensorProto(data_type=TensorProto.STRING, dims=[2], string_data=[b"a"])),
        InvalidModel,
        "'w': string_data of 1 strings",
    ),
    "strings as raw data": (
        with_weight(raw(TensorProto.STRING, [1], b"a")),
        InvalidModel,
        "'w': strings cannot",
    ),
    "a negative dimension": (
        with_weight(raw(FLOAT, [-4], bytes(16))),
        InvalidModel,
        "'w': negative dimension -4",
    ),
    "dimensions that overflow": (
        with_weight(raw(FLOAT, [2**40, 2**40], b"")),
        InvalidModel,
        "'w': size overflows",
    ),
    "bytes that overflow": (
        with_weight(raw(TensorProto.DOUBLE, [2**61], b"")),
        InvalidModel,
        "'w': size overflows",
    ),
    "more elements than memory": (
        with_weight(raw(FLOAT, [2**50], b"")),
        InvalidModel,
        "'w': raw data of 0 bytes",
    ),
    "too many dimensions": (with_weight(raw(FLOAT, [1] * 100, bytes(4))), InvalidModel, "'w'"),
    "an unknown element type": (
        with_weight(raw(99, [1], bytes(4))),
        InvalidModel,
        "'w': unknown element type 99",
    ),
    "no element type": (with_weight(raw(0, [1], bytes(4))), InvalidModel, "'w': unknown element"),
    "external data without a directory": (
        with_weight(helper.make_tensor("w", FLOAT, [1], [0.0])),
        InvalidModel,
        "'w': external data 'weights.bin' needs to know",
    ),
    "a sparse index out of range": (
        edited(
            lambda m: m.graph.sparse_initializer.append(
                helper.make_sparse_tensor(
                    helper.make_tensor("s", FLOAT, [1], [1.0]),
                    helper.make_tensor("i", TensorProto.INT64, [1], [6]),
                    [2, 3],
                )
            )
        ),
        InvalidModel,
        "'s': sparse index 6 is out of range",
    ),
    "a sparse tensor of absurd size": (
        edited(
            lambda m: m.graph.sparse_initializer.append(
                helper.make_sparse_tensor(
                    helper.make_tensor("s", FLOAT, [1], [1.0]),
                    helper.make_tensor("i", TensorProto.INT64, [1], [6]),
                    [2**40],
                )
            )
        ),
        Unsupported,
        "'s': the sparse tensors of the model take more than",
    ),
    # Functions and subgraphs.
    "a function that calls itself": (
        calling(function("F0", [call("F0", "a", "r")])),
        InvalidModel,
        "'mine::F0' calls itself",
    ),
    "functions that call each other": (
        calling(
            function("F0", [call("F1", "a", "r")]),
            function("F1", [call("F0", "a", "r")]),
        ),
        InvalidModel,
        "calls itself",
    ),
    "functions that expand without end": (
        calling(
            *(
                function(f"F{k}", [call(f"F{k + 1}", "a", "t"), call(f"F{k + 1}", "t", "r")])
                for k in range(40)
            ),
            function("F40", [helper.make_node("Relu", ["a"], ["r"])]),
        ),
        Unsupported,
        "expand to more than",
    ),
    "calls nested too deep": (
        calling(
            *(function(f"F{k}", [call(f"F{k + 1}", "a", "r")]) for k in range(200)),
            function("F200", [helper.make_node("Relu", ["a"], ["r"])]),
        ),
        InvalidModel,
        "nested more than 64 deep",
    ),
    "a function twice": (
        calling(*[function("F0", [helper.make_node("Relu", ["a"], ["r"])])] * 2),
        InvalidModel,
        "'mine::F0' is defined twice",
    ),
    "a function that computes no result": (
        calling(function("F0", [helper.make_node("Relu", ["a"], ["t"])])),
        InvalidModel,
        "'r' is neither",
    ),
    "subgraphs nested too deep": (nested_ifs(200), InvalidModel, "nested more than 64 deep"),
    "a branch that uses an unknown value": (
        model(
            helper.make_node(
                "If",
                ["c"],
                ["y"],
                name="choice",
                then_branch=helper.make_graph([], "t", [], [onnx.ValueInfoProto(name="lost")]),
                else_branch=helper.make_graph([], "e", [], [onnx.ValueInfoProto(name="x")]),
            ),
            inputs=(X, helper.make_tensor_value_info("c", TensorProto.BOOL, [])),
        ),
        InvalidModel,
        "'choice'.*'lost'",
    ),
    # Operators.
    "inner dimensions that differ": (
        one("MatMul", randn(2, 3), randn(4, 5)),
        InvalidModel,
        "'culprit'.*3 and 4",
    ),
    "shapes that do not broadcast": (
        one("Add", randn(2, 3), randn(2, 4)),
        InvalidModel,
        "'culprit'.*3 and 4 do not broadcast",
    ),
    "element types that differ": (
        one("Add", randn(2), np.zeros(2, np.int64)),
        InvalidModel,
        "'culprit'.*float32",
    ),
    "a missing input": (one("Add", randn(2)), InvalidModel, "'culprit'.*2 inputs, got 1"),
    "an axis out of range": (
        one("Softmax", randn(2, 3), axis=2),
        InvalidModel,
        "'culprit'.*axis 2",
    ),
    "a negative axis out of range": (
        one("Concat", randn(2, 3), randn(2, 3), axis=-3),
        InvalidModel,
        "'culprit'.*axis -3",
    ),
    "a stride of zero": (
        one("Conv", randn(1, 1, 8, 8), randn(1, 1, 3, 3), strides=[0, 1]),
        InvalidModel,
        "'culprit'.*0",
    ),
    "a negative dilation": (
        one("Conv", randn(1, 1, 8, 8), randn(1, 1, 3, 3), dilations=[1, -1]),
        InvalidModel,
        "'culprit'.*-1",
    ),
    "groups that do not divide": (
        one("Conv", randn(1, 3, 8, 8), randn(4, 1, 3, 3), group=2),
        InvalidModel,
        "'culprit'",
    ),
    "no groups": (
        one("Conv", randn(1, 3, 8, 8), randn(4, 1, 3, 3), group=0),
        InvalidModel,
        "'culprit'.*0",
    ),
    "a window of rank 3 over rank 2": (
        one("MaxPool", randn(1, 1, 8, 8), kernel_shape=[2, 2, 2]),
        InvalidModel,
        "'culprit'",
    ),
    "a window larger than memory": (
        one("MaxPool", randn(1, 1, 8, 8), kernel_shape=[2**62, 2**62]),
        InvalidModel,
        "'culprit'",
    ),
    "pads that overflow": (
        one("Conv", randn(1, 1, 8, 8), randn(1, 1, 3, 3), pads=[2**62, 2**62, 2**62, 2**62]),
        InvalidModel,
        "'culprit'",
    ),
    "an index out of range": (
        one("Gather", randn(3, 2), np.array([0, 3])),
        sardonyx.Error,
        "'culprit'.*3",
    ),
    "a negative index out of range": (
        one("Gather", randn(3, 2), np.array([-4])),
        sardonyx.Error,
        "'culprit'.*-4",
    ),
    "a scatter index out of range": (
        one("ScatterND", randn(3), np.array([[-9]]), randn(1)),
        sardonyx.Error,
        "'culprit'.*-9",
    ),
    "a permutation that is none": (
        one("Transpose", randn(2, 3), perm=[0, 0]),
        InvalidModel,
        r"'culprit'",
    ),
    "a shape of another size": (
        one("Reshape", randn(2, 3), np.array([4, 2])),
        InvalidModel,
        "'culprit'",
    ),
    "a shape with two unknowns": (
        one("Reshape", randn(2, 3), np.array([-1, -1])),
        InvalidModel,
        "'culprit'",
    ),
    "a shape that overflows": (
        one("Expand", randn(1), np.array([2**40, 2**40])),
        InvalidModel,
        "'culprit'.*overflow",
    ),
    "a split of the wrong sum": (
        one("Split", randn(6), np.array([2, 3])),
        InvalidModel,
        "'culprit'",
    ),
    "a slice with a step of zero": (
        one("Slice", randn(6), np.array([0]), np.array([5]), np.array([0]), np.array([0])),
        InvalidModel,
        "'culprit'.*0",
    ),
    "more of the top than there are": (
        one("TopK", randn(3), np.array([4])),
        InvalidModel,
        "'culprit'.*4",
    ),
    "a cast to an unknown type": (one("Cast", randn(3), to=99), InvalidModel, "'culprit'.*99"),
}


def _external(made: onnx.ModelProto) -> onnx.ModelProto:
    weight = made.graph.initializer[0]
    weight.ClearField("float_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    return made


_external(MODELS["external data without a directory"][0])


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_models(name: str) -> None:
    data, message = FILES[name]
    with pytest.raises(InvalidModel, match=message):
        sardonyx.load(data)


def load_and_run(source: Any, feed: np.ndarray) -> None:
    """What does not show at load shows at the first run."""
    loaded = sardonyx.load(source)
    loaded.run(None, {value.name: feed for value in loaded.inputs})


@pytest.mark.parametrize("name", MODELS)
def test_malformed_models(name: str) -> None:
    made, kind, message = MODELS[name]
    with pytest.raises(kind, match=message):
        load_and_run(made, np.ones((2, 3), np.float32))


def test_a_model_cut_off_anywhere_is_refused() -> None:
    data = model(initializers=[numpy_helper.from_array(randn(2, 3), "w")]).SerializeToString()
    for size in range(len(data)):
        # Cut between two fields it may be a smaller model.
        with contextlib.suppress(sardonyx.Error):
            sardonyx.load(data[:size])


def test_random_bytes_are_refused() -> None:
    generator = random.Random(0)
    for _ in range(500):
        data = generator.randbytes(generator.randrange(1, 200))
        with pytest.raises(sardonyx.Error):
            sardonyx.load(data)


def test_mutated_models_are_refused_or_run() -> None:
    generator = random.Random(1)
    data = make_model("Conv", [randn(1, 2, 5, 5), randn(3, 2, 3, 3)]).SerializeToString()
    for _ in range(500):
        mutated = bytearray(data)
        for _ in range(generator.choice([1, 1, 2, 4])):
            mutated[generator.randrange(len(mutated))] = generator.randrange(256)
        with contextlib.suppress(sardonyx.Error, MemoryError):
            load_and_run(bytes(mutated), randn(1, 2, 5, 5))


@pytest.fixture(scope="module")
def sum_of_two() -> sardonyx.Model:
    other = helper.make_tensor_value_info("other", TensorProto.FLOAT, ["n", 3])
    return sardonyx.load(
        model(helper.make_node("Add", ["x", "other"], ["y"], name="sum"), inputs=(X, other))
    )


GOOD = {"x": randn(2, 3), "other": randn(2, 3)}
CALLS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "an unknown input": ({**GOOD, "z": randn(1)}, InvalidArgument, "no input 'z'.*'x', 'other'"),
    "a missing input": ({"x": randn(2, 3)}, InvalidArgument, "input 'other' is missing"),
    "another element type": (
        {**GOOD, "x": np.zeros((2, 3), np.int64)},
        InvalidArgument,
        "input 'x': .*float32.*int64",
    ),
    "another rank": (
        {**GOOD, "x": randn(2, 3, 1)},
        InvalidArgument,
        r"input 'x': .*\[2, 3\].*\[2, 3, 1\]",
    ),
    "another size": ({**GOOD, "x": randn(2, 4)}, InvalidArgument, r"input 'x': .*\[2, 4\]"),
    "a list of tensors": ({**GOOD, "x": [randn(2, 3), randn(2, 3)]}, Exception, "x"),
    "nothing": ({**GOOD, "x": None}, Exception, "x"),
    "objects": ({**GOOD, "x": np.array([object()])}, Exception, "x"),
    "sizes that do not fit together": (
        {"x": randn(2, 3), "other": randn(5, 3)},
        InvalidModel,
        "'sum'.*2 and 5 do not broadcast",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_bad_calls(sum_of_two: sardonyx.Model, name: str) -> None:
    feeds, kind, message = CALLS[name]
    with pytest.raises(kind, match=message):
        sum_of_two.run(None, feeds)
    np.testing.assert_array_equal(sum_of_two.run(None, GOOD)[0], GOOD["x"] + GOOD["other"])


def test_an_unknown_output_is_refused(sum_of_two: sardonyx.Model) -> None:
    with pytest.raises(InvalidArgument, match="no output 'z'; the outputs are 'y'"):
        sum_of_two.run(["z"], GOOD)


RUNS: dict[str, tuple[onnx.NodeProto, dict[str, Any], str]] = {
    "Gather": (
        helper.make_node("Gather", ["x", "i"], ["y"], name="culprit"),
        {"i": np.array([7])},
        "'culprit'.*7",
    ),
    "GatherElements": (
        helper.make_node("GatherElements", ["x", "i"], ["y"], name="culprit"),
        {"i": np.array([[-3, 0, 0]])},
        "'culprit'.*-3",
    ),
    "GatherND": (
        helper.make_node("GatherND", ["x", "i"], ["y"], name="culprit"),
        {"i": np.array([[1, 3]])},
        "'culprit'.*3",
    ),
    "ScatterElements": (
        helper.make_node("ScatterElements", ["x", "i", "x"], ["y"], name="culprit"),
        {"i": np.full((2, 3), 2)},
        "'culprit'.*2",
    ),
    "Reshape": (
        helper.make_node("Reshape", ["x", "i"], ["y"], name="culprit"),
        {"i": np.array([5, -1])},
        "'culprit'",
    ),
    "Expand": (
        helper.make_node("Expand", ["x", "i"], ["y"], name="culprit"),
        {"i": np.array([-1, 3])},
        "'culprit'.*-1",
    ),
    "Tile": (
        helper.make_node("Tile", ["x", "i"], ["y"], name="culprit"),
        {"i": np.array([-1, 1])},
        "'culprit'.*-1",
    ),
    "ConstantOfShape": (
        helper.make_node("ConstantOfShape", ["i"], ["y"], name="culprit"),
        {"i": np.array([2**40, 2**40])},
        "'culprit'.*overflow",
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_data_that_points_outside(name: str) -> None:
    node, feeds, message = RUNS[name]
    indices = helper.make_tensor_value_info("i", TensorProto.INT64, [None] * feeds["i"].ndim)
    loaded = sardonyx.load(model(node, inputs=(X, indices)))
    with pytest.raises(sardonyx.Error, match=message):
        loaded.run(None, {"x": randn(2, 3), **feeds})
