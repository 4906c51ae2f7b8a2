"""BitCast between all types of one width."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, run_op
from onnx import helper

WIDTHS = [
    ["int8", "uint8", ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.float8_e8m0fnu],
    ["int16", "uint16", "float16", ml_dtypes.bfloat16],
    ["int32", "uint32", "float32"],
    ["int64", "uint64", "float64", "complex64"],
]
NARROW = [ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float4_e2m1fn]


def code(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


@pytest.mark.parametrize(
    ("a", "b"), [pair for width in WIDTHS for pair in itertools.permutations(width, 2)]
)
def test_whole_bytes(a, b):
    raw = np.random.default_rng(0).integers(0, 256, 96, dtype=np.uint8)
    x = raw.view(np.dtype(a)).reshape(2, -1)
    y = run_op("BitCast", x, to=code(b))
    assert y.dtype == np.dtype(b)
    np.testing.assert_array_equal(y.view(np.uint8), x.view(np.uint8))


@pytest.mark.parametrize(("a", "b"), itertools.permutations(NARROW, 2))
def test_four_bits(a, b):
    codes = np.arange(16, dtype=np.uint8).view(a)
    y = run_op("BitCast", codes, to=code(b))
    assert y.dtype == np.dtype(b)
    np.testing.assert_array_equal(y.view(np.uint8) & 15, np.arange(16))


def test_two_bits():
    x = np.array([0, 1, 2, 3], dtype=ml_dtypes.uint2)
    y = run_op("BitCast", x, to=code(ml_dtypes.int2))
    np.testing.assert_array_equal(y.astype(np.int8), [0, 1, -2, -1])


def test_bool():
    """Any pattern but 0 is true: a bool has no others that a program could use."""
    y = run_op("BitCast", np.array([0, 1, 2, 255], dtype=np.uint8), to=code(bool))
    np.testing.assert_array_equal(y, [False, True, True, True])
    np.testing.assert_array_equal(run_op("BitCast", y, to=code(np.int8)), [0, 1, 1, 1])


def test_no_elements():
    check_op("BitCast", np.zeros((0, 3), np.float32), ref=np.zeros((0, 3), np.int32), to=6)


def test_errors():
    x = np.zeros(2, np.float32)
    expect_error("BitCast", x, match="float32 has 32 bits, one of int64 has 64", to=7)
    expect_error("BitCast", x, match="strings have no fixed bits", to=8)
    expect_error("BitCast", x, match="'to' is 99", to=99)
    expect_error("BitCast", x, match="'to' is missing")
