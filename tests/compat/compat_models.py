"""Models that the tests of the interface run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper, parser

HEADER = '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]>'


def model(text: str) -> bytes:
    """A model from 'g (float[N] x) => (float[N] y) { y = Relu(x) }'."""
    data: bytes = parser.parse_model(f"{HEADER} {text}").SerializeToString()
    return data


TWO = model(
    "two (float[N, 3] x, int64[2] k) => (float[N, 3] y, int64[2] z) { y = Relu(x) z = Neg(k) }"
)
ADD = model("add (float[N, 3] x) => (float[N, 3] y) <float[3] w = {1, 2, 3}> { y = Add(x, w) }")
TEXT = model("text (string[N] x) => (string[N] y) { y = Identity(x) }")


def identity(value_type: Any) -> bytes:
    """One Identity of a sequence or an optional."""
    x, y = (helper.make_value_info(name, value_type) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    return saved(graph)


def zip_map() -> bytes:
    node = helper.make_node(
        "ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[10, 20]
    )
    element = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    y = helper.make_value_info("y", helper.make_sequence_type_proto(element))
    return saved(helper.make_graph([node], "zip", [x], [y]))


def dict_vectorizer(
    element: int = TensorProto.FLOAT, keys: Sequence[str | int] = ("a", "b")
) -> bytes:
    is_text = isinstance(keys[0], str)
    vocabulary: dict[str, Any] = {"string_vocabulary" if is_text else "int64_vocabulary": keys}
    node = helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", **vocabulary)
    kind = helper.make_map_type_proto(
        TensorProto.STRING if is_text else TensorProto.INT64,
        helper.make_tensor_type_proto(element, None),
    )
    x = helper.make_value_info("x", kind)
    y = helper.make_tensor_value_info("y", element, [1, 2])
    return saved(helper.make_graph([node], "vectorize", [x], [y]))


def with_default() -> bytes:
    """x + w, where w is an input with a default; and everything a file says about itself."""
    infos = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in "xwy"}
    default = helper.make_tensor("w", TensorProto.FLOAT, [2], [1, 2])
    node = helper.make_node("Add", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "named", [infos["x"], infos["w"]], [infos["y"]], [default])
    proto = onnx.ModelProto()
    proto.ParseFromString(saved(graph))
    proto.producer_name, proto.domain, proto.doc_string = "producer", "a.domain", "words"
    proto.model_version = 7
    for key, value in (("stride", "32"), ("domain", "of the user")):
        proto.metadata_props.add(key=key, value=value)
    graph_doc = "words about the graph"
    proto.graph.doc_string = graph_doc
    data: bytes = proto.SerializeToString()
    return data


def saved(graph: onnx.GraphProto) -> bytes:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 1)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return data
