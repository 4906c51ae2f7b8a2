"""Cast and CastLike between all types."""

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randn, run_op
from onnx import TensorProto, helper, numpy_helper

NUMBERS = [
    np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int8, np.int16, np.int32, np.int64,
    np.uint8, np.uint16, np.uint32, np.uint64, np.bool_,
]  # fmt: skip
SMALL = {
    TensorProto.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
    TensorProto.FLOAT8E4M3FNUZ: ml_dtypes.float8_e4m3fnuz,
    TensorProto.FLOAT8E5M2: ml_dtypes.float8_e5m2,
    TensorProto.FLOAT8E5M2FNUZ: ml_dtypes.float8_e5m2fnuz,
}
NARROW_INTEGERS = {
    TensorProto.INT4: ml_dtypes.int4,
    TensorProto.UINT4: ml_dtypes.uint4,
    TensorProto.INT2: ml_dtypes.int2,
    TensorProto.UINT2: ml_dtypes.uint2,
}


def code_of(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


@pytest.mark.parametrize("source", NUMBERS)
def test_numbers(source):
    x = np.array([[0, 1, 2], [3, 100, 7]]).astype(source)
    for target in NUMBERS:
        check_op("Cast", x, to=code_of(target), ref=x.astype(target))
        check_op("CastLike", x, np.zeros(2, target), ref=x.astype(target))


def test_integers_keep_their_low_bits():
    x = np.array([-1, 200, 70000, -(2**31) - 5, 2**63 - 1, -(2**63)])
    for target in NUMBERS:
        if np.dtype(target).kind in "iu":
            check_op("Cast", x, to=code_of(target), ref=x.astype(target))


def test_floats_round_once():
    # Halfway between two halves but for a bit that float32 would lose.
    x = np.array([1 + 2**-11 + 2**-40, 1 + 2**-11, 65520 - 2**-30, 2**-25 + 2**-60, 1e300])
    for target in (np.float16, np.float32):
        with np.errstate(over="ignore"):
            check_op("Cast", x, to=code_of(target), ref=x.astype(target))
    wide = randn(5000, dtype=np.float64)
    check_op("Cast", wide, to=code_of(np.float16), ref=wide.astype(np.float16))
    narrow = randn(5000)
    for target in (np.float16, ml_dtypes.bfloat16):
        check_op("Cast", narrow, to=code_of(target), ref=narrow.astype(target))


def test_floats_to_integers():
    x = np.array([1.9, -1.9, np.nan, np.inf, -np.inf, 3e9, -3e9], np.float32)
    low, high = -(2**31), 2**31 - 1
    check_op("Cast", x, to=TensorProto.INT32, ref=np.int32([1, -1, 0, high, low, high, low]))
    wide = np.array([1, -1, 0, 2**63 - 1, -(2**63), 3 * 10**9, -3 * 10**9])
    check_op("Cast", x, to=TensorProto.INT64, ref=wide)
    check_op("Cast", x, to=TensorProto.BOOL, ref=np.ones(7, bool))
    # Narrower types take the low bits.
    check_op("Cast", np.float32([-1, 300]), to=TensorProto.UINT8, ref=np.uint8([255, 44]))


def edges(dtype):
    values = [0, -0.0, 0.48, 1.05, -3.5, 448, 464, 465, 1e6, -1e6, 1e-7, -1e-7, np.inf, -np.inf]
    grid = np.linspace(-9, 9, 4001)
    return np.concatenate([np.float32([*values, np.nan]), grid, 2.0 ** np.arange(-20, 20)]).astype(
        dtype
    )


@pytest.mark.parametrize("code", SMALL)
def test_float8(code):
    target = SMALL[code]
    for source in (np.float32, np.float16):
        with np.errstate(all="ignore"):
            x = edges(source)
            saturated = numpy_helper.saturate_cast(x, np.dtype(target))
            check_op("Cast", x, to=code, ref=saturated)
            check_op("Cast", x, to=code, saturate=0, ref=x.astype(target))
    codes = np.arange(256, dtype=np.uint8).view(target)
    for wide in (np.float32, np.float16):
        check_op("Cast", codes, to=code_of(wide), ref=codes.astype(wide))
    check_op("CastLike", randn(9), codes, ref=randn(9).astype(target))


def test_float4():
    x = edges(np.float32)
    target = ml_dtypes.float4_e2m1fn
    check_op("Cast", x, to=TensorProto.FLOAT4E2M1, ref=x.astype(target))
    codes = np.arange(16, dtype=np.uint8).view(target)
    check_op("Cast", codes, to=TensorProto.FLOAT, ref=codes.astype(np.float32))


def test_float8e8m0():
    x = np.float32([0.124, 0.25, 0.5, 1.1, 1.5, 1.75, 2.0, 3e38, np.nan])
    for mode in ("up", "down", "nearest"):
        for saturate in (0, 1):
            expected = numpy_helper.to_float8e8m0(x, bool(saturate), mode)
            check_op(
                "Cast",
                x,
                to=TensorProto.FLOAT8E8M0,
                round_mode=mode,
                saturate=saturate,
                ref=expected,
            )
    infinite = np.float32([np.inf])
    largest, nan = (np.array([c], np.uint8).view(ml_dtypes.float8_e8m0fnu) for c in (254, 255))
    check_op("Cast", infinite, to=TensorProto.FLOAT8E8M0, ref=largest)
    check_op("Cast", infinite, to=TensorProto.FLOAT8E8M0, saturate=0, ref=nan)


@pytest.mark.parametrize("code", NARROW_INTEGERS)
def test_narrow_integers(code):
    target = NARROW_INTEGERS[code]
    for source in (np.float32, np.int8, np.int64):
        x = np.arange(-9, 16).astype(source)
        check_op("Cast", x, to=code, ref=x.astype(target))
    x = np.arange(-2 if np.dtype(target).name.startswith("int") else 0, 2).astype(target)
    for wide in (np.float32, np.int8, np.int64, np.float16):
        check_op("Cast", x, to=code_of(wide), ref=x.astype(wide))


def test_strings():
    text = np.array(
        ["0.5", "-1e-5", " 7 ", "NaN", "+INF", "-inf", "1E8", "1e999", "1e-999"], object
    )
    expected = [0.5, -1e-5, 7, np.nan, np.inf, -np.inf, 1e8, np.inf, 0]
    for dtype in (np.float32, np.float64):
        check_op("Cast", text, to=code_of(dtype), ref=np.array(expected, dtype))
    whole = np.array(["12", "-7", "+3", "2.9", "9223372036854775807"], object)
    check_op("Cast", whole, to=TensorProto.INT64, ref=np.array([12, -7, 3, 2, 2**63 - 1]))
    check_op("Cast", np.array(["0", "2"], object), to=TensorProto.BOOL, ref=np.array([False, True]))

    floats = [1.0, 0.1, 1e-5, 1e20, 123456.0, -0.0, 1.5e-4, 3.1415927]
    for x in (np.float32(floats), np.float64([*floats, 1e15, 1e16, 1 / 3])):
        check_op("Cast", x, to=TensorProto.STRING, ref=np.array([str(v) for v in x], object))
    names = np.array(["NaN", "INF", "-INF"], object)
    check_op("Cast", np.float32([np.nan, np.inf, -np.inf]), to=TensorProto.STRING, ref=names)
    for dtype in (np.int8, np.uint8, np.int64, np.uint64):
        x = np.array([0, 7, 100], dtype)
        check_op("Cast", x, to=TensorProto.STRING, ref=np.array(["0", "7", "100"], object))
    check_op("Cast", names, to=TensorProto.STRING, ref=names)
    expect_error("Cast", np.array(["pear"], object), to=1, match="'pear' is not a number")
    expect_error("Cast", np.array([""], object), to=7, match="'' is not a number")


def test_refusals():
    check_op("Cast", randn(2), opset=1, to="INT32", ref=randn(2).astype(np.int32))
    expect_error("Cast", randn(2), opset=1, to="APPLE", match="not the name of an element type")
    expect_error("Cast", randn(2), to=99, match="not an element type")


@pytest.mark.parametrize(("opset", "code"), [(23, 7), (24, 8)])
def test_nan_to_float4(opset, code):
    """The type has no NaN and the text is silent; the standard's tests have the largest number for
    opset 23 and minus zero from 24 on."""
    y = run_op("Cast", np.float32([np.nan, 1]), to=TensorProto.FLOAT4E2M1, opset=opset)
    assert y.view(np.uint8).tolist() == [code, 2]
