"""Gradient: derivatives of small graphs against central differences in float64."""

import numpy as np
import onnx
import pytest
from helpers import randn
from onnx import TensorProto, helper, parser

import sardonyx

TRAINING = "ai.onnx.preview.training"


def model(body, xs, inputs, zs=()):
    """A graph of `body` (ONNX text) over float64 inputs, with outputs y and the derivatives of y
    by each of xs."""
    head = ", ".join(
        f"double[{','.join(map(str, value.shape))}] {name}" for name, value in inputs.items()
    )
    text = f"""<ir_version: 8, opset_import: ["" : 18, "{TRAINING}" : 1]>
        case ({head}) => (y) {{ {body} }}"""
    result = parser.parse_model(text)
    node = helper.make_node(
        "Gradient", [*xs, *zs], [f"d{x}" for x in xs], domain=TRAINING, xs=xs, y="y",
        **({"zs": zs} if zs else {}),
    )  # fmt: skip
    result.graph.node.append(node)
    for x in xs:
        result.graph.output.append(helper.make_tensor_value_info(f"d{x}", TensorProto.DOUBLE, None))
    return result


def differences(run, feeds, name, step=1e-6):
    """The derivative of the sum of run(feeds) by feeds[name]."""
    result = np.zeros_like(feeds[name])
    for at in np.ndindex(result.shape):
        total = []
        for sign in (1, -1):
            moved = feeds[name].copy()
            moved[at] += sign * step
            total.append(run({**feeds, name: moved}).sum())
        result[at] = (total[0] - total[1]) / (2 * step)
    return result


def check(body, xs, **inputs):
    session = sardonyx.load(model(body, xs, inputs))
    results = session.run(None, inputs)
    for x, gradient in zip(xs, results[1:], strict=True):
        expected = differences(lambda feeds: session.run(["y"], feeds)[0], inputs, x)
        assert gradient.shape == expected.shape
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6, err_msg=f"d{x}")


def data(*shape, seed=0, low=0.5):
    """Positive numbers away from kinks and poles."""
    return low + np.abs(randn(*shape, dtype=np.float64, seed=seed))


@pytest.mark.parametrize(
    "op",
    ["Identity", "Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Abs", "Sin", "Cos", "Tanh", "Sigmoid",
     "Softplus", "Relu", "Erf"],
)  # fmt: skip
def test_unary(op):
    check(f"y = {op}(a)", ["a"], a=data(2, 3))


def test_relu_and_abs_below_zero():
    check("b = Relu(a) c = Abs(a) y = Add(b, c)", ["a"], a=-data(2, 3))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow"])
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((1, 3), (4, 2, 1))])
def test_binary(op, shapes):
    check(f"y = {op}(a, b)", ["a", "b"], a=data(*shapes[0]), b=data(*shapes[1], seed=1))


@pytest.mark.parametrize(
    "shapes", [((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)),
               ((2, 3), (5, 3, 4))]
)  # fmt: skip
def test_matmul(shapes):
    check("y = MatMul(a, b)", ["a", "b"], a=data(*shapes[0]), b=data(*shapes[1], seed=1))


@pytest.mark.parametrize("ta", [0, 1])
@pytest.mark.parametrize("tb", [0, 1])
def test_gemm(ta, tb):
    a = data(3, 2) if ta else data(2, 3)
    b = data(4, 3, seed=1) if tb else data(3, 4, seed=1)
    body = f"y = Gemm <transA = {ta}, transB = {tb}, alpha = 0.5, beta = 0.25> (a, b, c)"
    check(body, ["a", "b", "c"], a=a, b=b, c=data(4, seed=2))


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMean"])
def test_reductions(op):
    a, b = data(2, 3, 4), data(2, 4, seed=1)
    axes = "axes = Constant <value = int64[1] {1}> ()"
    check(f"{axes} c = {op} <keepdims = 0> (a, axes) y = Mul(c, b)", ["a", "b"], a=a, b=b)
    check(f"{axes} c = {op} (a, axes) y = Mul(c, a)", ["a"], a=a)
    check(f"c = {op} <keepdims = 0> (a) y = Mul(c, b)", ["a"], a=a, b=b)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [-1, 0])
def test_softmax(op, axis):
    check(f"c = {op} <axis = {axis}> (a) y = Mul(c, b)", ["a", "b"], a=data(3, 4), b=data(3, 4))


def test_movement():
    body = """
        shape = Constant <value = int64[2] {3, 4}> ()
        b = Reshape(a, shape)
        c = Transpose <perm = [1, 0]> (b)
        d = Concat <axis = -1> (c, w)
        e = Mul(d, d)
        f = Flatten <axis = 1> (e)
        axes = Constant <value = int64[1] {0}> ()
        g = Unsqueeze(f, axes)
        h = Squeeze(g, axes)
        wide = Constant <value = int64[3] {2, 4, 5}> ()
        y = Expand(h, wide)
    """
    check(body, ["a", "w"], a=data(2, 6), w=data(4, 2, seed=1))


def test_where():
    body = "zero = Constant <value = double[1] {1.0}> () c = Less(a, zero) y = Where(c, a, b)"
    check(body, ["b"], a=data(2, 3), b=data(3, seed=1))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_conv(stride, dilation):
    body = f"""y = Conv <strides = [{stride}, 1], dilations = [1, {dilation}],
                        pads = [1, 0, 1, 2]> (a, w, b)"""
    check(body, ["a", "w", "b"], a=data(2, 3, 6, 7), w=data(4, 3, 3, 2, seed=1), b=data(4, seed=2))


def test_at_other_values():
    """The inputs of the node, not the tensors named, are where the derivative is taken."""
    a, b = data(3), data(3, seed=1)
    case = model("y = Mul(a, a)", ["a"], {"a": a, "b": b})
    case.graph.node[-1].input[0] = "b"
    np.testing.assert_allclose(sardonyx.load(case).run(None, {"a": a, "b": b})[1], 2 * b)


def test_second_order():
    a = data(3)
    case = model("b = Mul(a, a) y = Mul(b, a)", ["a"], {"a": a})
    again = helper.make_node("Gradient", ["a"], ["dda"], domain=TRAINING, xs=["a"], y="da")
    case.graph.node.append(again)
    case.graph.output.append(helper.make_tensor_value_info("dda", TensorProto.DOUBLE, None))
    np.testing.assert_allclose(sardonyx.load(case).run(["dda"], {"a": a})[0], 6 * a)


def test_independent_values():
    a, b = data(3), data(2, seed=1)
    result = sardonyx.load(model("y = Mul(a, a)", ["b"], {"a": a, "b": b}, zs=["a"]))
    np.testing.assert_array_equal(result.run(None, {"a": a, "b": b})[1], np.zeros(2))


def test_of_an_inner_value():
    a = data(3)
    check("b = Exp(a) y = Mul(b, b)", ["a"], a=a)
    case = model("b = Exp(a) y = Mul(b, b)", ["b"], {"a": a})
    np.testing.assert_allclose(sardonyx.load(case).run(None, {"a": a})[1], 2 * np.exp(a))


def test_errors():
    a = data(3)
    with pytest.raises(sardonyx.Error, match=r"no rule for the derivative of .*Det"):
        sardonyx.load(model("y = Det(a)", ["a"], {"a": data(2, 2)}))
    case = model("y = Exp(a)", ["a"], {"a": a})
    case.graph.node[-1].attribute[0].strings[0] = b"other"
    with pytest.raises(sardonyx.Error, match="no value 'other'"):
        sardonyx.load(case)
    case = model("y = Exp(a)", ["a"], {"a": a})
    case.graph.node[-1].attribute.extend([onnx.helper.make_attribute("zs", ["a"])])
    with pytest.raises(sardonyx.Error, match="expected 2 inputs"):
        sardonyx.load(case)


def test_of_what_it_is_computed_from():
    case = model("y = Exp(a)", ["a"], {"a": data(3)})
    case.graph.node[0].input[0] = case.graph.node[-1].output[0]
    with pytest.raises(sardonyx.Error, match="'y' is computed from the gradient itself"):
        sardonyx.load(case)
