"""Random images and tables through operators, joins and cuts: values that lie within others."""

import numpy as np
import onnx
import onnx.helper as oh
import onnx.numpy_helper
import onnx.parser
import pytest
from helpers import compare
from onnx.reference import ReferenceEvaluator

import sardonyx as sx

SUMMED = 4096  # terms behind one value, in a chain of convolutions


def model_of(
    nodes: list[onnx.NodeProto],
    shape: list[int | str],
    outputs: list[str],
    weights: list[onnx.TensorProto],
) -> onnx.ModelProto:
    """A model of one float32 input x of that shape."""
    graph = oh.make_graph(
        nodes,
        "parts",
        [oh.make_tensor_value_info("x", 1, shape)],
        [oh.make_tensor_value_info(name, 1, None) for name in outputs],
        weights,
    )
    return oh.make_model(graph, opset_imports=[oh.make_opsetid("", 17)], ir_version=9)


class Images:
    """Builds a graph of [batch, channels, 8, 8] values of random operators."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.made = 0
        self.channels = {"x": int(self.rng.choice([8, 16, 32]))}

    def constant(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, inputs: list[str], channels: list[int], **attributes) -> list[str]:
        outputs = [f"v{self.made + i}" for i in range(len(channels))]
        self.made += len(outputs)
        self.channels.update(zip(outputs, channels, strict=True))
        self.nodes.append(oh.make_node(op, inputs, outputs, **attributes))
        return outputs

    def conv(self, x: str, outputs: int, kernel: int, group: int = 1) -> str:
        shape = (outputs, self.channels[x] // group, kernel, kernel)
        scale = (shape[1] * kernel * kernel) ** -0.5
        w = self.constant((self.rng.standard_normal(shape) * scale).astype(np.float32))
        b = self.constant(self.rng.standard_normal(outputs).astype(np.float32))
        pads = [kernel // 2] * 4
        [y] = self.add(
            "Conv", [x, w, b], [outputs], pads=pads, kernel_shape=[kernel] * 2, group=group
        )
        return self.add("Relu", [y], [outputs])[0] if self.rng.random() < 0.5 else y

    def step(self) -> None:
        rng, names = self.rng, list(self.channels)
        x = str(rng.choice(names[-6:]))
        c = self.channels[x]
        kind = rng.choice(
            [
                "conv",
                "conv",
                "depthwise",
                "pool",
                "concat",
                "concat",
                "split",
                "slice",
                "add",
                "sigmoid",
                "scale",
                "resize",
            ]
        )
        if kind == "conv":
            self.conv(x, int(rng.choice([8, 16, 24, 32])), int(rng.choice([1, 3])))
        elif kind == "depthwise":
            self.conv(x, c, 3, group=c)
        elif kind == "pool":
            op = str(rng.choice(["MaxPool", "AveragePool"]))
            self.add(op, [x], [c], kernel_shape=[3, 3], pads=[1] * 4)
        elif kind == "concat":
            parts = [str(n) for n in rng.choice(names[-8:], size=int(rng.integers(2, 4)))]
            if sum(self.channels[n] for n in parts) <= 96:
                self.add("Concat", parts, [sum(self.channels[n] for n in parts)], axis=1)
        elif kind == "split" and c >= 16:
            first = int(rng.choice([4, 8, c // 2]))
            sizes = self.constant(np.array([first, c - first]))
            self.add("Split", [x, sizes], [first, c - first], axis=1)
        elif kind == "slice" and c >= 16:
            bounds = [self.constant(np.array([v])) for v in (c // 4, c // 2, 1)]
            self.add("Slice", [x, *bounds], [c // 2 - c // 4])
        elif kind == "add":
            same = [n for n in names if self.channels[n] == c]
            self.add(str(rng.choice(["Add", "Mul"])), [x, str(rng.choice(same))], [c])
        elif kind == "sigmoid":
            self.add(str(rng.choice(["Sigmoid", "Relu", "Tanh"])), [x], [c])
        elif kind == "scale":
            factors = self.constant(rng.standard_normal((1, c, 1, 1)).astype(np.float32))
            self.add("Relu", self.add("Mul", [x, factors], [c]), [c])
        elif kind == "resize":
            scales = self.constant(np.array([1, 1, 2, 2], np.float32))
            [y] = self.add("Resize", [x, "", scales], [c], mode="nearest")
            del self.channels[y]  # the only larger one
            self.add("MaxPool", [y], [c], kernel_shape=[2, 2], strides=[2, 2])

    def model(self, steps: int) -> onnx.ModelProto:
        self.conv("x", 16, 1)
        for _ in range(steps):
            self.step()
        used = {name for node in self.nodes for name in node.input}
        made = [name for node in self.nodes for name in node.output]
        outputs = [name for name in made if name not in used]
        if self.rng.random() < 0.3:
            outputs.append(str(self.rng.choice(made)))
        return model_of(
            self.nodes,
            ["batch", self.channels["x"], 8, 8],
            list(dict.fromkeys(outputs)),
            self.weights,
        )


@pytest.mark.parametrize("seed", range(40))
def test_random_images(seed):
    images = Images(seed)
    model = images.model(steps=int(images.rng.integers(4, 24)))
    reference = ReferenceEvaluator(model)
    one, two = sx.load(model, threads=1), sx.load(model, threads=2)
    for batch in (1, 2, 1):
        x = images.rng.standard_normal((batch, images.channels["x"], 8, 8)).astype(np.float32)
        expected = reference.run(None, {"x": x})
        ours = one.run(None, {"x": x})
        compare(expected, ours, f"seed {seed}", length=SUMMED)
        for a, b in zip(ours, two.run(None, {"x": x}), strict=True):
            np.testing.assert_array_equal(a, b)


class Columns:
    """Builds a graph of tables, [N, columns], that are cut, changed and joined by column."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights = [onnx.numpy_helper.from_array(np.array([v]), f"i{v}") for v in range(6)]
        self.weights.append(onnx.numpy_helper.from_array(np.array([0.5], np.float32), "half"))
        self.columns = {"x": 4}

    def add(self, op: str, inputs: list[str], columns: int, **attributes) -> str:
        name = f"v{len(self.nodes)}"
        self.columns[name] = columns
        self.nodes.append(oh.make_node(op, inputs, [name], **attributes))
        return name

    def step(self) -> None:
        names = list(self.columns)
        x = str(self.rng.choice(names[-4:]))
        count = self.columns[x]
        kind = self.rng.choice(["pair", "scale", "unary", "join", "join", "slice", "take"])
        if kind == "pair":
            same = [n for n in names if self.columns[n] in (1, count)]
            op = str(self.rng.choice(["Add", "Mul", "Sub", "Max"]))
            self.add(op, [x, str(self.rng.choice(same))], count)
        elif kind == "scale":
            pair = [x, "half"] if self.rng.random() < 0.5 else ["half", x]
            self.add(str(self.rng.choice(["Add", "Mul", "Sub"])), pair, count)
        elif kind == "unary":
            self.add(str(self.rng.choice(["Sigmoid", "Tanh", "Neg", "Abs"])), [x], count)
        elif kind == "join":
            parts = [str(n) for n in self.rng.choice(names[-5:], size=2)]
            if (joined := sum(self.columns[n] for n in parts)) <= 12:
                self.add("Concat", parts, joined, axis=1)
        elif kind == "slice" and count > 1:
            first = int(self.rng.integers(min(count, 6) - 1))
            self.add("Slice", [x, f"i{first}", f"i{first + 1}", "i1"], 1)
        elif kind == "take":
            self.add("Gather", [x, f"i{self.rng.integers(min(count, 6))}"], 1, axis=1)

    def model(self, steps: int) -> onnx.ModelProto:
        while len(self.nodes) < steps:
            self.step()
        used = {name for node in self.nodes for name in node.input}
        outputs = [name for name in self.columns if name not in used and name != "x"]
        return model_of(self.nodes, ["N", 4], outputs, self.weights)


@pytest.mark.parametrize("seed", range(60))
def test_random_columns(seed):
    columns = Columns(seed)
    model = columns.model(steps=int(columns.rng.integers(3, 16)))
    plain, fused = sx.load(model, level=0), sx.load(model)
    reference = ReferenceEvaluator(model)
    for rows in (1, 3, 40, 700):
        x = columns.rng.standard_normal((rows, 4)).astype(np.float32)
        expected = reference.run(None, {"x": x})
        compare(expected, plain.run(None, {"x": x}), f"seed {seed}, level 0", length=SUMMED)
        compare(expected, fused.run(None, {"x": x}), f"seed {seed}", length=SUMMED)


def test_columns_that_are_read_where_they_were_joined():
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]>
        join (float[N, 1] a, float[1] u) => (float[N, 2] y) {
          b = Exp(a) c = Add(u, b) d = Div(u, c) e = Sub(u, d) y = Concat<axis = 1>(e, d)
        }"""
    )
    a, u = np.linspace(-2, 2, 90, dtype=np.float32)[:, None], np.ones(1, np.float32)
    d = 1 / (1 + np.exp(a))
    [y] = sx.load(model).run(None, {"a": a, "u": u})
    compare(np.concatenate([1 - d, d], axis=1), y, "")
