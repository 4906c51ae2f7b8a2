"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear."""

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn, run_op
from onnx import TensorProto, helper

INTEGERS = {
    np.uint8: (0, 255),
    np.int8: (-128, 127),
    np.uint16: (0, 65535),
    np.int16: (-32768, 32767),
    ml_dtypes.uint4: (0, 15),
    ml_dtypes.int4: (-8, 7),
    ml_dtypes.uint2: (0, 3),
    ml_dtypes.int2: (-2, 1),
}
FLOAT8 = [
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e4m3fnuz,
    ml_dtypes.float8_e5m2,
    ml_dtypes.float8_e5m2fnuz,
]
# Where scales lie: their shape for x of [2, 6, 5], and the attributes that say so.
PLACES = [
    ((), {}),
    ((1,), {}),
    ((6,), {}),
    ((6,), {"axis": 1}),
    ((5,), {"axis": -1}),
    ((2,), {"axis": 0}),
    ((2, 3, 5), {"axis": 1, "block_size": 2}),
    ((2, 6, 2), {"axis": 2, "block_size": 3}),
    ((1, 6, 5), {"axis": 0, "block_size": 2}),
]


def code_of(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def spread(scale, shape, axis=1, block_size=0):
    """Scales repeated so that each element of x has its own."""
    if scale.size == 1:
        return np.broadcast_to(scale.reshape(()), shape)
    if not block_size:
        along = [1] * len(shape)
        along[axis] = scale.size
        return np.broadcast_to(scale.reshape(along), shape)
    return np.repeat(scale, block_size, axis)[tuple(slice(n) for n in shape)]


def quantize(x, scale, zero, dtype, **place):
    low, high = INTEGERS[dtype]
    ratio = np.rint((x / spread(scale, x.shape, **place)).astype(scale.dtype)).astype(np.float64)
    if zero is not None:
        ratio = ratio + spread(zero.astype(np.float64), x.shape, **place)
    return np.clip(ratio, low, high).astype(dtype)


def scales(*shape, dtype=np.float32):
    return (np.abs(randn(*shape, seed=1)) * 0.2 + 0.02).astype(dtype)


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.__name__)
@pytest.mark.parametrize(("shape", "place"), PLACES)
def test_quantize_to_integers(shape, place, dtype):
    low, high = INTEGERS[dtype]
    x, scale = randn(2, 6, 5) * 6, scales(*shape)
    x[0, 0, :3] = [np.inf, -np.inf, 1e30]
    zero = randint(low, high + 1, *shape, seed=2).astype(dtype)
    check_op(
        "QuantizeLinear", x, scale, zero, ref=quantize(x, scale, zero, dtype, **place), **place
    )
    code = code_of(dtype)
    expected = quantize(x, scale, None, dtype, **place)
    check_op("QuantizeLinear", x, scale, ref=expected, output_dtype=code, **place)


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.__name__)
@pytest.mark.parametrize(("shape", "place"), PLACES)
def test_dequantize_integers(shape, place, dtype):
    low, high = INTEGERS[dtype]
    x, scale = randint(low, high + 1, 2, 6, 5).astype(dtype), scales(*shape)
    zero = randint(low, high + 1, *shape, seed=2).astype(dtype)
    wide = spread(scale, x.shape, **place).astype(np.float64)
    offset = spread(zero.astype(np.float64), x.shape, **place)
    numbers = x.astype(np.float64)
    check_op("DequantizeLinear", x, scale, zero, ref=(numbers - offset) * wide, **place)
    check_op("DequantizeLinear", x, scale, ref=numbers * wide, **place)


@pytest.mark.parametrize("dtype", FLOAT8, ids=lambda d: d.__name__)
def test_float8(dtype):
    x = np.concatenate([randn(500) * 100, [0, 1e6, -1e6, 5e5, 1e-9]]).astype(np.float32)
    scale = np.float32(2.0)
    limit = float(ml_dtypes.finfo(dtype).max)
    saturated = np.clip(x / scale, -limit, limit).astype(dtype)
    zero = np.zeros((), dtype)
    check_op("QuantizeLinear", x, scale, zero, ref=saturated)
    check_op("QuantizeLinear", x, scale, zero, ref=(x / scale).astype(dtype), saturate=0)
    codes = np.arange(256, dtype=np.uint8).view(dtype)
    expected = codes.astype(np.float32) * scale
    check_op("DequantizeLinear", codes, scale, ref=expected)
    check_op("DequantizeLinear", codes, scale, zero, ref=expected)
    blocked = scales(4, 64)
    check_op("DequantizeLinear", codes.reshape(4, 64), blocked, axis=1, block_size=1,
             ref=codes.reshape(4, 64).astype(np.float32) * blocked)  # fmt: skip


def test_float4():
    x, scale = randn(3, 8) * 4, scales(3, 2)
    dtype = ml_dtypes.float4_e2m1fn
    wide = np.repeat(scale, 4, 1)
    codes = (x / wide).astype(dtype)
    zero = np.zeros((3, 2), dtype)
    check_op("QuantizeLinear", x, scale, zero, ref=codes, axis=1, block_size=4)
    expected = codes.astype(np.float32) * wide
    check_op("DequantizeLinear", codes, scale, zero, ref=expected, axis=1, block_size=4)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_scales(dtype):
    x, scale = (randn(4, 6) * 9).astype(dtype), scales(6, dtype=dtype)
    ratio = (x.astype(np.float32) / scale.astype(np.float32)).astype(dtype)
    expected = np.clip(np.rint(ratio.astype(np.float64)), -128, 127).astype(np.int8)
    zero = np.zeros(6, np.int8)
    check_op("QuantizeLinear", x, scale, zero, ref=expected)
    product = expected.astype(np.float32) * scale.astype(np.float32)
    check_op("DequantizeLinear", expected, scale, ref=product.astype(dtype))
    check_op("DequantizeLinear", expected, scale, ref=product, output_dtype=TensorProto.FLOAT)


def test_precision_of_the_division():
    x, scale = np.float16([1.0, 2.5, 100]), np.float16(0.3)
    expected = np.rint(x.astype(np.float32) / np.float32(scale)).astype(np.int16)
    zero = np.int16(0)
    check_op("QuantizeLinear", x, scale, zero, ref=expected, precision=TensorProto.FLOAT)


def test_scales_that_are_powers_of_two_alone():
    x = randint(-8, 8, 2, 6).astype(ml_dtypes.int4)
    scale = np.array([[1, 4], [0.5, 2]], np.float32)
    expected = (x.astype(np.float32) * np.repeat(scale, 3, 1)).astype(np.float32)
    check_op("DequantizeLinear", x, scale.astype(ml_dtypes.float8_e8m0fnu), ref=expected,
             output_dtype=TensorProto.FLOAT, axis=1, block_size=3)  # fmt: skip


def test_int32():
    x = np.array([[-(2**31), 2**31 - 1, 0, 70000, 5]], np.int32)
    check_op("DequantizeLinear", x, np.float32(0.5), ref=x * 0.5)
    check_op("DequantizeLinear", x, scales(5), ref=x * scales(5).astype(np.float64))
    check_op("QuantizeLinear", x, np.float32(0.5), ref=quantize(x, np.float32(0.5), None, np.uint8))


def test_ties_go_to_even():
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 254.5, 255.5], np.float32)
    check_op(
        "QuantizeLinear", x, np.float32(1), np.uint8(1), ref=np.uint8([1, 3, 3, 1, 0, 255, 255])
    )


def test_old_versions_and_com_microsoft():
    x, scale = randn(3, 4) * 5, np.float32(0.1)
    for dtype in (np.uint8, np.int8):
        zero = np.array(3, dtype)
        expected = quantize(x, scale, zero, dtype)
        back = (expected.astype(np.float64) - 3) * scale
        for options in ({"opset": 10}, {"opset": 13}, {"domain": "com.microsoft"}):
            check_op("QuantizeLinear", x, scale, zero, ref=expected, **options)
            check_op("DequantizeLinear", expected, scale, zero, ref=back, **options)


def dynamic(x):
    low, high = min(x.min(initial=0), 0), max(x.max(initial=0), 0)
    scale = np.float32(np.float32(high - low) / np.float32(255)) or np.float32(1)
    zero = np.clip(np.rint(np.float32(0 - low) / scale), 0, 255).astype(np.uint8)
    y = np.clip(np.rint((x / scale).astype(np.float32)) + zero, 0, 255).astype(np.uint8)
    return y, scale, zero


def test_dynamic():
    for shape in [(7,), (3, 4), (0,), (), (2, 0, 3), (300, 401)]:
        for offset in (0, 3, -3):
            x = randn(*shape) + np.float32(offset)
            check_op("DynamicQuantizeLinear", x, ref=dynamic, outputs=3)
    check_op("DynamicQuantizeLinear", np.zeros((4, 5), np.float32), ref=dynamic, outputs=3)
    check_op("DynamicQuantizeLinear", np.full(5, 1e-44, np.float32), outputs=3,
             ref=(np.zeros(5, np.uint8), np.float32(1), np.uint8(0)))  # fmt: skip


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_dynamic_of_what_is_not_finite(value):
    x = np.array([1, value, -1], np.float32)
    assert run_op("DynamicQuantizeLinear", x, outputs=3)[0].shape == (3,)


def test_refusals():
    x, scale = randn(2, 6), scales(6)
    q = "QuantizeLinear"
    expect_error(q, x, scales(5), match="scale has 5 elements, axis 1 has 6")
    expect_error(q, x, scale, np.zeros(5, np.uint8), match="the zero point has shape")
    expect_error(q, x, scale, np.zeros(0, np.uint8), match="the zero point has shape")
    expect_error(q, x, np.float32(1), np.zeros(0, np.uint8), match="the zero point has shape")
    expect_error(q, x, scales(0), match="scale has 0 elements")
    expect_error(q, x, scales(2, 3), match="one scale, or one for each", axis=1)
    expect_error(q, x, scales(2, 2), match="blocked scale", axis=1, block_size=2)
    expect_error(q, x, scales(1, 2), match="blocked scale", axis=1, block_size=3)
    expect_error(q, x, scale, match="block_size is -1", block_size=-1)
    expect_error(q, x, scale, match="axis", axis=7)
    expect_error(q, x, scale, np.zeros(6, np.int64), match="quantisation to int64")
    expect_error(q, x, scale, match="output_dtype is 99", output_dtype=99)
    expect_error(q, x, randint(0, 5, 6), match="the scale is int64")
    expect_error("DequantizeLinear", x, scale, match="the input is float32")
    expect_error("DequantizeLinear", x.astype(np.int8), scale, np.zeros(6, np.uint8),
                 match="the zero point is uint8")  # fmt: skip
    expect_error("DynamicQuantizeLinear", x.astype(np.float16), match="expected float32", outputs=3)
