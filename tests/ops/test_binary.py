"""Elementwise operators of two operands or many: arithmetic, remainders, powers, extremes."""

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

SHAPES = [
    ((3, 4), (3, 4)),
    ((3, 4), ()),
    ((), (3, 4)),
    ((), ()),
    ((3, 4), (4,)),
    ((3, 4), (3, 1)),
    ((2, 5, 3, 4), (5, 1, 1)),
    ((2, 1, 3, 1), (1, 5, 1, 4)),
    ((4,), (2, 3, 1)),
    ((2, 3, 4, 5), (3, 1, 5)),
    ((2, 1, 2, 1, 2, 1, 2), (1, 3, 1, 3, 1, 3, 1)),
    ((0, 4), (4,)),
    ((0, 4), (1, 1)),
    ((64, 700), (700,)),
    ((500, 3), (3,)),
    ((700, 4), (700, 1)),
    ((3,), (500, 1)),
    ((7, 5, 3, 2), (5, 1, 2)),
    ((1, 1, 2), (40, 30, 1)),
    ((700, 64), (700, 1)),
]

OPERATORS = [("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.divide)]


@pytest.mark.parametrize(("name", "function"), OPERATORS)
def test_broadcasting(name, function):
    for a, b in SHAPES:
        check_op(name, randn(*a), randn(*b, seed=1) + 3, ref=function)


@pytest.mark.parametrize(("name", "function"), OPERATORS)
def test_float_types(name, function):
    for dtype in (np.float64, np.float16, ml_dtypes.bfloat16):
        for a, b in [((2, 3), (2, 3)), ((700,), ()), ((), (700,)), ((5, 1), (3,))]:
            x, y = randn(*a).astype(dtype), (randn(*b, seed=1) + 3).astype(dtype)
            check_op(name, x, y, ref=function)


def test_integers_wrap():
    for dtype in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64):
        info = np.iinfo(dtype)
        x = np.array([info.max, info.min, 1, 0, 100, 7], dtype)
        y = np.array([info.max, 1, info.min, 3, 100, info.max], dtype)
        with np.errstate(over="ignore"):
            check_op("Add", x, y, ref=np.add)
            check_op("Sub", x, y, ref=np.subtract)
            check_op("Mul", x, y, ref=np.multiply)


def test_integer_division():
    a = np.array([7, -7, 7, -7, 0, 5], np.int32)
    b = np.array([2, 2, -2, -2, 3, 5], np.int32)
    check_op("Div", a, b, ref=lambda a, b: np.trunc(a / b).astype(a.dtype))
    check_op("Mod", a, b, ref=np.mod)
    check_op("Mod", a, b, fmod=1, ref=np.fmod)
    # Division by zero gives 0; the quotient that overflows wraps. Neither traps.
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        low = np.iinfo(dtype).min
        a, b = np.array([5, low, -1], dtype), np.array([0, -1, 0], dtype)
        check_op("Div", a, b, ref=np.array([0, low, 0], dtype))
        check_op("Mod", a, b, ref=np.zeros(3, dtype))
        check_op("Mod", a, b, fmod=1, ref=np.zeros(3, dtype))


def test_float_mod():
    a = np.array([-4.3, 7.2, 5.0, 4.3, -7.2, 8.0, -6.0, np.inf, 3.0, -3.0, np.nan], np.float32)
    b = np.array([2.1, -3.4, 8.0, -2.1, 3.4, 5.0, 3.0, 2.0, np.inf, np.inf, 1.0], np.float32)
    with np.errstate(invalid="ignore"):
        for dtype in (np.float32, np.float64, np.float16):
            check_op("Mod", a.astype(dtype), b.astype(dtype), fmod=1, ref=np.fmod)
            check_op("Mod", a.astype(dtype), b.astype(dtype), ref=np.mod)


def test_pow():
    x = np.abs(randn(3, 40)) + 0.1
    check_op("Pow", x, randn(3, 40, seed=1), ref=np.power)
    check_op("Pow", randn(3, 40), np.array(2, np.float32), ref=np.power)
    check_op("Pow", randn(3, 40), np.array(3, np.float32), ref=np.power)
    check_op("Pow", x.astype(np.float16), np.array(0.5, np.float16), ref=np.power)
    check_op("Pow", x.astype(np.float64), x.astype(np.float64), ref=np.power)
    check_op("Pow", randn(3, 4), np.array([2], np.int64), ref=lambda x, n: x**2)
    check_op("Pow", x, np.array(0.5, np.float64), ref=lambda x, n: np.sqrt(x))
    base, exponent = np.array([2, -3, 0, 1, -1, 7], np.int64), np.array([3, 3, 0, 9, 9, 2])
    check_op("Pow", base, exponent, ref=np.power)
    check_op("Pow", base.astype(np.int32), exponent, ref=lambda b, e: b ** e.astype(np.int32))
    negative = np.array([-1, -2, -3, -1, -3, -1])
    check_op("Pow", base, negative, ref=np.array([0, 0, 0, 1, -1, 0]))
    check_op(
        "Pow",
        base[:3],
        np.float32([0.5, 3, 2]),
        ref=lambda b, e: np.float64([2**0.5, -27, 0]).astype(int),
    )


def test_extremes():
    for dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16, np.int8, np.uint64):
        a, b, c = (randint(0, 50, 3, 4, dtype=dtype, seed=s) for s in range(3))
        check_op("Max", a, ref=lambda a: a)
        check_op("Max", a, b, ref=np.maximum)
        check_op("Min", a, b, c[0], ref=lambda a, b, c: np.minimum(np.minimum(a, b), c))
    a = np.array([np.nan, 1, np.nan, 2], np.float32)
    b = np.array([1, np.nan, np.nan, 3], np.float32)
    for dtype in (np.float32, np.float64, np.float16):
        check_op("Max", a.astype(dtype), b.astype(dtype), ref=np.maximum)
        check_op("Min", a.astype(dtype), b.astype(dtype), ref=np.minimum)


def test_sum_and_mean():
    a, b, c = randn(3, 4), randn(4, seed=1), randn(2, 1, 1, seed=2)
    check_op("Sum", a, ref=lambda a: a)
    check_op("Sum", a, b, c, ref=lambda a, b, c: a + b + c)
    check_op("Mean", a, b, c, ref=lambda a, b, c: ((a + b + c) / 3).astype(np.float32))
    check_op("Mean", a.astype(np.float64), ref=lambda a: a)
    check_op("Sum", a, a, a, ref=lambda a, b, c: a + b + c)


def test_prelu():
    x = randn(2, 3, 4)
    for shape in [(3, 1), (2, 3, 4), (1,), (), (4,)]:
        check_op("PRelu", x, randn(*shape, seed=1), ref=lambda x, s: np.where(x < 0, x * s, x))
    check_op("PRelu", randint(-9, 9, 5), np.array(3), ref=lambda x, s: np.where(x < 0, x * s, x))
    check_op(
        "PRelu", x, randn(3), opset=6, ref=lambda x, s: np.where(x < 0, x * s.reshape(3, 1), x)
    )
    expect_error("PRelu", randn(3, 1), randn(3, 4), match="does not broadcast to")


def test_broadcasting_before_opset_7():
    x = randn(2, 3, 4, 5)
    for shape, axis in [((3, 4), 1), ((4, 5), None), ((2,), 0), ((1,), None)]:
        y = randn(*shape, seed=1)
        start = 4 - len(shape) if axis is None else axis
        wide = y.reshape(shape + (1,) * (4 - start - len(shape)))
        check_op("Add", x, y, opset=6, broadcast=1, axis=axis, ref=lambda x, y, w=wide: x + w)


def test_refusals():
    expect_error("Add", randn(3, 4), randn(3), match="do not broadcast|does not broadcast")
    expect_error("Add", randn(3), randint(0, 3, 3), match="element types differ")
