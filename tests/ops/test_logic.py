"""Logic, bits, comparisons and choices."""

import ml_dtypes
import numpy as np
from helpers import check_op, expect_error, randint, randn


def bits(*shape, seed=0):
    return randint(0, 2, *shape, dtype=bool, seed=seed)


def test_booleans():
    for a, b in [((3, 4), (3, 4)), ((3, 4), (4,)), ((), (3,)), ((0,), (1,))]:
        x, y = bits(*a), bits(*b, seed=1)
        check_op("And", x, y, ref=np.logical_and)
        check_op("Or", x, y, ref=np.logical_or)
        check_op("Xor", x, y, ref=np.logical_xor)
        check_op("Not", x, ref=np.logical_not)
    check_op("And", bits(2, 3, 4), bits(3), opset=6, broadcast=1, axis=1,
             ref=lambda x, y: x & y.reshape(3, 1))  # fmt: skip
    expect_error("And", randn(3), randn(3), match="expected booleans")


def test_bits():
    for dtype in (np.uint8, np.int8, np.int16, np.uint32, np.int64, np.uint64):
        x, y = randint(0, 100, 4, 5, dtype=dtype), randint(0, 100, 5, dtype=dtype, seed=1)
        check_op("BitwiseAnd", x, y, ref=np.bitwise_and)
        check_op("BitwiseOr", x, y, ref=np.bitwise_or)
        check_op("BitwiseXor", x, y, ref=np.bitwise_xor)
        check_op("BitwiseNot", x, ref=np.invert)
        shift = randint(0, 8, 5, dtype=dtype)
        check_op("BitShift", x, shift, direction="LEFT", ref=np.left_shift)
        check_op("BitShift", x, shift, direction="RIGHT", ref=np.right_shift)
    x, by = np.array([-8, 8, -1, 1], np.int8), np.array([8, 9, -1, -2], np.int8)
    check_op("BitShift", x, by, direction="LEFT", ref=np.zeros(4, np.int8))
    check_op("BitShift", x, by, direction="RIGHT", ref=np.array([-1, 0, -1, 0], np.int8))
    wide = np.array([1, 2**63], np.uint64)
    check_op("BitShift", wide, np.array([64, 63], np.uint64), direction="RIGHT",
             ref=np.array([0, 1], np.uint64))  # fmt: skip
    expect_error("BitShift", x, by, direction="UP", match="neither 'LEFT' nor 'RIGHT'")


COMPARISONS = {
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
}


def test_comparisons():
    for name, function in COMPARISONS.items():
        for dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int8, np.uint64):
            x, y = randint(0, 3, 4, 5, dtype=dtype), randint(0, 3, 5, dtype=dtype, seed=1)
            check_op(name, x, y, ref=function)
            check_op(name, x, y[:1].reshape(()), ref=function)
        nan = np.array([np.nan, 1, np.inf], np.float32)
        check_op(name, nan, nan[::-1].copy(), ref=function)
    check_op("Equal", bits(9), bits(9, seed=1), ref=np.equal)
    words = np.array(["a", "", "ü", "ab"], object)
    check_op("Equal", words, np.array(["ab", "", "ü", "a"], object), ref=np.equal)
    check_op("Equal", words, np.array("ab", object), ref=np.equal)
    expect_error("Less", words, words, match="cannot be compared")
    expect_error("Less", randn(3), randint(0, 2, 3), match="element types differ")


def test_where():
    for c, x, y in [
        ((3, 4), (3, 4), (3, 4)),
        ((3, 4), (), (4,)),
        ((3, 1), (4,), ()),
        ((), (3, 4), (4,)),
        ((4,), (3, 1), (2, 1, 1)),
        ((0, 4), (4,), ()),
    ]:
        condition = bits(*c)
        check_op("Where", condition, randn(*x), randn(*y, seed=1), ref=np.where)
        check_op("Where", condition, randint(0, 9, *x), randint(0, 9, *y, seed=1), ref=np.where)
    names = np.array(["a", "b", "c"], object)
    check_op("Where", np.array([True, False, True]), names, np.array("?", object), ref=np.where)
    half = randn(3, 4).astype(np.float16)
    check_op("Where", bits(3, 1), half, half[::-1].copy(), ref=np.where)
    check_op("Where", bits(2, 2), randn(2, 2) + 1j, np.zeros((2, 2), np.complex64), ref=np.where)
