"""What a loader must handle: IR versions, types and encodings, functions, subgraphs, defaults."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from helpers import randn
from onnx import TensorProto, helper, numpy_helper

import sardonyx

FLOAT = TensorProto.FLOAT


def value(name: str, dtype: int = FLOAT, shape: Any = ("n",)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[str],
    initializers: Any = (),
    ir_version: int = 10,
    opset: int = 21,
    **more: Any,
) -> onnx.ModelProto:
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(nodes, "graph", inputs, results, initializers)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, ir_version=ir_version, opset_imports=imports, **more)


def stored(tensor: onnx.TensorProto) -> np.ndarray:
    """The tensor as a model gives it back."""
    tensor.name = "w"
    made = model([helper.make_node("Identity", ["w"], ["y"])], [], ["y"], [tensor], opset=25)
    return sardonyx.load(made).run(None, {})[0]


NUMBERS = ["float16", "float32", "float64", "bool", "complex64", "complex128"]
NUMBERS += [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
SMALL = ["bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]
SMALL += ["float8_e8m0fnu", "float4_e2m1fn", "int4", "uint4", "int2", "uint2"]


@pytest.mark.parametrize("dtype", NUMBERS + SMALL)
@pytest.mark.parametrize("raw", [True, False])
def test_tensors_of_every_type(dtype: str, raw: bool) -> None:
    array = np.array([[0, 1, 1], [2, 1, 0], [1, 2, 3]])[:, :3].astype(
        getattr(ml_dtypes, dtype) if dtype in SMALL else dtype
    )
    if dtype.startswith("int"):
        array = np.concatenate([array, -array[:1]])
    code = helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = numpy_helper.from_array(array)
    if not raw:
        values = array.astype(np.float64 if dtype[0] in "bf" and dtype != "bool" else array.dtype)
        tensor = helper.make_tensor("w", code, array.shape, values.ravel().tolist())
        assert not tensor.HasField("raw_data")
    np.testing.assert_array_equal(
        stored(tensor).view(np.uint8), numpy_helper.to_array(tensor).view(np.uint8)
    )


def test_strings() -> None:
    words = np.array(["one", "", "zwölf"], dtype=object)
    assert stored(numpy_helper.from_array(words)).tolist() == words.tolist()


@pytest.mark.parametrize("linear", [True, False])
def test_sparse_initializers(linear: bool) -> None:
    dense = np.zeros((3, 4), np.float32)
    dense[0, 2], dense[2, 1] = 5, 7
    indices = np.flatnonzero(dense) if linear else np.argwhere(dense)
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("w", FLOAT, [2], [5, 7]),
        helper.make_tensor("i", TensorProto.INT64, indices.shape, indices.ravel().tolist()),
        dense.shape,
    )
    made = model([helper.make_node("Identity", ["w"], ["y"])], [], ["y"])
    made.graph.sparse_initializer.append(sparse)
    np.testing.assert_array_equal(sardonyx.load(made).run(None, {})[0], dense)
    # What the file gives out as a sparse tensor stays one.
    del made.graph.node[:], made.graph.output[:]
    made.graph.output.append(helper.make_sparse_tensor_value_info("w", FLOAT, dense.shape))
    values, places, shape = sardonyx.load(made).run(None, {})[0]
    assert (values.tolist(), places.tolist(), shape) == ([5, 7], [2, 9], dense.shape)


def test_defaults_may_be_overridden() -> None:
    weight = numpy_helper.from_array(np.array([10, 20], np.float32), "w")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    inputs = [value("x", shape=[2]), value("w", shape=[2])]
    loaded = sardonyx.load(model(nodes, inputs, ["y"], [weight]))
    x = np.array([1, 2], np.float32)
    assert [item.name for item in loaded.inputs] == ["x", "w"]
    assert loaded.run(None, {"x": x})[0].tolist() == [11, 22]
    assert loaded.run(None, {"x": x, "w": x})[0].tolist() == [2, 4]
    assert loaded.run(None, {"x": x})[0].tolist() == [11, 22]


def test_old_files_list_their_weights_as_inputs() -> None:
    weight = numpy_helper.from_array(np.array([10, 20], np.float32), "w")
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    inputs = [value("x", shape=[2]), value("w", shape=[2])]
    loaded = sardonyx.load(model(nodes, inputs, ["y"], [weight], ir_version=3, opset=7))
    assert [item.name for item in loaded.inputs] == ["x"]
    assert loaded(np.zeros(2, np.float32)).tolist() == [10, 20]


def function(name: str, nodes: list[onnx.NodeProto], **more: Any) -> onnx.FunctionProto:
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
    return helper.make_function("mine", name, ["a", "b"], ["r"], nodes, imports, **more)


def test_functions_with_attributes_defaults_and_overloads() -> None:
    gain = helper.make_node("Constant", [], ["k"])
    gain.attribute.append(
        onnx.AttributeProto(
            name="value_float", ref_attr_name="gain", type=onnx.AttributeProto.FLOAT
        )
    )
    scale = function(
        "Scale",
        [gain, helper.make_node("Mul", ["a", "k"], ["r"])],
        attribute_protos=[helper.make_attribute("gain", 3.0)],
    )
    both = function(
        "Both",
        [
            helper.make_node("Scale", ["a"], ["s"], domain="mine"),
            helper.make_node("Scale", ["b"], ["t"], domain="mine", gain=10.0),
            helper.make_node("Add", ["s", "t"], ["r"]),
        ],
    )
    other = function("Scale", [helper.make_node("Neg", ["a"], ["r"])], overload="negated")
    nodes = [
        helper.make_node("Both", ["x", "x"], ["y"], domain="mine"),
        helper.make_node("Scale", ["x"], ["z"], domain="mine", overload="negated"),
    ]
    loaded = sardonyx.load(model(nodes, [value("x")], ["y", "z"], functions=[both, scale, other]))
    y, z = loaded(np.array([1, 2], np.float32))
    assert y.tolist() == [13, 26]
    assert z.tolist() == [-1, -2]


def test_functions_inside_subgraphs_use_what_lies_outside() -> None:
    double = function("Double", [helper.make_node("Add", ["a", "w"], ["r"])])
    double.ClearField("node")
    double.node.append(helper.make_node("Add", ["a", "a"], ["r"]))

    def branch(name: str, given: str) -> onnx.GraphProto:
        nodes = [
            helper.make_node("Double", [given], ["t"], domain="mine"),
            helper.make_node("Mul", ["t", "w"], [name]),
        ]
        return helper.make_graph(nodes, name, [], [onnx.ValueInfoProto(name=name)])

    nodes = [
        helper.make_node("Neg", ["x"], ["n"]),
        helper.make_node(
            "If", ["c"], ["y"], then_branch=branch("p", "x"), else_branch=branch("q", "n")
        ),
    ]
    weight = numpy_helper.from_array(np.array(5, np.float32), "w")
    inputs = [value("x"), value("c", TensorProto.BOOL, [])]
    loaded = sardonyx.load(model(nodes, inputs, ["y"], [weight], functions=[double]))
    x = np.array([1, 2], np.float32)
    assert loaded(x, np.array(True)).tolist() == [10, 20]
    assert loaded(x, np.array(False)).tolist() == [-10, -20]


def test_captures_cross_two_levels() -> None:
    def branch(nodes: list[onnx.NodeProto], result: str) -> onnx.GraphProto:
        return helper.make_graph(nodes, result, [], [onnx.ValueInfoProto(name=result)])

    inner = helper.make_node(
        "If",
        ["d"],
        ["i"],
        then_branch=branch([helper.make_node("Add", ["x", "n"], ["t"])], "t"),
        else_branch=branch([helper.make_node("Identity", ["n"], ["e"])], "e"),
    )
    outer = helper.make_node(
        "If",
        ["c"],
        ["y"],
        then_branch=branch([inner], "i"),
        else_branch=branch([helper.make_node("Identity", ["x"], ["o"])], "o"),
    )
    nodes = [outer, helper.make_node("Neg", ["x"], ["n"])]  # out of order, too
    flags = [value("c", TensorProto.BOOL, []), value("d", TensorProto.BOOL, [])]
    loaded = sardonyx.load(model(nodes, [value("x"), *flags], ["y"]))
    x, yes, no = np.array([3], np.float32), np.array(True), np.array(False)
    assert loaded(x, yes, yes).tolist() == [0]
    assert loaded(x, yes, no).tolist() == [-3]
    assert loaded(x, no, yes).tolist() == [3]


def test_what_inference_does_not_need_is_ignored() -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], [value("x")], ["y"])
    made.training_info.add().algorithm.CopyFrom(made.graph)
    made.graph.quantization_annotation.add(tensor_name="x")
    made.configuration.add(name="devices", num_devices=2)
    made.graph.node[0].device_configurations.add(configuration_id="devices")
    made.graph.node[0].metadata_props.add(key="stack", value="trace " * 1000)
    made.graph.input[0].type.denotation = "IMAGE"
    made.metadata_props.add(key="author", value="me")
    loaded = sardonyx.load(made)
    assert loaded(np.array([-1, 2], np.float32)).tolist() == [0, 2]
    assert loaded.metadata["author"] == "me"


def test_a_wrong_declared_output_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], [value("x", shape=[2])], [])
    made.graph.output.append(value("y", shape=[5]))
    made.graph.value_info.append(value("y", shape=[7]))
    loaded = sardonyx.load(made)
    assert "output 'y' is declared as float32[5]" in caplog.text
    assert loaded(randn(2)).shape == (2,)


def test_stale_dimensions_inside_the_graph_do_no_harm() -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["i"]),
        helper.make_node("Shape", ["i"], ["s"]),
        helper.make_node("Identity", ["s"], ["y"]),
    ]
    made = model(nodes, [value("x")], ["y"])
    made.graph.value_info.append(value("i", TensorProto.INT64, [1, 9]))
    assert sardonyx.load(made)(np.array([1, 0, 1], np.float32)).tolist() == [1, 2]


def test_open_dimensions_of_inputs_are_one_number_each() -> None:
    nodes = [
        helper.make_node("Mul", ["a", "s"], ["p"]),
        helper.make_node("Add", ["p", "s"], ["q"]),
        helper.make_node("Sub", ["q", "b"], ["y"]),
    ]
    scale = numpy_helper.from_array(np.float32(2), "s")
    inputs = [value("a", shape=(None, 3)), value("b", shape=(None, 3))]
    loaded = sardonyx.load(model(nodes, inputs, ["y"], [scale]))
    assert [tuple(entry.shape) for entry in loaded.inputs] == [(None, 3), (None, 3)]
    a, b = randn(4, 3), randn(4, 3)
    np.testing.assert_allclose(loaded(a, b), 2 * a + 2 - b, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(loaded(a, b[:1]), 2 * a + 2 - b[:1], rtol=1e-6, atol=1e-6)
    steps = loaded.profile({"a": a, "b": b}).steps
    assert [step.op for step in steps] == ["sardonyx::Elementwise", "Sub"]


OPEN = "open_dim_0_of_input_1"


@pytest.mark.parametrize("name", [OPEN, f"({OPEN})", f" ({OPEN}) "])
def test_open_dimensions_are_none_that_the_file_names(name: str) -> None:
    inputs = [value("a", shape=(name, 3)), value("b", shape=(None, 3))]
    loaded = sardonyx.load(model([helper.make_node("Add", ["a", "b"], ["y"])], inputs, ["y"]))
    a, b = randn(4, 3), randn(1, 3)
    np.testing.assert_allclose(loaded(a, b), a + b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("declared", [(None, 3), None])
@pytest.mark.parametrize(
    ("first", "second", "rows"),
    [((None, 3), (None, 3), None), (("n", 3), ("n", 3), "2*n"), (("n", 3), (None, 3), None)],
)
def test_outputs_say_nothing_of_open_dimensions(
    first: Any, second: Any, rows: str | None, declared: Any
) -> None:
    inputs = [value("a", shape=first), value("b", shape=second)]
    made = model([helper.make_node("Concat", ["a", "b"], ["y"], axis=0)], inputs, ["y"])
    made.graph.output[0].CopyFrom(value("y", shape=declared))
    (output,) = sardonyx.load(made).outputs
    assert tuple(output.shape) == (rows, 3)
    assert output.type == f"float32[{rows or '?'}, 3]"


@pytest.mark.parametrize("ir_version", [*range(1, 15), 99])
def test_every_ir_version_loads(ir_version: int) -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], [value("x")], ["y"], opset=7)
    made.ir_version = ir_version
    assert sardonyx.load(made)(np.array([-1, 2], np.float32)).tolist() == [0, 2]


def test_domains_that_no_node_uses_are_tolerated() -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], [value("x")], ["y"])
    made.opset_import.append(helper.make_opsetid("nobody.knows", 77))
    assert sardonyx.load(made)(np.array([-1, 2], np.float32)).tolist() == [0, 2]


@pytest.mark.parametrize("version", [0, -1])
def test_domains_of_functions_have_any_version(version: int) -> None:
    body = [helper.make_node("Relu", ["x"], ["y"])]
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("theirs", version)]
    function = helper.make_function("theirs", "F", ["x"], ["y"], body, imports)
    call = helper.make_node("F", ["x"], ["y"], domain="theirs")
    made = model([call], [value("x")], ["y"], functions=[function])
    made.opset_import.append(imports[-1])
    assert sardonyx.load(made)(np.array([-1, 2], np.float32)).tolist() == [0, 2]


def test_nodes_whose_first_output_is_left_out() -> None:
    """Passes that look for convolutions meet them too."""
    node = helper.make_node("RNN", ["x", "w", "r"], ["", "h"], hidden_size=2)
    after = helper.make_node("Relu", ["h"], ["y"])
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [3, 1, 2]), ("w", [1, 2, 2]), ("r", [1, 2, 2]))
    ]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 2])
    graph = helper.make_graph([node, after], "rnn", infos, [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    feeds = {
        info.name: np.ones([d.dim_value for d in info.type.tensor_type.shape.dim], np.float32)
        for info in infos
    }
    assert sardonyx.load(model).run(None, feeds)[0].shape == (1, 1, 2)
