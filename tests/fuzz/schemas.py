"""One operator after another from its schema: any version, types, shapes and attributes, usual and
hostile."""

from __future__ import annotations

import random
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from mutations import FLOATS, small_or_hostile, value_for
from onnx import TensorProto, helper

DOMAINS = ("", "ai.onnx.ml", "ai.onnx.preview.training")
SCHEMAS = sorted(
    (s for s in onnx.defs.get_all_schemas_with_history() if s.domain in DOMAINS),
    key=lambda s: (s.domain, s.name, s.since_version),
)
TYPES = {
    "float": np.float32,
    "double": np.float64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "bool": np.bool_,
    "string": object,
    "complex64": np.complex64,
    "complex128": np.complex128,
    "float8e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8e5m2": ml_dtypes.float8_e5m2,
    "int4": ml_dtypes.int4,
    "uint4": ml_dtypes.uint4,
} | {
    f"{sign}int{bits}": np.dtype(f"{sign}int{bits}")
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}


def array_of(kind: str, shape: list[int], rng: random.Random) -> np.ndarray:
    count = int(np.prod(shape))
    if kind == "string":
        return np.array([rng.choice(("", "a", "b c", "ä")) for _ in range(count)], object).reshape(
            shape
        )
    dtype = np.dtype(TYPES[kind])
    with np.errstate(all="ignore"):
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            hostile = rng.random() < 0.3
            draw = (lambda: small_or_hostile(rng)) if hostile else (lambda: rng.randint(-2, 6))
            values = [max(limits.min, min(limits.max, draw())) for _ in range(count)]
        elif rng.random() < 0.3:
            values = [rng.choice(FLOATS) for _ in range(count)]
        else:
            values = [rng.uniform(-3, 3) for _ in range(count)]
        if dtype.kind == "b":
            values = [value > 0 for value in values]
        return np.array(values).reshape(shape).astype(dtype)


def random_shape(rng: random.Random) -> list[int]:
    rank = rng.choice((0, 1, 1, 2, 2, 3, 3, 4, 4, 5))
    if rng.random() < 0.02:
        return [rng.choice((1, 1, 1, 2)) for _ in range(rng.randint(6, 12))]
    return [rng.choice((0, 1, 1, 2, 2, 3, 4, 5, 8)) for _ in range(rank)]


def random_inputs(schema: Any, rng: random.Random) -> list[tuple[str, str] | None]:
    """(kind, name) of every input that is given."""
    chosen: dict[str, str] = {}
    constraints = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    given: list[tuple[str, str] | None] = []
    for formal in schema.inputs:
        variadic = formal.option == onnx.defs.OpSchema.FormalParameterOption.Variadic
        optional = formal.option == onnx.defs.OpSchema.FormalParameterOption.Optional
        if optional and rng.random() < 0.4:
            given.append(None)
            continue
        allowed = constraints.get(formal.type_str, [formal.type_str])
        for _ in range(rng.randint(1, 4) if variadic else 1):
            if formal.type_str not in chosen or not formal.is_homogeneous:
                chosen[formal.type_str] = rng.choice(sorted(allowed))
            kind = chosen[formal.type_str]
            if rng.random() < 0.03:
                kind = f"tensor({rng.choice(sorted(TYPES))})"
            given.append((kind, f"x{len(given)}"))
    return given


def _branch(rng: random.Random) -> onnx.GraphProto:
    inputs = [onnx.ValueInfoProto(name=f"b{i}") for i in range(rng.randint(0, 3))]
    nodes = [
        helper.make_node("Identity", [value.name], [f"r{i}"]) for i, value in enumerate(inputs)
    ]
    outputs = [onnx.ValueInfoProto(name=node.output[0]) for node in nodes]
    return helper.make_graph(nodes, "body", inputs, outputs)


def random_model(schema: Any, rng: random.Random) -> tuple[bytes, dict[str, Any], list[str]]:
    """A model of one node, its feeds, and what it is."""
    shapes = [random_shape(rng) for _ in range(2)]
    feeds: dict[str, Any] = {}
    infos, initializers, names = [], [], []
    for item in random_inputs(schema, rng):
        if item is None:
            names.append("")
            continue
        kind, name = item
        names.append(name)
        shape = list(rng.choice(shapes)) if rng.random() < 0.8 else random_shape(rng)
        inner = kind.removeprefix("seq(").removeprefix("tensor(").rstrip(")")
        value: Any = array_of(inner if inner in TYPES else "float", shape, rng)
        if kind.startswith("seq("):
            value = [value] * rng.randint(0, 3)
        elif not kind.startswith("tensor("):
            infos.append(onnx.ValueInfoProto(name=name))
            continue
        element = TensorProto.STRING if inner == "string" else None
        if element is None:
            element = helper.np_dtype_to_tensor_dtype(np.dtype(TYPES.get(inner, np.float32)))
        known = rng.random()
        declared: Any = shape if known < 0.5 else [f"d{i}" for i in range(len(shape))]
        declared = None if known > 0.85 else declared
        if isinstance(value, np.ndarray) and inner != "string" and rng.random() < 0.35:
            initializers.append(onnx.numpy_helper.from_array(value, name))
            continue
        feeds[name] = value
        proto = helper.make_tensor_type_proto(element, declared)
        if isinstance(value, list):
            proto = helper.make_sequence_type_proto(proto)
        infos.append(helper.make_value_info(name, proto))
    node = helper.make_node(schema.name, names, [], domain=schema.domain, name="node")
    most = min(max(schema.max_output, 1), 5)
    node.output.extend(f"y{i}" for i in range(rng.randint(max(schema.min_output, 1), most)))
    if rng.random() < 0.15:
        node.output[rng.randrange(len(node.output))] = ""
    for name, attribute in sorted(schema.attributes.items()):
        if not attribute.required and rng.random() < 0.55:
            continue
        if attribute.type == onnx.defs.OpSchema.AttrType.GRAPH:
            node.attribute.append(helper.make_attribute(name, _branch(rng)))
            continue
        value = value_for(attribute.type, rng)
        if name in ("axis", "to", "dtype", "k", "group", "axes", "perm") and rng.random() < 0.6:
            value = rng.randint(-2, 3) if isinstance(value, int) else [rng.randint(-2, 3)]
        node.attribute.append(helper.make_attribute(name, value))
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "graph", infos, outputs, initializers)
    opsets = [helper.make_opsetid(schema.domain, schema.since_version)]
    if schema.domain:
        opsets.append(helper.make_opsetid("", 21))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return model.SerializeToString(), feeds, [f"{schema.name}-{schema.since_version}"]
