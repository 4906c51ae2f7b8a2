"""Elementwise operators of one operand, Clip, Dropout and Identity."""

import math

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn, run_op

erf = np.vectorize(math.erf, otypes=[np.float64])


def softplus(x):
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# Name, reference on float64, and the range to take arguments from.
FUNCTIONS = [
    ("Abs", np.abs, -3, 3),
    ("Neg", np.negative, -3, 3),
    ("Sign", np.sign, -3, 3),
    ("Floor", np.floor, -5, 5),
    ("Ceil", np.ceil, -5, 5),
    ("Round", np.round, -5, 5),
    ("Sqrt", np.sqrt, 0, 9),
    ("Reciprocal", np.reciprocal, 0.5, 4),
    ("Exp", np.exp, -5, 5),
    ("Log", np.log, 0.1, 9),
    ("Erf", erf, -3, 3),
    ("Sin", np.sin, -4, 4),
    ("Cos", np.cos, -4, 4),
    ("Tan", np.tan, -1, 1),
    ("Asin", np.arcsin, -1, 1),
    ("Acos", np.arccos, -1, 1),
    ("Atan", np.arctan, -4, 4),
    ("Sinh", np.sinh, -3, 3),
    ("Cosh", np.cosh, -3, 3),
    ("Tanh", np.tanh, -4, 4),
    ("Asinh", np.arcsinh, -4, 4),
    ("Acosh", np.arccosh, 1, 9),
    ("Atanh", np.arctanh, -0.9, 0.9),
    ("Relu", lambda x: np.maximum(x, 0), -3, 3),
    ("LeakyRelu", lambda x: np.where(x < 0, np.float64(np.float32(0.01)) * x, x), -3, 3),
    ("ThresholdedRelu", lambda x: np.where(x > 1, x, 0), -3, 3),
    ("Sigmoid", sigmoid, -6, 6),
    ("HardSigmoid", lambda x: np.clip(np.float64(np.float32(0.2)) * x + 0.5, 0, 1), -4, 4),
    ("HardSwish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1), -4, 4),
    ("Elu", lambda x: np.where(x < 0, np.expm1(x), x), -3, 3),
    ("Celu", lambda x: np.where(x < 0, np.expm1(x), x), -3, 3),
    (
        "Selu",
        lambda x: (
            np.float64(np.float32(1.0507009873554805))
            * np.where(x <= 0, np.float64(np.float32(1.6732632423543772)) * np.expm1(x), x)
        ),
        -3,
        3,
    ),
    ("Softplus", softplus, -5, 5),
    ("Softsign", lambda x: x / (1 + np.abs(x)), -3, 3),
    ("Mish", lambda x: x * np.tanh(softplus(x)), -5, 5),
    ("Gelu", lambda x: x / 2 * (1 + erf(x / math.sqrt(2))), -4, 4),
    ("Swish", lambda x: x * sigmoid(x), -5, 5),
    ("Shrink", lambda x: np.where(x < -0.5, x, np.where(x > 0.5, x, 0)), -2, 2),
]


@pytest.mark.parametrize(("name", "function", "low", "high"), FUNCTIONS)
def test_functions(name, function, low, high):
    for dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16):
        x = np.linspace(low, high, 1201).astype(dtype)
        check_op(name, x, ref=lambda x, t=dtype: function(x.astype(np.float64)).astype(t))
    for shape in [(), (0,), (3, 0, 2), (2, 3, 5)]:
        x = np.clip(np.abs(randn(*shape)) + 1.1, low, high).astype(np.float32)
        check_op(name, x, ref=lambda x: function(x.astype(np.float64)).astype(np.float32))


def test_attributes():
    x = randn(7, 9)
    check_op("LeakyRelu", x, alpha=0.3, ref=lambda x, alpha: np.where(x < 0, alpha * x, x))
    check_op("ThresholdedRelu", x, alpha=-0.5, ref=lambda x, alpha: np.where(x > alpha, x, 0))
    check_op("Elu", x, alpha=2.0, ref=lambda x, alpha: np.where(x < 0, alpha * np.expm1(x), x))
    check_op(
        "Celu",
        x,
        alpha=2.0,
        ref=lambda x, alpha: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)),
    )
    check_op(
        "Selu",
        x,
        alpha=2.0,
        gamma=3.0,
        ref=lambda x, alpha, gamma: gamma * np.where(x <= 0, alpha * np.expm1(x), x),
    )
    check_op(
        "HardSigmoid",
        x,
        alpha=0.5,
        beta=0.25,
        ref=lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    )
    check_op("Swish", x, alpha=0.5, ref=lambda x, alpha: x * sigmoid(alpha * x))
    check_op("Shrink", x, lambd=1.0, bias=0.75)
    check_op("Gelu", x, approximate="tanh")
    expect_error("Gelu", x, approximate="sinh", match="neither 'none' nor 'tanh'")


def test_activations_of_com_microsoft():
    x, bias = randn(5, 8), randn(8, seed=1)
    for name in ("Gelu", "QuickGelu", "FastGelu"):
        check_op(name, x, domain="com.microsoft", ref="ort")
    check_op("QuickGelu", x, domain="com.microsoft", alpha=0.5, ref="ort")
    check_op("FastGelu", x, bias, domain="com.microsoft", ref="ort")
    check_op("BiasGelu", x, bias, domain="com.microsoft", ref="ort")


def test_integers():
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        x = np.array([0, 1, -1, 7, -100, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
        check_op("Abs", x, ref=np.abs)
        check_op("Neg", x, ref=np.negative)
        check_op("Sign", x, ref=np.sign)
        check_op("Relu", x, ref=lambda x: np.maximum(x, 0))
        check_op("BitwiseNot", x, ref=np.invert)
    check_op("Abs", np.array([0, 255], np.uint8), ref=lambda x: x)
    check_op("Shrink", randint(-5, 5, 20, dtype=np.int32), lambd=1.5, bias=1.0)
    expect_error("Exp", randint(0, 3, 4), match="element type int64")


def test_error_function_of_integers():
    """Which versions before opset 13 allow."""
    for dtype in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):
        low = 0 if dtype[0] == "u" else -100
        check_op("Erf", np.array([low, low // 25, 0, 1, 3, 4, 5, 100], dtype), opset=9)


def test_special_values():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5], np.float32)
    with np.errstate(all="ignore"):
        for dtype in (np.float32, np.float64, np.float16):
            v = x.astype(dtype)
            check_op("Round", v, ref=np.round)
            check_op("Relu", v, ref=lambda x: np.where(x < 0, x.dtype.type(0), x))
            check_op("Sign", v, ref=np.sign)
            check_op("Exp", v, ref=np.exp)
            check_op("Log", v, ref=np.log)
            check_op("Sqrt", v, ref=np.sqrt)
            check_op("Reciprocal", v, ref=np.reciprocal)
            check_op("IsNaN", v, ref=np.isnan)
            check_op("IsInf", v, ref=np.isinf)
            check_op("IsInf", v, detect_negative=0, ref=np.isposinf)
            check_op("IsInf", v, detect_positive=0, ref=np.isneginf)
        small = x.astype(ml_dtypes.float8_e5m2)
        check_op("IsNaN", small, ref=lambda x: np.isnan(x.astype(np.float32)))
        check_op("IsInf", small, ref=lambda x: np.isinf(x.astype(np.float32)))


def test_many_elements():
    x = randn(300, 1001)
    check_op("Relu", x, ref=lambda x: np.maximum(x, 0))
    check_op("Atan", x, ref=np.arctan)
    check_op("Relu", x.astype(np.float16), ref=lambda x: np.maximum(x, np.float16(0)))


def test_clip():
    scalar = np.array
    x = randn(4, 33) * 3
    for dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16):
        v = x.astype(dtype)
        both = lambda x, lo, hi: np.clip(x, lo, hi).astype(x.dtype)  # noqa: E731
        check_op("Clip", v, scalar(-1, dtype), scalar(2, dtype), ref=both)
        check_op("Clip", v, None, scalar(1, dtype), ref=lambda x, lo, hi: np.minimum(x, hi))
        check_op("Clip", v, scalar(0, dtype), ref=np.maximum)
        check_op("Clip", v, ref=lambda x: x)
        high = scalar(-2, dtype)
        check_op("Clip", v, scalar(1, dtype), high, ref=lambda x, lo, hi: np.full_like(x, hi))
    for dtype in (np.int8, np.int32, np.int64, np.uint8, np.uint64):
        v = randint(0, 100, 50, dtype=dtype)
        check_op("Clip", v, scalar(10, dtype), scalar(20, dtype), ref=np.clip)
    check_op("Clip", x, opset=6, min=-0.5, max=0.5, ref=lambda x: np.clip(x, -0.5, 0.5))
    check_op("Clip", x, opset=6, max=0.5, ref=lambda x: np.minimum(x, 0.5))
    edges = np.array([np.nan, np.inf, -np.inf], np.float32)
    check_op("Clip", edges, scalar(-1, np.float32), scalar(1, np.float32), ref=np.clip)
    expect_error("Clip", x, np.zeros(2, np.float32), match="is no scalar")


def test_identity():
    for x in (randn(2, 3), np.array(True), np.array(["a", ""], object), np.zeros((0, 2), np.int8)):
        check_op("Identity", x, ref=lambda x: x)
    check_op("Identity", [randn(2), randn(3)], ref=lambda x: x)


def test_dropout():
    x = randn(3, 5)
    check_op("Dropout", x, ref=lambda x: x)
    ratio, off, on = np.array(0.4, np.float32), np.array(False), np.array(True)
    check_op("Dropout", x, ratio, off, ref=lambda x, *_: x)
    full = np.ones(x.shape, bool)
    check_op("Dropout", x, ratio, off, outputs=2, ref=(x, full))
    check_op("Dropout", x, opset=10, outputs=2, ref=(x, full))
    check_op("Dropout", x, opset=7, outputs=2, ref=(x, full.astype(np.float32)))
    check_op("Dropout", x, np.array(0, np.float32), on, outputs=2, ref=(x, full))
    many = np.ones(100_000, np.float32)
    y, mask = run_op("Dropout", many, ratio, on, outputs=2, seed=7)
    again, _ = run_op("Dropout", many, ratio, on, outputs=2, seed=7)
    np.testing.assert_array_equal(y, again)
    np.testing.assert_allclose(y, mask / np.float32(0.6), rtol=1e-6)
    assert abs(mask.mean() - 0.6) < 0.01
    expect_error(
        "Dropout", x, np.array(1.5, np.float32), on, match=r"ratio is 1.5, not in \[0, 1\)"
    )


def test_dropout_of_float8():
    x = np.ones(400, ml_dtypes.float8_e4m3fn)
    half, on = np.array(0.5, ml_dtypes.float8_e5m2), np.array(True)
    y, mask = run_op("Dropout", x, half, on, outputs=2, seed=3)
    assert 100 < mask.sum() < 300
    np.testing.assert_array_equal(y, np.where(mask, 2, 0).astype(x.dtype))
    check_op("Dropout", x, half, np.array(False), outputs=2, ref=(x, np.ones(400, bool)))
