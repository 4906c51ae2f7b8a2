"""Products of 8-bit integers: MatMulInteger, QLinearMatMul and their relatives."""

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

BYTES = {np.uint8: (0, 256), np.int8: (-128, 128)}
PAIRS = [(a, b) for a in BYTES for b in BYTES]
SHAPES = [
    ((3, 4), (4, 5)),
    ((1, 129), (129, 70)),
    ((50, 33), (33, 65)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 6)),
    ((3, 4), (2, 4, 5)),
    ((3, 0), (0, 5)),
    ((0, 4), (4, 5)),
    ((2, 3, 4), (1, 4, 0)),
    ((2, 3, 270_001), (2, 270_001, 2)),  # summed piece by piece
]


def codes(dtype, *shape, seed=0):
    return randint(*BYTES[dtype], *shape, dtype=dtype, seed=seed)


def product(a, b, a_zero=0, b_zero=0):
    wide = np.asarray(a, np.int64) - np.asarray(a_zero, np.int64)
    return np.matmul(wide, np.asarray(b, np.int64) - np.asarray(b_zero, np.int64)).astype(np.int32)


def requantize(sums, scale, zero):
    limits = np.iinfo(zero.dtype)
    rounded = np.rint(sums.astype(np.float32) * np.asarray(scale, np.float32))
    return np.clip(rounded + np.int32(zero), limits.min, limits.max).astype(zero.dtype)


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize(("of_a", "of_b"), PAIRS)
def test_matmul_integer(a, b, of_a, of_b):
    x, w = codes(of_a, *a), codes(of_b, *b, seed=1)
    check_op("MatMulInteger", x, w, ref=product(x, w))
    for zero in ((), (1,)):
        x_zero, w_zero = codes(of_a, *zero, seed=2), codes(of_b, *zero, seed=3)
        check_op("MatMulInteger", x, w, x_zero, w_zero, ref=product(x, w, x_zero, w_zero))
    check_op("MatMulInteger", x, w, None, w_zero, ref=product(x, w, 0, w_zero))


@pytest.mark.parametrize(("of_a", "of_b"), PAIRS)
def test_zero_points_of_rows_and_columns(of_a, of_b):
    x, w = codes(of_a, 7, 9), codes(of_b, 9, 66, seed=1)
    rows, columns = codes(of_a, 7, seed=2), codes(of_b, 66, seed=3)
    check_op("MatMulInteger", x, w, rows, columns, ref=product(x, w, rows[:, None], columns))
    x, w = codes(of_a, 2, 7, 9), codes(of_b, 2, 9, 6, seed=1)
    rows, columns = codes(of_a, 2, 7, 1, seed=2), codes(of_b, 2, 1, 6, seed=3)
    check_op("MatMulInteger", x, w, rows, columns, ref=product(x, w, rows, columns))


@pytest.mark.parametrize(("of_a", "of_b"), PAIRS)
@pytest.mark.parametrize("of_y", BYTES)
def test_qlinear_matmul(of_a, of_b, of_y):
    for a, b in SHAPES:
        x, w = codes(of_a, *a), codes(of_b, *b, seed=1)
        x_zero, w_zero, y_zero = codes(of_a), codes(of_b, seed=1), codes(of_y, seed=2)
        x_scale, w_scale, y_scale = np.float32([0.02, 0.03, 0.15])
        sums = product(x, w, x_zero, w_zero)
        expected = requantize(sums, x_scale * w_scale / y_scale, y_zero)
        inputs = (x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero)
        check_op("QLinearMatMul", *inputs, ref=expected)
        check_op("QLinearMatMul", *inputs, ref=expected, opset=10)


def test_qlinear_matmul_by_rows_and_columns():
    x, w = codes(np.uint8, 2, 5, 9), codes(np.int8, 9, 7, seed=1)
    x_zero, w_zero, y_zero = codes(np.uint8), codes(np.int8, 7, seed=1), np.uint8(100)
    w_scale = (np.abs(randn(7)) * 0.01 + 0.001).astype(np.float32)
    x_scale, y_scale = np.float32(0.02), np.float32(0.25)
    sums = product(x, w, x_zero, w_zero)
    expected = requantize(sums, x_scale * w_scale / y_scale, y_zero)
    check_op("QLinearMatMul", x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, ref=expected)
    rows = (np.abs(randn(2, 5, 1)) * 0.01 + 0.001).astype(np.float32)
    row_zeros = codes(np.uint8, 2, 5, 1, seed=5)
    sums = product(x, w, row_zeros, w_zero)
    expected = requantize(sums, rows * w_scale / y_scale, y_zero)
    check_op("QLinearMatMul", x, rows, row_zeros, w, w_scale, w_zero, y_scale, y_zero, ref=expected)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_qlinear_matmul_with_half_scales(dtype):
    x, w = codes(np.uint8, 3, 9), codes(np.uint8, 9, 7, seed=1)
    zeros = codes(np.uint8), codes(np.uint8, seed=1), codes(np.uint8, seed=2)
    x_scale, w_scale, y_scale = np.array([0.0625, 0.25, 0.5], dtype)
    expected = requantize(product(x, w, *zeros[:2]), 0.0625 * 0.25 / 0.5, zeros[2])
    inputs = (x, x_scale, zeros[0], w, w_scale, zeros[1], y_scale, zeros[2])
    check_op("QLinearMatMul", *inputs, ref=expected)


@pytest.mark.parametrize(("of_a", "of_b"), PAIRS)
def test_matmul_integer_to_float(of_a, of_b):
    options = {"domain": "com.microsoft", "length": 9}
    x, w = codes(of_a, 2, 3, 9), codes(of_b, 9, 70, seed=1)
    x_scale, bias = np.float32(0.02), randn(70)
    for columns in ((), (70,)):
        w_scale = (np.abs(randn(*columns)) * 0.01 + 0.001).astype(np.float32)
        x_zero, w_zero = codes(of_a, seed=1), codes(of_b, *columns, seed=2)
        y = product(x, w, x_zero, w_zero) * (x_scale * w_scale).astype(np.float64)
        plain = product(x, w) * (x_scale * w_scale).astype(np.float64)
        op = "MatMulIntegerToFloat"
        check_op(op, x, w, x_scale, w_scale, x_zero, w_zero, bias, ref=y + bias, **options)
        check_op(op, x, w, x_scale, w_scale, None, w_zero, bias,
                 ref=product(x, w, 0, w_zero) * (x_scale * w_scale).astype(np.float64) + bias,
                 **options)  # fmt: skip
        check_op(op, x, w, x_scale, w_scale, ref=plain, **options)


@pytest.mark.parametrize("dtype", BYTES)
def test_dynamic_quantize_matmul(dtype):
    x, w = randn(2, 30, 40) + np.float32(0.5), codes(dtype, 40, 70)
    low, high = x.min(), x.max()
    x_scale = np.float32(np.float32(high - low) / np.float32(255))
    x_zero = np.rint(-low / x_scale).astype(np.uint8)
    quantized = np.clip(np.rint(x / x_scale) + x_zero, 0, 255)
    bias = randn(70)
    for columns in ((), (70,)):
        w_scale = (np.abs(randn(*columns)) * 0.01 + 0.001).astype(np.float32)
        w_zero = codes(dtype, *columns, seed=2)
        expected = product(quantized, w, x_zero, w_zero) * (x_scale * w_scale).astype(np.float64)
        options = {"domain": "com.microsoft", "length": 40}
        op = "DynamicQuantizeMatMul"
        check_op(op, x, w, w_scale, w_zero, bias, ref=expected + bias, **options)
        check_op(op, x, w, w_scale, w_zero, ref=expected, **options)
        # Whose sums of two products saturate at 16 bits where there are no dot products of bytes.
        small = w // 2 if dtype == np.int8 else w
        check_op(op, x, small, w_scale, w_zero, bias, ref="ort", **options)


@pytest.mark.parametrize("by_row", [False, True])
def test_deep_sums_are_made_piece_by_piece(by_row):
    depth = 140_001
    x, w = codes(np.uint8, 2, 3, depth), codes(np.int8, depth, 66, seed=1)
    rows = (2, 3, 1) if by_row else ()
    # Near the middle, so that the sums stay small.
    x_zero, w_zero = randint(126, 131, *rows, dtype=np.uint8), randint(-2, 3, 66, dtype=np.int8)
    x_scale = (np.abs(randn(*rows)) * 0.003 + 0.001).astype(np.float32)
    w_scale = (np.abs(randn(66)) * 0.01 + 0.001).astype(np.float32)
    sums = product(x, w, x_zero, w_zero)
    y_scale, y_zero = np.float32(2), np.uint8(120)
    expected = requantize(sums, x_scale * w_scale / y_scale, y_zero)
    assert 10 < expected.std() < 90
    check_op("QLinearMatMul", x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, ref=expected)
    bias, of_ms = randn(66), {"domain": "com.microsoft", "length": 9}
    expected = (sums * (x_scale * w_scale).astype(np.float64) + bias).astype(np.float32)
    inputs = (x, w, x_scale, w_scale, x_zero, w_zero, bias)
    check_op("MatMulIntegerToFloat", *inputs, ref=expected, **of_ms)


def test_refusals():
    x, w, none = codes(np.uint8, 3, 4), codes(np.int8, 4, 5), np.zeros(0, np.uint8)
    op = "MatMulInteger"
    expect_error(op, x, w.T.copy(), match="inner dimensions differ: 4 and 5")
    expect_error(op, x.astype(np.int32), w, match="input A is int32")
    expect_error(op, x, w.astype(np.int32), match="input B is int32")
    expect_error(op, x, w, np.int8(1), match="a zero point, is int8")
    expect_error(op, x, w, none, match="the zero point of A has 0 elements")
    expect_error(op, x, w, np.uint8([1, 2]), match="the zero point of A has 2 elements")
    expect_error(
        op, x, w, np.uint8(1), np.zeros(4, np.int8), match="zero point of B has 4 elements"
    )
    one, zero = np.float32(1), np.uint8(0)
    op = "QLinearMatMul"
    expect_error(op, x, one, zero, w, one, np.int8(0), np.zeros(0, np.float32), zero,
                 match="the scale of Y has 0 elements")  # fmt: skip
    expect_error(op, x, one, zero, w, np.int32(1), np.int8(0), one, zero, match="a scale, is int32")
    expect_error(op, x, one, zero, w, one, np.int8(0), one, np.int32(0), match="would be int32")
    op = "MatMulIntegerToFloat"
    expect_error(op, x, w, one, one, zero, np.int8(0), randn(1), match="the bias has one element",
                 domain="com.microsoft")  # fmt: skip
    expect_error(op, x, w, one, one, zero, np.int8(0), codes(np.uint8, 5), match="bias is uint8",
                 domain="com.microsoft")  # fmt: skip
    expect_error("DynamicQuantizeMatMul", randn(3, 4), w, None, np.int8(0),
                 match="input 2 is missing", domain="com.microsoft")  # fmt: skip
