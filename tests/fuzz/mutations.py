"""Mutations of valid models: nodes, attributes, types, shapes, initializers, functions, feeds."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from corpus import Sample
from onnx import AttributeProto, TensorProto, helper

INTEGERS = (0, 1, -1, 2, 3, 7, -2, 64, 1000, 2**31 - 1, -(2**31), 2**32, 2**40, 2**62, 2**63 - 1)
INTEGERS += (-(2**63), -(2**62), 65537)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, -1e30, 3e38, float("inf"), float("-inf"))
FLOATS += (float("nan"), 2.0**31, -(2.0**63), 2.0**64)
TEXTS = (
    "",
    "SAME_UPPER",
    "VALID",
    "linear",
    "nearest",
    "x" * 300,
    "a,b->ab",
    "ij,jk->ik",
    "NOTSET",
)
TEXTS += ("...i->i...", "cubic", "reflect", "RGB", "[(", "\0", "ä", "mean", "none", "Relu", "float")
TEXTS += ("bidirectional", "LRU", "wrap")
DTYPES = [v for k, v in TensorProto.DataType.items() if v]

Names = list[str]


def graphs_of(model: onnx.ModelProto) -> list[onnx.GraphProto]:
    """The main graph and those below it."""
    found, todo = [], [model.graph]
    while todo:
        graph = todo.pop()
        found.append(graph)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == AttributeProto.GRAPH:
                    todo.append(attribute.g)
                todo += attribute.graphs
    return found


def names_in(graph: onnx.GraphProto) -> Names:
    names = [value.name for value in graph.input] + [t.name for t in graph.initializer]
    return names + [name for node in graph.node for name in node.output if name]


def small_or_hostile(rng: random.Random) -> int:
    return rng.choice(INTEGERS) if rng.random() < 0.5 else rng.randint(-4, 9)


def random_attribute_value(rng: random.Random) -> Any:
    kind = rng.randrange(7)
    if kind == 0:
        return small_or_hostile(rng)
    if kind == 1:
        return rng.choice(FLOATS)
    if kind == 2:
        return rng.choice(TEXTS)
    if kind == 3:
        return [small_or_hostile(rng) for _ in range(rng.randint(1, 6))]
    if kind == 4:
        return [1.5] * rng.randint(1, 5)
    if kind == 5:
        return [rng.choice(TEXTS) for _ in range(rng.randint(1, 4))]
    return random_tensor(rng, "")


def random_tensor(rng: random.Random, name: str) -> onnx.TensorProto:
    dtype = rng.choice((TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8))
    shape = [rng.choice((0, 1, 2, 3)) for _ in range(rng.randint(0, 3))]
    array = np.array([small_or_hostile(rng) for _ in range(int(np.prod(shape)))], np.int64)
    with np.errstate(all="ignore"):
        array = array.reshape(shape).astype(helper.tensor_dtype_to_np_dtype(dtype))
    return helper.make_tensor(name, dtype, shape, array.tobytes(), raw=True)


def mutate_integers(values: Any, rng: random.Random) -> None:
    """One element of a repeated field of integers: changed, dropped, doubled or added."""
    act = rng.randrange(5)
    if act == 0 or not values:
        values.append(small_or_hostile(rng))
    elif act == 1:
        del values[rng.randrange(len(values))]
    elif act == 2:
        values.append(values[rng.randrange(len(values))])
    else:
        values[rng.randrange(len(values))] = small_or_hostile(rng)


# --- each takes a graph with its model and returns what it did, or None where it could not


def drop_node(model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random) -> str | None:
    if not graph.node:
        return None
    index = rng.randrange(len(graph.node))
    name = graph.node[index].op_type
    del graph.node[index]
    return f"drop {name}"


def double_node(model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random) -> str | None:
    if not graph.node:
        return None
    node = graph.node.add()
    node.CopyFrom(rng.choice(graph.node[:-1]))
    if rng.random() < 0.8:
        for i, name in enumerate(node.output):
            node.output[i] = f"{name}_again" if name else ""
        if node.input and rng.random() < 0.5:
            node.input[0] = rng.choice(names_in(graph) or [""])
    return f"double {node.op_type}"


def shuffle_nodes(model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random) -> str | None:
    nodes = list(graph.node)
    rng.shuffle(nodes)
    del graph.node[:]
    graph.node.extend(nodes)
    return "shuffle"


def rewire(model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random) -> str | None:
    if not graph.node:
        return None
    node = rng.choice(graph.node)
    act = rng.randrange(6)
    if act == 0:
        node.input.append(rng.choice([*names_in(graph), "", "nowhere"]))
    elif act == 1 and node.output:
        node.output[rng.randrange(len(node.output))] = rng.choice([*names_in(graph), "", "new"])
    elif act == 2 and node.input:
        del node.input[rng.randrange(len(node.input))]
    elif act == 3:
        node.output.append(rng.choice(["", "extra"]))
    elif act == 4 and node.output:
        del node.output[rng.randrange(len(node.output))]
    elif node.input:
        names = [*names_in(graph), *names_in(graph), "", "nowhere"]
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    return f"rewire {node.op_type}"


def change_operator(
    model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random
) -> str | None:
    if not graph.node:
        return None
    node = rng.choice(graph.node)
    was = node.op_type
    if rng.random() < 0.1:
        node.domain = rng.choice(["", "ai.onnx.ml", "com.microsoft", "nowhere"])
    schema = rng.choice(OPERATORS)
    node.op_type, node.domain = schema.name, schema.domain
    if schema.domain and all(o.domain != schema.domain for o in model.opset_import):
        model.opset_import.append(helper.make_opsetid(schema.domain, schema.since_version))
    return f"{was} -> {schema.name}"


OPERATORS = [s for s in onnx.defs.get_all_schemas() if s.domain in ("", "ai.onnx.ml")]


def change_attribute(
    model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random
) -> str | None:
    nodes = [n for n in graph.node if n.attribute] or list(graph.node)
    if not nodes:
        return None
    node = rng.choice(nodes)
    if not node.attribute or rng.random() < 0.3:
        return add_attribute(node, rng)
    index = rng.randrange(len(node.attribute))
    attribute = node.attribute[index]
    name, kind, act = attribute.name, attribute.type, rng.randrange(8)
    if act == 0:
        del node.attribute[index]
    elif act == 1:
        replacement = helper.make_attribute(name, random_attribute_value(rng))
        attribute.CopyFrom(replacement)
    elif kind == AttributeProto.INT:
        attribute.i = small_or_hostile(rng)
    elif kind == AttributeProto.FLOAT:
        attribute.f = rng.choice(FLOATS)
    elif kind == AttributeProto.STRING:
        attribute.s = rng.choice(TEXTS).encode()
    elif kind == AttributeProto.INTS:
        mutate_integers(attribute.ints, rng)
    elif kind == AttributeProto.FLOATS:
        attribute.floats.append(1.0) if act < 4 else attribute.ClearField("floats")
    elif kind == AttributeProto.STRINGS:
        attribute.strings.append(rng.choice(TEXTS).encode())
    elif kind == AttributeProto.TENSOR:
        mutate_tensor(attribute.t, rng)
    else:
        attribute.type = rng.choice(list(AttributeProto.AttributeType.values()))
    return f"attribute {name} of {node.op_type}"


def add_attribute(node: onnx.NodeProto, rng: random.Random) -> str:
    """One that the operator knows where its schema is known."""
    name = rng.choice(["axis", "axes", "to", "alpha", "mode", "k", "group", "strides", "unknown"])
    value = random_attribute_value(rng)
    if onnx.defs.has(node.op_type, node.domain):
        schema = onnx.defs.get_schema(node.op_type, domain=node.domain)
        if schema.attributes:
            name = rng.choice(sorted(schema.attributes))
            value = value_for(schema.attributes[name].type, rng)
    attribute = helper.make_attribute(name, value)
    for i, old in enumerate(node.attribute):
        if old.name == name:
            del node.attribute[i]
            break
    node.attribute.append(attribute)
    return f"attribute {name} to {node.op_type}"


def value_for(kind: Any, rng: random.Random) -> Any:
    """A value of this type of attribute, hostile or usual."""
    kinds = onnx.defs.OpSchema.AttrType
    if kind == kinds.INT:
        return small_or_hostile(rng)
    if kind == kinds.FLOAT:
        return rng.choice(FLOATS)
    if kind == kinds.STRING:
        return rng.choice(TEXTS)
    if kind == kinds.INTS:
        return [small_or_hostile(rng) for _ in range(rng.randint(1, 6))]
    if kind == kinds.FLOATS:
        return [float(np.float32(rng.uniform(-3, 3))) for _ in range(rng.randint(1, 9))]
    if kind == kinds.STRINGS:
        return [rng.choice(TEXTS) for _ in range(rng.randint(1, 4))]
    if kind == kinds.TENSOR:
        return random_tensor(rng, "")
    return random_attribute_value(rng)


def mutate_tensor(tensor: onnx.TensorProto, rng: random.Random) -> None:
    act = rng.randrange(6)
    if act == 0:
        mutate_integers(tensor.dims, rng)
    elif act == 1:
        tensor.data_type = rng.choice([*DTYPES, 0, 99])
    elif act == 2 and tensor.raw_data:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data))]
    elif act == 3 and len(tensor.dims) > 1:
        # Of the same size, so that it stays valid: the shape and its transpose, or all in one.
        dims = sorted(tensor.dims, reverse=True) if rng.random() < 0.5 else [*tensor.dims][::-1]
        tensor.dims[:] = dims
    elif tensor.data_type in (TensorProto.INT64, TensorProto.INT32) and tensor.raw_data:
        width = 8 if tensor.data_type == TensorProto.INT64 else 4
        values = np.frombuffer(tensor.raw_data, f"<i{width}").copy()
        if values.size:
            bound = 1 << (8 * width - 1)
            values[rng.randrange(values.size)] = max(-bound, min(bound - 1, small_or_hostile(rng)))
            tensor.raw_data = values.tobytes()
    elif tensor.int64_data:
        tensor.int64_data[rng.randrange(len(tensor.int64_data))] = small_or_hostile(rng)
    elif tensor.raw_data:
        data = bytearray(tensor.raw_data)
        data[rng.randrange(len(data))] = rng.choice((0, 1, 127, 128, 255))
        tensor.raw_data = bytes(data)


def change_initializer(
    model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random
) -> str | None:
    if not graph.initializer:
        return None
    tensor = rng.choice(graph.initializer)
    if rng.random() < 0.1:
        tensor.name = rng.choice(names_in(graph))
    else:
        mutate_tensor(tensor, rng)
    return f"initializer {tensor.name}"


def change_type(model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random) -> str | None:
    values = [*graph.input, *graph.input, *graph.output, *graph.value_info]
    if not values:
        return None
    value = rng.choice(values)
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type" or rng.random() < 0.05:
        value.type.sequence_type.elem_type.tensor_type.elem_type = rng.choice(DTYPES)
        return f"type of {value.name}"
    tensor, act = value.type.tensor_type, rng.randrange(6)
    if act == 0:
        tensor.elem_type = rng.choice([*DTYPES, 0, 99])
    elif act == 1:
        tensor.ClearField("shape")
    elif act == 2 and tensor.shape.dim:
        del tensor.shape.dim[rng.randrange(len(tensor.shape.dim))]
    elif act == 3:
        tensor.shape.dim.add().dim_value = rng.choice((0, 1, 2, 2**40))
    elif tensor.shape.dim:
        dim = rng.choice(tensor.shape.dim)
        if rng.random() < 0.4:
            dim.dim_param = rng.choice(("n", "m", "batch", ""))
        else:
            dim.dim_value = small_or_hostile(rng)
    return f"type of {value.name}"


def change_header(model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random) -> str | None:
    if rng.random() < 0.2:
        model.ir_version = rng.choice((0, 1, 3, 4, 10, 99, 2**62))
        return f"ir_version {model.ir_version}"
    if not model.opset_import:
        return None
    opset = rng.choice(model.opset_import)
    opset.version = rng.choice((1, 5, 6, 7, 9, 10, 11, 13, 14, 17, 18, 20, 23, 25, 0, -1, 2**40))
    return f"opset {opset.domain} {opset.version}"


def change_outputs(
    model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random
) -> str | None:
    if rng.random() < 0.5:
        graph.output.add().name = rng.choice([*names_in(graph), "nowhere"])
    elif graph.output:
        del graph.output[rng.randrange(len(graph.output))]
    return "outputs"


def make_function(model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random) -> str | None:
    """A node moves into a function that the model calls, perhaps one that calls itself."""
    nodes = [n for n in graph.node if n.op_type and not n.domain]
    if not nodes:
        return None
    node = rng.choice(nodes)
    function = model.functions.add(name=node.op_type, domain="mine")
    function.opset_import.extend(model.opset_import)
    function.opset_import.add(domain="mine", version=1)
    function.input.extend(dict.fromkeys(name for name in node.input if name))
    function.output.extend(name for name in node.output if name)
    function.node.add().CopyFrom(node)
    if rng.random() < 0.15:
        function.node[0].domain = "mine"
    if all(opset.domain != "mine" for opset in model.opset_import):
        model.opset_import.add(domain="mine", version=1)
    inputs = list(function.input)
    node.domain = "mine"
    del node.input[:], node.attribute[:]
    node.input.extend(inputs)
    return f"function of {node.op_type}"


def feed_to_constant(
    model: onnx.ModelProto, graph: onnx.GraphProto, rng: random.Random
) -> str | None:
    """Marks an input; `apply` moves its feed into the file."""
    return "constant"


MUTATIONS: list[tuple[Callable[..., str | None], int]] = [
    (change_attribute, 8),
    (change_type, 5),
    (change_initializer, 5),
    (rewire, 5),
    (feed_to_constant, 4),
    (change_operator, 3),
    (change_header, 2),
    (double_node, 2),
    (drop_node, 1),
    (shuffle_nodes, 1),
    (change_outputs, 1),
    (make_function, 1),
]


def mutate_feed(array: Any, rng: random.Random) -> Any:
    """A value of another shape, type or content."""
    if not isinstance(array, np.ndarray) or array.dtype.kind in "OUST":
        return array
    act = rng.randrange(6)
    if act == 0:
        return array[..., None] if rng.random() < 0.5 else array.reshape(-1)
    if act == 1 and array.ndim:
        shape = list(array.shape)
        shape[rng.randrange(array.ndim)] = rng.choice((0, 1, 2, 5))
        return (
            np.resize(array, shape)
            if 0 not in shape and array.size
            else np.zeros(shape, array.dtype)
        )
    changed = array.copy()
    if not changed.size:
        return changed
    position = tuple(rng.randrange(n) for n in changed.shape)
    if changed.dtype.kind in "iu":
        limits = np.iinfo(changed.dtype)
        value = small_or_hostile(rng)
        changed[position] = max(limits.min, min(limits.max, value))
    elif changed.dtype.kind == "f":
        with np.errstate(all="ignore"):
            value = np.array(rng.choice(FLOATS)).astype(changed.dtype)
        changed[position] = value
        if rng.random() < 0.3:
            changed[...] = value
    return changed


def mutated(sample: Sample, rng: random.Random) -> tuple[bytes, dict[str, Any], list[str]]:
    """A model, its feeds, and what was done to the sample."""
    model = onnx.ModelProto.FromString(sample.model)
    feeds, done = dict(sample.feeds), []
    functions, weights = zip(*MUTATIONS, strict=True)
    for mutation in rng.choices(functions, weights, k=rng.choice((1, 1, 1, 2, 3, 5))):
        graph = model.graph if rng.random() < 0.6 else rng.choice(graphs_of(model))
        if mutation is feed_to_constant:
            done.append(_make_constant(model.graph, feeds, rng))
            continue
        try:
            done.append(mutation(model, graph, rng) or "")
        except (TypeError, ValueError, OverflowError) as error:
            done.append(f"{mutation.__name__}: {error}")
    for name in feeds:
        if rng.random() < 0.15:
            feeds[name] = mutate_feed(feeds[name], rng)
            done.append(f"feed {name}")
    return model.SerializeToString(), feeds, done


def _make_constant(graph: onnx.GraphProto, feeds: dict[str, Any], rng: random.Random) -> str:
    names = [
        n for n, v in feeds.items() if isinstance(v, np.ndarray) and v.dtype.kind not in "OUST"
    ]
    if not names:
        return ""
    name = rng.choice(names)
    array = feeds.pop(name)
    try:
        graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    except (KeyError, TypeError, ValueError):
        return ""
    for i, value in enumerate(graph.input):
        if value.name == name and rng.random() < 0.9:
            del graph.input[i]
            break
    return f"constant {name}"
