"""The operators of com.microsoft on quantised tensors."""

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, make_model, randint, randn, run_op

import sardonyx

MS = {"domain": "com.microsoft"}
BYTES = {np.uint8: (0, 256), np.int8: (-128, 128)}


def codes(dtype, *shape, seed=0):
    return randint(*BYTES[dtype], *shape, dtype=dtype, seed=seed)


def wide(x, scale, zero):
    return (x.astype(np.float32) - np.float32(zero)) * scale


def narrow(x, scale, zero):
    limits = np.iinfo(zero.dtype)
    rounded = np.rint((x / scale).astype(np.float32)).astype(np.float64) + float(zero)
    return np.clip(rounded, limits.min, limits.max).astype(zero.dtype)


def scales(*values):
    return [np.float32(value) for value in values]


@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize(
    ("a", "b"), [((3, 4), (3, 4)), ((2, 3, 5), (3, 1)), ((5,), ()), ((), (2, 70)), ((0, 3), (3,))]
)
def test_sums_and_products(a, b, dtype):
    x, y = codes(dtype, *a), codes(dtype, *b, seed=1)
    s, t, u = scales(0.02, 0.03, 0.045)
    zeros = codes(dtype, 3, seed=2)
    inputs = (x, s, zeros[0], y, t, zeros[1], u, zeros[2])
    left, right = wide(x, s, zeros[0]), wide(y, t, zeros[1])
    check_op("QLinearAdd", *inputs, ref=narrow(left + right, u, zeros[2]), **MS)
    check_op("QLinearMul", *inputs, ref=narrow(left * right, u, zeros[2]), **MS)
    none = np.zeros((), dtype)
    plain = narrow(wide(x, s, 0) + wide(y, t, 0), u, none)
    check_op("QLinearAdd", x, s, None, y, t, None, u, ref=plain, **MS)
    plain = narrow(wide(x, s, 0) * wide(y, t, 0), u, none)
    check_op("QLinearMul", x, s, None, y, t, None, u, ref=plain, **MS)


@pytest.mark.parametrize("dtype", BYTES)
def test_activations(dtype):
    x, zero, result = codes(dtype, 3, 50), codes(dtype), codes(dtype, seed=1)
    s, t = scales(0.05, 0.01)
    number = wide(x, s, zero)
    expected = narrow(1 / (1 + np.exp(-number)), t, result)
    check_op("QLinearSigmoid", x, s, zero, t, result, ref=expected, **MS)
    expected = narrow(np.where(number < 0, number * np.float32(0.1), number), t, result)
    check_op("QLinearLeakyRelu", x, s, zero, t, result, ref=expected, alpha=0.1, **MS)
    power = np.exp(number - number.max(-1, keepdims=True))
    expected = narrow(power / power.sum(-1, keepdims=True), scales(0.003)[0], result)
    inputs = (x, s, zero, scales(0.003)[0], result)
    model = make_model("QLinearSoftmax", inputs, attrs={"axis": -1, "opset": 13}, **MS)
    feeds = {f"x{i}": value for i, value in enumerate(inputs)}
    np.testing.assert_array_equal(sardonyx.load(model).run(None, feeds)[0], expected)


@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize("channels_last", [0, 1])
def test_pools(dtype, channels_last):
    x, zero, result = codes(dtype, 2, 3, 6, 8), codes(dtype), codes(dtype, seed=1)
    s, t = scales(0.05, 0.04)
    number = wide(x, s, zero)

    def laid(array):
        return np.ascontiguousarray(np.moveaxis(array, 1, -1)) if channels_last else array

    inputs = (laid(x), s, zero, t, result)
    options = MS | {"channels_last": channels_last}
    mean = number.mean((2, 3), keepdims=True)
    expected = laid(narrow(mean, t, result))
    check_global = run_op("QLinearGlobalAveragePool", *inputs, **options)
    np.testing.assert_array_equal(check_global, expected)
    mean = number.reshape(2, 3, 3, 2, 4, 2).mean((3, 5))
    pooled = run_op("QLinearAveragePool", *inputs, kernel_shape=[2, 2], strides=[2, 2], **options)
    np.testing.assert_array_equal(pooled, laid(narrow(mean, t, result)))
    for counted in (0, 1):  # what lies beyond the padding counts in neither
        attrs = {"kernel_shape": [3, 3], "strides": [2, 3], "ceil_mode": 1, "pads": [1, 0, 1, 0],
                 "count_include_pad": counted}  # fmt: skip
        pooled = run_op("QLinearAveragePool", *inputs, **attrs, **options)
        mean = run_op("AveragePool", number, **attrs)
        np.testing.assert_array_equal(pooled, laid(narrow(mean, t, result)))


@pytest.mark.parametrize("dtype", BYTES)
def test_choosing_and_joining(dtype):
    x, y, zeros = codes(dtype, 3, 4), codes(dtype, 4, seed=1), codes(dtype, 3, seed=2)
    s, t, u = scales(0.02, 0.03, 0.05)
    left, right = wide(x, s, zeros[0]), wide(y, t, zeros[1])
    condition = randint(0, 2, 3, 1).astype(bool)
    expected = narrow(np.where(condition, left, right), u, zeros[2])
    check_op("QLinearWhere", condition, x, s, zeros[0], y, t, zeros[1], u, zeros[2],
             ref=expected, **MS)  # fmt: skip
    joined = narrow(np.concatenate([left, right[None]]), u, zeros[2])
    check_op("QLinearConcat", u, zeros[2], x, s, zeros[0], y[None], t, zeros[1], ref=joined,
             axis=0, **MS)  # fmt: skip


@pytest.mark.parametrize("of_b", BYTES)
@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(of_b, transposed):
    a, b, c = (
        codes(np.uint8, 5, 9),
        codes(of_b, 9, 7, seed=1),
        randint(-500, 500, 7, dtype=np.int32),
    )
    a_zero, b_zero, y_zero = np.uint8(100), codes(of_b, 7, seed=2), np.uint8(120)
    s, u = scales(0.02, 0.3)
    b_scale = (np.abs(randn(7)) * 0.02 + 0.01).astype(np.float32)
    sums = (a.astype(np.int64) - 100) @ (b.astype(np.int64) - b_zero.astype(np.int64))
    factor = s * b_scale * np.float32(0.5)
    given = b.T.copy() if transposed else b
    options = MS | {"transB": transposed, "alpha": 0.5}
    inputs = (a, s, a_zero, given, b_scale, b_zero)
    check_op("QGemm", *inputs, ref=sums * factor.astype(np.float64), **options)
    number = (sums + c).astype(np.float32) * factor
    check_op("QGemm", *inputs, c, u, y_zero, ref=narrow(number, u, y_zero), **options)


@pytest.mark.parametrize("channels_last", [0, 1])
def test_convolution(channels_last):
    x, w = codes(np.uint8, 1, 3, 6, 6), codes(np.int8, 4, 3, 1, 1, seed=1)
    s, t, u = scales(0.02, 0.01, 0.2)
    sums = np.einsum("nchw,oc->nohw", x.astype(np.int64) - 7, w[..., 0, 0].astype(np.int64))
    limits = np.rint(sums.astype(np.float32) * (s * t / u)) + 10
    expected = np.clip(limits, 0, 255).astype(np.uint8)
    if channels_last:
        x, expected = (np.ascontiguousarray(np.moveaxis(each, 1, -1)) for each in (x, expected))
    check_op("QLinearConv", x, s, np.uint8(7), w, t, np.int8(0), u, np.uint8(10), ref=expected,
             channels_last=channels_last, **MS)  # fmt: skip


def test_refusals():
    x, one, zero = codes(np.uint8, 3, 4), np.float32(1), np.uint8(0)
    op = "QLinearAdd"
    expect_error(op, x, None, zero, x, one, zero, one, zero, match="input 1 is missing", **MS)
    expect_error(op, x, one, zero, x, one, zero, None, zero, match="input 6 is missing", **MS)
    expect_error(op, x, one, zero, x.astype(np.int8), one, zero, one, zero, match="differ", **MS)
    expect_error(op, x, one, zero, x[:, :3].copy(), one, zero, one, zero, match="broadcast", **MS)
    expect_error(
        "QLinearConcat", one, zero, x, one, match="expected 2 inputs and threes", axis=0, **MS
    )


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2])
def test_qlinear_matmul_of_float8(dtype):
    a, b = randn(3, 8).astype(dtype), randn(8, 5).astype(dtype)
    zero, rows = np.zeros((), dtype), np.array([0.5, 1, 2], np.float32)
    columns, scale = np.linspace(0.5, 1, 5, dtype=np.float32), np.float32(0.25)
    for a_scale, a_zero in [(rows, np.zeros(3, dtype)), (np.float32(0.5), zero)]:
        left = a.astype(np.float32) * (a_scale[:, None] if a_scale.ndim else a_scale)
        expected = (left @ (b.astype(np.float32) * columns) / scale).astype(dtype)
        check_op("QLinearMatMul", a, a_scale, a_zero, b, columns, np.zeros(5, dtype), scale, zero,
                 ref=expected, opset=21)  # fmt: skip
