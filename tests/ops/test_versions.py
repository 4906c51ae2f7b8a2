"""Versions of operators that no test of the standard covers, from the text of its changelog."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from helpers import check_op, expect_error, make_model, randint, randn, run_op
from onnx import TensorProto, helper, parser

import sardonyx


def ints(*values):
    return np.array(values, np.int64)


# --- attributes that are gone


@pytest.mark.parametrize("opset", [1, 6])
def test_dropout_trains_unless_told(opset):
    x = np.ones((40, 50), np.float32)
    y, mask = run_op("Dropout", x, opset=opset, outputs=2, ratio=0.75)
    assert mask.dtype == np.float32  # a boolean since opset 10
    assert set(np.unique(mask)) == {0, 1}
    np.testing.assert_array_equal(y, mask * 4)
    assert abs(mask.mean() - 0.25) < 0.05
    check_op("Dropout", x, ref=x, opset=opset, ratio=0.75, is_test=1)


@pytest.mark.parametrize("op", ["InstanceNormalization", "PRelu", "Relu", "Add"])
def test_consumed_inputs_are_ignored(op):
    x, c = randn(2, 3, 4, 5), randn(3)
    wide = x.astype(np.float64)
    if op == "InstanceNormalization":
        centred = wide - wide.mean((2, 3), keepdims=True)
        expected = centred / np.sqrt(wide.var((2, 3), keepdims=True) + np.float32(1e-5))
        expected = expected * c.reshape(3, 1, 1) + c.reshape(3, 1, 1)
        check_op(op, x, c, c, ref=expected, opset=1, consumed_inputs=[0, 0, 0])
    elif op == "PRelu":  # a slope a channel
        expected = np.where(x < 0, x * c.reshape(3, 1, 1), x)
        for opset in (1, 6):
            attrs = {"consumed_inputs": [0, 0]} if opset == 1 else {}
            check_op(op, x, c, ref=expected, opset=opset, **attrs)
        check_op(op, x, c[:1], ref=np.where(x < 0, x * c[0], x), opset=1)
    elif op == "Relu":
        check_op(op, x, ref=np.maximum(x, 0), opset=1, consumed_inputs=[0])
    else:
        check_op(op, x, c, ref=x + c.reshape(3, 1, 1), opset=1, broadcast=1, axis=1,
                 consumed_inputs=[0, 0])  # fmt: skip


def test_gemm_broadcasts_where_told():
    a, b = randn(3, 4), randn(4, 5)
    for c, told in ((randn(3, 5), 0), (randn(5), 1), (randn(1, 5), 1)):
        check_op("Gemm", a, b, c, ref=0.5 * a @ b + 2 * c, opset=1, alpha=0.5, beta=2.0,
                 broadcast=told, length=4)  # fmt: skip


def test_pooling_by_a_float_norm():
    x = randn(2, 3, 6, 7)
    wide = np.abs(x.astype(np.float64))
    windows = np.lib.stride_tricks.sliding_window_view(wide, (2, 3), (2, 3))
    for p in (2.0, 3.0, 1.0):
        check_op("GlobalLpPool", x, ref=(wide**p).sum((2, 3), keepdims=True) ** (1 / p), opset=1,
                 p=p, length=42)  # fmt: skip
        check_op("LpPool", x, ref=(windows**p).sum((4, 5)) ** (1 / p), opset=1, p=p, length=6,
                 kernel_shape=[2, 3])  # fmt: skip
        for opset in (2, 11):
            check_op("LpPool", x, ref=(windows**p).sum((4, 5)) ** (1 / p), opset=opset, p=int(p),
                     length=6, kernel_shape=[2, 3])  # fmt: skip


def test_lp_normalization():
    x = randn(3, 4, 5)
    for p in (1, 2):
        expected = x / np.linalg.norm(x, p, axis=1, keepdims=True)
        check_op("LpNormalization", x, ref=expected, opset=1, axis=1, p=p, length=4)


def test_max_pool():
    x = randn(1, 2, 7)
    windows = np.lib.stride_tricks.sliding_window_view(x, 3, 2)
    check_op("MaxPool", x, ref=windows.max(-1)[:, :, ::2], opset=11, kernel_shape=[3], strides=[2],
             ceil_mode=1)  # fmt: skip


# --- inputs and attributes that changed places


def test_split_of_version_1():
    x = randn(6, 2)
    halves = (x[:3], x[3:])
    check_op("Split", x, ref=halves, opset=1, outputs=2)
    check_op("Split", x, ref=(x[:2], x[2:]), opset=1, outputs=2, split=[2, 4], axis=0)
    check_op("Split", x, np.float32([2, 4]), ref=(x[:2], x[2:]), opset=1, outputs=2, axis=0)


def test_tile_of_version_1():
    """How often and along which axis are floats, of the type of the input."""
    x = randn(2, 3)
    check_op("Tile", x, np.float32(3), np.float32(1), ref=np.tile(x, (1, 3)), opset=1)
    check_op("Tile", x, np.float32([2]), np.float32([0]), ref=np.tile(x, (2, 1)), opset=1)
    expect_error("Tile", x, np.float32(1.5), np.float32(0), match="1.5 is no whole number", opset=1)


def test_upsample_of_version_10():
    """Deprecated there, and still in files."""
    x = randn(1, 2, 3, 3)
    scales = np.float32([1, 1, 2, 2])
    check_op("Upsample", x, scales, ref=x.repeat(2, 2).repeat(2, 3), opset=10, mode="nearest")


@pytest.mark.parametrize("op", ["Scatter", "ScatterElements"])
def test_scatter_elements(op):
    x, updates = randn(3, 4), randn(2, 4)
    indices = np.stack([np.full(4, 2), np.full(4, -3)])
    expected = x.copy()
    expected[2], expected[0] = updates
    check_op(op, x, indices, updates, ref=expected, opset=11 if op == "Scatter" else 13, axis=0)


def test_scatter_nd():
    x, updates = randn(3, 4), randn(2, 4)
    expected = x.copy()
    expected[[2, 0]] = updates
    check_op("ScatterND", x, ints([2], [0]), updates, ref=expected, opset=13)


# --- recurrent networks with output_sequence


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(("op", "opset"), [("RNN", 1), ("LSTM", 1), ("GRU", 1), ("GRU", 3)])
def test_recurrent(op, opset):
    steps, batch, inputs, hidden = 4, 2, 3, 5
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[op]
    x = randn(steps, batch, inputs)
    w, r = randn(1, gates * hidden, inputs), randn(1, gates * hidden, hidden, seed=1)
    b = randn(1, 2 * gates * hidden, seed=2)
    wide = [value.astype(np.float64) for value in (x, w[0], r[0])]
    biases = b[0].astype(np.float64).reshape(2, gates, hidden)
    h, c, every = np.zeros((batch, hidden)), np.zeros((batch, hidden)), []
    for step in wide[0]:
        from_x = (step @ wide[1].T).reshape(batch, gates, hidden) + biases[0]
        from_h = (h @ wide[2].T).reshape(batch, gates, hidden) + biases[1]
        if op == "RNN":
            h = np.tanh(from_x + from_h)[:, 0]
        elif op == "LSTM":
            i, o, f, g = np.moveaxis(from_x + from_h, 1, 0)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            z = sigmoid(from_x[:, 0] + from_h[:, 0])
            reset = sigmoid(from_x[:, 1] + from_h[:, 1])
            if opset == 3:  # linear_before_reset
                g = np.tanh(from_x[:, 2] + reset * from_h[:, 2])
            else:
                last = (reset * h) @ wide[2].reshape(gates, hidden, hidden)[2].T
                g = np.tanh(from_x[:, 2] + last + biases[1, 2])
            h = (1 - z) * g + z * h
        every.append(h[None])
    attrs = {"hidden_size": hidden, "output_sequence": 1}
    if opset == 3:
        attrs["linear_before_reset"] = 1
    expected = (np.stack(every), h[None]) + ((c[None],) if op == "LSTM" else ())
    check_op(op, x, w, r, b, ref=expected, opset=opset, outputs=len(expected), length=40, **attrs)


# --- random numbers


@pytest.mark.parametrize("opset", [1, 22])
def test_random(opset):
    attrs = {"seed": 3.0, "opset": opset}
    assert abs(run_op("RandomNormal", shape=[100, 100], mean=2.0, **attrs).mean() - 2) < 0.1
    uniform = run_op("RandomUniform", shape=[50, 50], low=1.0, high=2.0, **attrs)
    assert uniform.min() >= 1
    assert uniform.max() < 2
    like = run_op("RandomNormalLike", np.zeros((40, 60), np.float64), **attrs)
    assert (like.shape, like.dtype) == ((40, 60), np.float64)
    assert abs(like.std() - 1) < 0.1


@pytest.mark.parametrize("opset", [7, 22])
def test_multinomial(opset):
    """Unnormalised logarithms of probabilities in, classes out."""
    logs = np.log(np.float32([[1, 3], [8, 0.0001]]))
    drawn = run_op("Multinomial", logs, sample_size=4000, seed=1.0, opset=opset)
    assert drawn.dtype == np.int32
    np.testing.assert_allclose(drawn.mean(1), [0.75, 0], atol=0.05)


# --- element types that came later


def test_types_of_version_12_and_13():
    x = randint(-9, 9, 3, 4, dtype=np.int8)
    check_op("ReduceMin", x, ref=x.min(1, keepdims=True), opset=12, axes=[1])
    bfloat16 = x.astype(ml_dtypes.bfloat16)
    check_op("Relu", bfloat16, ref=np.maximum(bfloat16, 0), opset=13)


WIDENED = {
    16: ml_dtypes.bfloat16,
    19: ml_dtypes.float8_e4m3fn,
    21: ml_dtypes.int4,
    23: ml_dtypes.float4_e2m1fn,
    24: ml_dtypes.float8_e8m0fnu,
    25: ml_dtypes.int2,
}


def typed(text, opset, dtype, **dims):
    """The model of `text`, whose floats become `dtype` wherever they are declared."""
    model = parser.parse_model(f'<ir_version: 13, opset_import: ["" : {opset}]>\n{text}')
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def retype(graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type == TensorProto.FLOAT:
                value.type.tensor_type.elem_type = code
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    retype(attribute.g)

    retype(model.graph)
    return sardonyx.load(model)


def same_bits(a, b):
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8))


@pytest.mark.parametrize(("opset", "dtype"), WIDENED.items())
def test_control_flow_moves_any_type(opset, dtype):
    x = np.array([0, 1, 1, 0], np.float32).astype(dtype)
    y = np.array([1, 1, 0, 1], np.float32).astype(dtype)
    choose = """g (bool c, float[n] x, float[n] y) => (float[n] z) {
        z = If (c) <then_branch = t () => (float[n] a) { a = Identity(x) },
                    else_branch = e () => (float[n] b) { b = Identity(y) }>
    }"""
    model = typed(choose, opset, dtype)
    same_bits(model.run(None, {"c": np.bool_(True), "x": x, "y": y})[0], x)
    same_bits(model.run(None, {"c": np.bool_(False), "x": x, "y": y})[0], y)
    turn = """g (int64 n, bool c, float[k] x, float[k] y) => (float[k] p, float[k] q, float[m, k] s) {
        p, q, s = Loop (n, c, x, y) <body = b (int64 i, bool go, float[k] a, float[k] b)
            => (bool on, float[k] c, float[k] d, float[k] e) {
                on = Identity(go)
                c = Identity(b)
                d = Identity(a)
                e = Identity(a)
            }>
    }"""  # noqa: E501
    feeds = {"n": np.int64(3), "c": np.bool_(True), "x": x, "y": y}
    p, q, s = typed(turn, opset, dtype).run(None, feeds)
    same_bits(p, y)
    same_bits(q, x)
    same_bits(s, np.stack([x, y, x]))
    shift = """g (float[k] x, float[n, k] y) => (float[k] last, float[n, k] s) {
        last, s = Scan (x, y) <num_scan_inputs = 1, body = b (float[k] state, float[k] item)
            => (float[k] next, float[k] out) {
                next = Identity(item)
                out = Identity(state)
            }>
    }"""
    last, s = typed(shift, opset, dtype).run(None, {"x": x, "y": np.stack([y, x])})
    same_bits(last, x)
    same_bits(s, np.stack([x, y]))


def test_optional_of_version_28():
    text = """<ir_version: 13, opset_import: ["" : 28]>
        g (float[n] x) => (float[n] y, bool b) {
            o = Optional(x)
            y = OptionalGetElement(o)
            b = OptionalHasElement(o)
        }"""
    x = randn(3)
    y, there = sardonyx.load(parser.parse_model(text)).run(None, {"x": x})
    np.testing.assert_array_equal(y, x)
    assert there


# --- trees of opset 5 of ai.onnx.ml, which deprecates these two


@pytest.mark.parametrize("op", ["TreeEnsembleRegressor", "TreeEnsembleClassifier"])
def test_old_trees_under_the_newest_opset(op):
    x = np.float32([[0.0], [1.0]])
    kind = "target" if op.endswith("Regressor") else "class"
    attrs = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        f"{kind}_treeids": [0, 0],
        f"{kind}_nodeids": [1, 2],
        f"{kind}_ids": [0, 0],
        f"{kind}_weights": [2.0, 7.0],
    }
    options = {"domain": "ai.onnx.ml", "opset": 5}
    if kind == "target":
        expected = np.float32([[2], [7]])
        check_op(op, x, ref=expected, n_targets=1, **options, **attrs)
        return
    attrs["class_ids"] = [0, 1]
    attrs["classlabels_int64s"] = [10, 20]
    expected = (np.array([10, 20]), np.float32([[2, 0], [0, 7]]))
    check_op(op, x, ref=expected, outputs=2, **options, **attrs)


def test_versions_are_read_from_the_model():
    """The same attribute means another axis: Softmax flattens before opset 13."""
    x = randn(2, 3, 4)
    old, new = (
        sardonyx.load(make_model("Softmax", [x], opset=opset, attrs={"axis": 1}))
        for opset in (12, 13)
    )
    assert abs(old.run(None, {"x0": x})[0].reshape(2, -1).sum(1) - 1).max() < 1e-5
    assert abs(new.run(None, {"x0": x})[0].sum(1) - 1).max() < 1e-5
