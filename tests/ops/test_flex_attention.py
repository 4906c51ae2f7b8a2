"""FlexAttention: attention with subgraphs for scores and probabilities."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from helpers import compare, expect_error, randn
from onnx import TensorProto, helper, numpy_helper

import sardonyx

DOMAIN = "ai.onnx.preview"


def modifier(nodes, result, elem_type, constants=()):
    """A subgraph from 's' to `result`."""
    info = helper.make_tensor_value_info
    shape = ["b", "h", "l", "s"]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants]
    return helper.make_graph(nodes, "modifier", [info("s", elem_type, shape)],
                             [info(result, elem_type, shape)], initializers)  # fmt: skip


def model_of(q, k, v, symbolic=False, extra=None, **attrs):
    node = helper.make_node("FlexAttention", ["q", "k", "v"], ["y"], domain=DOMAIN, **attrs)
    infos = []
    for name, value in {"q": q, "k": k, "v": v, **(extra or {})}.items():
        shape = [f"{name}{i}" for i in range(value.ndim)] if symbolic else value.shape
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        infos.append(helper.make_tensor_value_info(name, kind, shape))
    graph = helper.make_graph([node], "g", infos, [onnx.ValueInfoProto(name="y")])
    imports = [helper.make_opsetid("", 24), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def reference(q, k, v, score=None, prob=None, scale=None):
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    k, v = (np.repeat(a, q.shape[1] // a.shape[1], 1) for a in (k, v))
    scores = q @ np.swapaxes(k, 2, 3) * (scale or 1 / np.sqrt(q.shape[-1]))
    if score:
        scores = score(scores)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return (prob(weights) if prob else weights) @ v


def check(q, k, v, expected, extra=None, **attrs):
    for symbolic in [False, True]:
        model = model_of(q, k, v, symbolic, extra, **attrs)
        feeds = {"q": q, "k": k, "v": v, **(extra or {})}
        got = sardonyx.load(model).run(None, feeds)[0]
        compare(expected.astype(q.dtype), got, f"symbolic={symbolic}", length=8)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_plain(dtype):
    q, k, v = randn(2, 4, 5, 8), randn(2, 2, 6, 8), randn(2, 2, 6, 3)
    q, k, v = (a.astype(dtype) for a in (q, k, v))
    check(q, k, v, reference(q, k, v))
    check(q, k, v, reference(q, k, v, scale=0.25), scale=0.25)
    check(q[:, :2], k, v, reference(q[:, :2], k, v), softmax_precision=TensorProto.DOUBLE)


def test_modifiers():
    q, k, v = randn(2, 4, 5, 8), randn(2, 2, 6, 8), randn(2, 2, 6, 3)
    cap = modifier(
        [helper.make_node("Div", ["s", "cap"], ["a"]), helper.make_node("Tanh", ["a"], ["b"]),
         helper.make_node("Mul", ["b", "cap"], ["c"])], "c", TensorProto.FLOAT,
        [("cap", np.float32(0.5))])  # fmt: skip
    half = modifier([helper.make_node("Mul", ["s", "s"], ["t"])], "t", TensorProto.FLOAT)
    expected = reference(q, k, v, lambda s: np.tanh(s / 0.5) * 0.5, lambda p: p * p)
    check(q, k, v, expected, score_mod=cap, prob_mod=half)


def test_captures_and_nested_subgraphs():
    q, k, v = randn(2, 2, 5, 8), randn(2, 2, 6, 8), randn(2, 2, 6, 3)
    bias, choose = randn(5, 6), np.array(True)
    branch = lambda op: helper.make_graph(  # noqa: E731
        [helper.make_node(op, ["s", "bias"], ["r"])], op, [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, ["b", "h", "l", "s"])])  # fmt: skip
    nodes = [helper.make_node("If", ["choose"], ["t"], then_branch=branch("Add"),
                              else_branch=branch("Sub"))]  # fmt: skip
    score = modifier(nodes, "t", TensorProto.FLOAT)
    expected = reference(q, k, v, lambda s: s + bias)
    check(q, k, v, expected, {"bias": bias, "choose": choose}, score_mod=score)
    same = modifier([], "s", TensorProto.FLOAT)
    check(q, k, v, reference(q, k, v), score_mod=same)


def test_refuses():
    q, k, v = randn(2, 4, 5, 8), randn(2, 2, 6, 8), randn(2, 2, 6, 3)
    refuse = lambda *x, **o: expect_error("FlexAttention", *x, domain=DOMAIN, opset=1, **o)  # noqa: E731
    refuse(q[:, :3], k, v, match="cannot share|Range|index|shape|broadcast")
    refuse(q, k, v[:, :, :5], match="length|inner|differ|shape")
    refuse(q, k, v, softmax_precision=7, match="softmax_precision is int64")
    cast = modifier([helper.make_node("Cast", ["s"], ["t"], to=11)], "t", TensorProto.DOUBLE)
    with pytest.raises(sardonyx.Error, match="score_mod makes float64 of float32"):
        sardonyx.load(model_of(q, k, v, score_mod=cast))
