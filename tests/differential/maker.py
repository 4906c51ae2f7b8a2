"""Building ONNX graphs node by node: shapes are followed, old opsets spelled as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSETS = (9, 11, 13, 17, 18, 21)


class Maker:
    """A graph in the making. Values are names; `shape` knows their sizes, `terms` counts what sums
    add up along the way, so that tolerances know how errors may have grown."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.opset = int(self.rng.choice(OPSETS))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.feeds: dict[str, np.ndarray] = {}
        self.shape: dict[str, tuple[int, ...]] = {}
        self.outputs: list[str] = []
        self.terms = 1

    # --- drawing

    def one(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high))

    def randn(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return (self.rng.standard_normal(shape) * scale).astype(np.float32)

    # --- values

    def input(self, name: str, array: np.ndarray, symbols: dict[int, str] | None = None) -> str:
        dims: list[int | str] = list(array.shape)
        for axis, symbol in (symbols or {}).items():
            dims[axis] = symbol
        code = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, code, dims))
        self.feeds[name] = array
        self.shape[name] = array.shape
        return name

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        array = np.asarray(array, dtype)
        name = f"c{len(self.shape)}"
        self.shape[name] = array.shape
        if self.chance(0.3):
            tensor = numpy_helper.from_array(array, name)
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.constants.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def op(self, kind: str, *inputs: str, shape: Any = None, **attrs: Any) -> str:
        """A node of one output, of the first input's shape unless told."""
        name = f"v{len(self.shape)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], f"n{len(self.nodes)}", **attrs))
        self.shape[name] = tuple(self.shape[inputs[0]] if shape is None else shape)
        return name

    def binary(self, kind: str, a: str, b: str) -> str:
        """Operands in either order where it makes no difference."""
        shape = np.broadcast_shapes(self.shape[a], self.shape[b])
        if kind in ("Add", "Mul") and self.chance(0.5):
            a, b = b, a
        return self.op(kind, a, b, shape=shape)

    def add(self, a: str, b: str) -> str:
        return self.binary("Add", a, b)

    def mul(self, a: str, b: str) -> str:
        return self.binary("Mul", a, b)

    # --- operators whose form depends on the opset

    def reduce(self, kind: str, x: str, axes: tuple[int, ...], keepdims: int = 1) -> str:
        rank = len(self.shape[x])
        gone = {axis % rank for axis in axes}
        sizes = [(i, n) for i, n in enumerate(self.shape[x]) if i not in gone or keepdims]
        shape = [1 if i in gone else n for i, n in sizes]
        by_input = self.opset >= (13 if kind == "ReduceSum" else 18)
        if by_input:
            return self.op(kind, x, self.integers(*axes), shape=shape, keepdims=keepdims)
        return self.op(kind, x, shape=shape, axes=list(axes), keepdims=keepdims)

    def clip(self, x: str, low: float, high: float) -> str:
        if self.opset < 11:
            return self.op("Clip", x, min=low, max=high)
        return self.op("Clip", x, self.constant(low), self.constant(high))

    def slice(self, x: str, axis: int, start: int, end: int) -> str:
        shape = list(self.shape[x])
        shape[axis] = end - start
        if self.opset < 10:
            return self.op("Slice", x, shape=shape, starts=[start], ends=[end], axes=[axis])
        lists = [self.integers(value) for value in (start, end, axis)]
        return self.op("Slice", x, *lists, shape=shape)

    def split(self, x: str, axis: int) -> tuple[str, str]:
        """Two halves."""
        shape = list(self.shape[x])
        shape[axis] //= 2
        names = (f"v{len(self.shape)}", f"v{len(self.shape) + 1}")
        attrs: dict[str, Any] = {"axis": axis} | ({"num_outputs": 2} if self.opset >= 18 else {})
        self.nodes.append(helper.make_node("Split", [x], names, f"n{len(self.nodes)}", **attrs))
        for name in names:
            self.shape[name] = tuple(shape)
        return names

    def pad(self, x: str, pads: list[int]) -> str:
        rank = len(self.shape[x])
        shape = [n + pads[i] + pads[rank + i] for i, n in enumerate(self.shape[x])]
        if self.opset < 11:
            return self.op("Pad", x, shape=shape, pads=pads)
        return self.op("Pad", x, self.integers(*pads), shape=shape)

    def upsample(self, x: str, mode: str) -> str:
        n, c, h, w = self.shape[x]
        shape, scales = (n, c, 2 * h, 2 * w), self.constant([1, 1, 2, 2])
        if self.opset < 11:
            return self.op("Upsample", x, scales, shape=shape, mode=mode)
        if self.opset < 13:
            return self.op("Resize", x, self.constant([]), scales, shape=shape, mode=mode)
        if self.chance(0.5):
            return self.op("Resize", x, "", scales, shape=shape, mode=mode)
        sizes = self.integers(*shape)
        return self.op("Resize", x, "", "", sizes, shape=shape, mode=mode)

    def reshape(self, x: str, *shape: int) -> str:
        """Through a constant, or through arithmetic on the shape where the first size is kept."""
        if shape[0] != self.shape[x][0] or self.chance(0.4):
            return self.op("Reshape", x, self.integers(*shape), shape=shape)
        sizes = self.op("Shape", x, shape=(len(self.shape[x]),))
        first = self.op("Gather", sizes, self.integers(0), shape=(1,), axis=0)
        rest = self.integers(*shape[1:])
        to = self.op("Concat", first, rest, shape=(len(shape),), axis=0)
        return self.op("Reshape", x, to, shape=shape)

    def transpose(self, x: str, *perm: int) -> str:
        return self.op("Transpose", x, shape=[self.shape[x][i] for i in perm], perm=list(perm))

    # --- the model

    def values(self) -> list[str]:
        """What the nodes make, the outputs first."""
        made = [name for node in self.nodes for name in node.output]
        return list(dict.fromkeys(self.outputs + made))

    def model(self, outputs: list[str] | None = None) -> onnx.ModelProto:
        results = [onnx.ValueInfoProto(name=name) for name in outputs or self.outputs]
        graph = helper.make_graph(self.nodes, "random", self.inputs, results, self.constants)
        imports = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)
