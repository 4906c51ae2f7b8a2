"""MatMul, Gemm and their fused forms."""

import math

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

SHAPES = [
    ((3, 4), (4, 5)),
    ((1, 768), (768, 130)),
    ((70, 65), (65, 33)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((4,), (4,)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 6)),
    ((3, 4), (2, 4, 5)),
    ((2, 7, 4), (4,)),
    ((4,), (2, 4, 7)),
    ((0, 4), (4, 5)),
    ((3, 0), (0, 5)),
    ((2, 3, 4), (1, 4, 0)),
    ((300, 200), (200, 300)),
]


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint64])
def test_matmul(a, b, dtype):
    x, y = (randn(*a) * 3).astype(dtype), (randn(*b, seed=1) * 3).astype(dtype)
    wide = np.float64 if np.dtype(dtype).kind == "f" else dtype
    check_op("MatMul", x, y, ref=np.matmul(x.astype(wide), y.astype(wide)), length=a[-1] or 1)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_matmul_of_16_bit_floats(dtype):
    for a, b in [((3, 4), (4, 5)), ((2, 3, 33), (2, 33, 5)), ((5, 64), (64, 70))]:
        x, y = randn(*a, dtype=dtype), randn(*b, dtype=dtype)
        expected = np.matmul(x.astype(np.float32), y.astype(np.float32)).astype(dtype)
        check_op("MatMul", x, y, ref=expected)


def test_integer_products_wrap():
    x = np.array([[2**31 - 1, 2**30]], np.int32)
    check_op("MatMul", x, x.T.copy(), ref=np.matmul(x, x.T))


def gemm(a, b, c=None, alpha=1.0, beta=1.0, transA=0, transB=0):
    a, b = a.astype(np.float64), b.astype(np.float64)
    y = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    return y if c is None else y + beta * c.astype(np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [None, (), (1,), (6,), (1, 6), (5, 1), (1, 1), (5, 6)])
def test_gemm(c, dtype):
    x, w = randn(5, 7, dtype=dtype), randn(7, 6, dtype=dtype)
    given = [] if c is None else [randn(*c, dtype=dtype)]
    check_op("Gemm", x, w, *given, ref=gemm, length=7)
    check_op("Gemm", x, w, *given, ref=gemm, length=7, alpha=0.5, beta=-2.0)
    check_op("Gemm", x.T.copy(), w, *given, ref=gemm, length=7, transA=1, beta=0.5)
    check_op("Gemm", x, w.T.copy(), *given, ref=gemm, length=7, transB=1, alpha=2.0)
    check_op("Gemm", x.T.copy(), w.T.copy(), *given, ref=gemm, length=7, transA=1, transB=1)


def test_gemm_of_integers():
    x, w, c = (randint(-50, 50, *s, dtype=np.int64) for s in [(5, 7), (7, 6), (6,)])
    check_op("Gemm", x, w, c, ref=x @ w + c)


def test_old_gemm_broadcasts_by_attribute():
    x, w, c = randn(5, 7), randn(7, 6), randn(6)
    check_op("Gemm", x, w, c, ref=lambda a, b, c: gemm(a, b, c), opset=6, broadcast=1, length=7)


GEMM_ACTIVATIONS = {
    "Elu": {"activation_alpha": 0.5},
    "HardSigmoid": {"activation_alpha": 0.25, "activation_beta": 0.375},
    "LeakyRelu": {"activation_alpha": 0.125},
    "Relu": {},
    "ScaledTanh": {"activation_alpha": 1.5, "activation_beta": 0.25},
    "Selu": {"activation_alpha": 1.5, "activation_gamma": 1.25},
    "Sigmoid": {},
    "Softplus": {},
    "Softsign": {},
    "Tanh": {},
    "ThresholdedRelu": {"activation_alpha": 0.75},
}


@pytest.mark.parametrize("activation", GEMM_ACTIVATIONS)
def test_fused_gemm(activation):
    """Every activation that ONNX Runtime has there, and the parameters it wants given."""
    attributes = {"activation": activation, "transB": 1, "alpha": 0.5, "beta": 2.0}
    attributes |= GEMM_ACTIVATIONS[activation]
    operands = randn(5, 7), randn(6, 7), randn(6)
    check_op("FusedGemm", *operands, domain="com.microsoft", ref="ort", length=7, **attributes)


def test_fused_gemm_of_an_unknown_activation():
    options = {"domain": "com.microsoft", "match": "activation is 'Up'"}
    expect_error("FusedGemm", randn(2, 2), randn(2, 2), activation="Up", **options)


def fused(a, b, alpha=1.0, transA=0, transB=0, transBatchA=0, transBatchB=0):
    a, b = a.astype(np.float64), b.astype(np.float64)
    if transBatchA:
        a = np.moveaxis(a, 0, -2)
    if transBatchB:
        b = np.moveaxis(b, 0, -2)
    a = np.swapaxes(a, -1, -2) if transA else a
    b = np.swapaxes(b, -1, -2) if transB else b
    return alpha * (a @ b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_matmul(dtype):
    ms = {"domain": "com.microsoft", "ref": fused, "length": 7}
    a, b = randn(2, 5, 7, dtype=dtype), randn(2, 7, 6, dtype=dtype)
    turned_a, turned_b = (np.swapaxes(v, 1, 2).copy() for v in (a, b))
    check_op("FusedMatMul", a, b, alpha=0.25, **ms)
    check_op("FusedMatMul", turned_a, b, alpha=0.25, transA=1, **ms)
    check_op("FusedMatMul", a, turned_b, alpha=3.0, transB=1, **ms)
    check_op("FusedMatMul", turned_a, turned_b, transA=1, transB=1, **ms)
    by_rows_a, by_rows_b = (np.moveaxis(v, -2, 0).copy() for v in (a, b))
    check_op("FusedMatMul", by_rows_a, by_rows_b, transBatchA=1, transBatchB=1, **ms)
    check_op(
        "FusedMatMul",
        randn(7, 2, 5),
        randn(6, 2, 7),
        transBatchA=1,
        transBatchB=1,
        transA=1,
        transB=1,
        alpha=2.0,
        **ms,
    )


def test_fused_products_add_and_activate():
    x, w, bias, rest = randn(2, 5, 7), randn(7, 6), randn(6), randn(2, 5, 6)
    wide = x.astype(np.float64) @ w.astype(np.float64)
    # Passes make these in a domain of our own, which files may not use.
    ours = {"domain": "com.microsoft", "length": 7}
    check_op("FusedMatMul", x, w, bias, ref=wide + bias, **ours)
    check_op("FusedMatMul", x, w, None, rest, ref=wide + rest, **ours)
    relu = np.maximum(wide + bias + rest, 0)
    check_op("FusedMatMul", x, w, bias, rest, ref=relu, activation="Relu", **ours)
    last = np.tanh(wide + bias) + rest
    check_op("FusedMatMul", x, w, bias, rest, ref=last, activation="Tanh", residual_last=1, **ours)
    leaky = np.where(wide < 0, 0.25 * wide, wide)
    check_op(
        "FusedMatMul", x, w, ref=leaky, activation="LeakyRelu", activation_params=[0.25], **ours
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "Relu": lambda x: np.maximum(x, 0),
    "Clip": lambda x: np.clip(x, -0.5, 0.75),
    "LeakyRelu": lambda x: np.where(x < 0, -0.5 * x, x),
    "Sigmoid": sigmoid,
    "Tanh": np.tanh,
    "Gelu": lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))),
    "FastGelu": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "Silu": lambda x: x * sigmoid(x),
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "HardSigmoid": lambda x: np.clip(-0.5 * x + 0.75, 0, 1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_activation_behind_a_product(name, dtype):
    x, w = randn(5, 7, dtype=dtype) * 2, randn(7, 6, dtype=dtype)
    expected = ACTIVATIONS[name](x.astype(np.float64) @ w.astype(np.float64))
    given = {"activation": name, "activation_params": [-0.5, 0.75]}
    check_op("FusedMatMul", x, w, ref=expected, length=7, domain="com.microsoft", **given)


def test_activations_that_are_not_known():
    expect_error(
        "FusedMatMul",
        randn(5, 7),
        randn(7, 6),
        domain="com.microsoft",
        activation="Mish",
        match="activation 'Mish' cannot be fused",
    )


def test_products_that_do_not_fit():
    expect_error("MatMul", randn(3, 4), randn(5, 6), match="inner dimensions differ: 4 and 5")
    expect_error("MatMul", randn(2, 3, 4), randn(3, 4, 5), match="do(es)? not broadcast")
    expect_error("Gemm", randn(3, 4), randn(4, 5), randn(4), match="does not broadcast")
    expect_error("Gemm", randn(3, 4, 1), randn(4, 5), match="has rank 3, expected 2")


def test_long_sums_are_made_in_pieces():
    x, w, bias = randn(300, 60_000), randn(60_000, 64, seed=1), randn(64, seed=2)
    exact = x.astype(np.float64) @ w.astype(np.float64)
    check_op("MatMul", x, w, ref=exact.astype(np.float32), length=60_000)
    turned, summed = np.ascontiguousarray(w.T), (exact + bias).astype(np.float32)
    check_op("Gemm", x, turned, bias, ref=summed, transB=1, length=60_000)
