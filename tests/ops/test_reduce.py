"""Reductions, positions of extremes, running totals, norms."""

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, make_model, randint, randn

import sardonyx


def log_sum_exp(x, axis=None, keepdims=True):
    return np.log(np.exp(x).sum(axis, keepdims=keepdims))


REDUCTIONS = {
    "ReduceSum": np.sum,
    "ReduceMean": np.mean,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceL1": lambda x, **k: np.abs(x).sum(**k),
    "ReduceL2": lambda x, **k: np.sqrt((x * x).sum(**k)),
    "ReduceSumSquare": lambda x, **k: (x * x).sum(**k),
    "ReduceLogSum": lambda x, **k: np.log(x.sum(**k)),
    "ReduceLogSumExp": log_sum_exp,
}

CASES = [
    ((7,), (0,)),
    ((3, 5), (1,)),
    ((3, 5), (0,)),
    ((3, 5), (0, 1)),
    ((2, 3, 4), (-2,)),
    ((2, 3, 4, 5), (0, 2, 3)),
    ((2, 3, 4, 5), (1, 3)),
    ((2, 3, 4, 5, 6), (0, 2, 4)),
    ((1, 3, 1), (0, 2)),
    ((3, 300, 11), (1,)),
]


def reference(name, x, axes, keepdims=True):
    wide = x.astype(np.float64)
    return np.asarray(REDUCTIONS[name](wide, axis=axes, keepdims=keepdims)).astype(x.dtype)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_axes(name):
    for shape, axes in CASES:
        x = np.abs(randn(*shape)) * 0.5 + 0.5 if name != "ReduceMax" else randn(*shape)
        length = int(np.prod([shape[a] for a in axes]))
        for keep in (0, 1):
            expected = reference(name, x, axes, bool(keep))
            check_op(name, x, np.array(axes), keepdims=keep, length=length, ref=expected)
        check_op(name, x, axes=axes, opset=11, length=length, ref=reference(name, x, axes))
    x = np.abs(randn(2, 3)) + 1
    check_op(name, x, ref=reference(name, x, (0, 1)))
    check_op(name, x[0, 0].reshape(()), ref=reference(name, x[0, 0].reshape(()), ()))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_types(name):
    for dtype in (np.float64, np.float16, ml_dtypes.bfloat16):
        x = (np.abs(randn(4, 5, 3)) + 0.5).astype(dtype)
        for axes in [(1,), (2,), (0, 2)]:
            check_op(name, x, np.array(axes), ref=reference(name, x, axes))
    if name not in ("ReduceLogSum", "ReduceLogSumExp"):
        for dtype in (np.int32, np.int64, np.uint32, np.uint64):
            x = randint(1, 5, 4, 5, 3, dtype=dtype)
            for axes in [(1,), (2,), (0, 2)]:
                check_op(name, x, np.array(axes), ref=reference(name, x, axes))


def test_extremes_of_small_types():
    for dtype in (np.int8, np.uint8):
        x = randint(0, 100, 4, 5, dtype=dtype)
        check_op("ReduceMax", x, np.array([0]), ref=x.max(0, keepdims=True))
        check_op("ReduceMin", x, np.array([1]), ref=x.min(1, keepdims=True))
    flags = randint(0, 2, 4, 3, dtype=bool)
    check_op("ReduceMax", flags, np.array([0]), ref=flags.max(0, keepdims=True))
    check_op("ReduceMin", flags, np.array([1]), ref=flags.min(1, keepdims=True))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_no_axes(name):
    """Without axes to reduce, what is done to single elements is still done."""
    x = randn(2, 3) + 3
    expected = {
        "ReduceL1": np.abs,
        "ReduceSumSquare": np.square,
        "ReduceL2": np.abs,
        "ReduceLogSum": np.log,
    }.get(name, np.array)(x)
    check_op(name, x, np.zeros(0, np.int64), noop_with_empty_axes=1, ref=expected)
    check_op(name, x, noop_with_empty_axes=1, ref=expected)
    check_op(name, x, np.zeros(0, np.int64), ref=reference(name, x, (0, 1)))


def test_empty():
    neutral = {
        "ReduceSum": 0, "ReduceProd": 1, "ReduceMax": -np.inf, "ReduceMin": np.inf, "ReduceL1": 0,
        "ReduceL2": 0, "ReduceSumSquare": 0, "ReduceLogSum": -np.inf, "ReduceLogSumExp": -np.inf,
        "ReduceMean": np.nan,
    }  # fmt: skip
    for name, value in neutral.items():
        for dtype in (np.float32, np.float64, np.float16):
            for shape, axes in [((2, 0, 3), (1,)), ((2, 0), (1,)), ((0, 2, 4), (0, 2))]:
                out = [1 if i in axes else n for i, n in enumerate(shape)]
                check_op(
                    name, np.zeros(shape, dtype), np.array(axes), ref=np.full(out, value, dtype)
                )
            check_op(name, np.zeros((0, 2), dtype), np.array([1]), ref=np.zeros((0, 1), dtype))
    check_op("ReduceMax", np.zeros((2, 0), bool), np.array([1]), ref=np.zeros((2, 1), bool))
    check_op("ReduceMin", np.zeros((2, 0), bool), np.array([1]), ref=np.ones((2, 1), bool))
    low = np.full((1,), np.iinfo(np.int64).min)
    check_op("ReduceMax", np.zeros(0, np.int64), np.array([0]), ref=low)


def test_extreme_values():
    x = np.array([[np.nan, 1, 2], [np.inf, -np.inf, 3], [1000, 999, 998]], np.float32)
    for axes in [(0,), (1,)]:
        check_op("ReduceMax", x, np.array(axes), ref=x.max(axes, keepdims=True))
        check_op("ReduceMin", x, np.array(axes), ref=x.min(axes, keepdims=True))
    big = np.array([[1000, 999], [-1000, -1001], [-np.inf, -np.inf], [np.inf, 1]], np.float32)
    expected = np.logaddexp(big[:, :1], big[:, 1:], dtype=np.float64)
    for dtype in (np.float32, np.float64):
        check_op("ReduceLogSumExp", big.astype(dtype), np.array([1]), ref=expected.astype(dtype))
        turned = np.ascontiguousarray(big.T).astype(dtype)
        check_op("ReduceLogSumExp", turned, np.array([0]), ref=expected.T.astype(dtype))


def test_long_axes():
    for shape, axes in [((1_000_003,), (0,)), ((300_001, 3), (0,)), ((2, 150_001), (1,))]:
        x = randn(*shape)
        for name in ("ReduceSum", "ReduceMax", "ReduceL2"):
            check_op(name, x, np.array(axes), length=shape[axes[0]], ref=reference(name, x, axes))


def test_refusals():
    expect_error("ReduceSum", randn(2, 3), np.array([2]), match="axis 2 is out of range")
    expect_error("ReduceSum", randn(2, 3), np.array([0, -2]), match="named twice")


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_arg_of_rows_looked_through_in_pieces(op: str, last: int) -> None:
    piece = 1 << 20
    sign = np.float32(1 if op == "ArgMax" else -1)
    x = np.zeros((5, 2 * piece + 3), np.float32)
    x[1, [5, piece + 7, 2 * piece + 1]] = sign
    x[2, [piece - 1, piece]] = sign
    x[3, [7, piece + 7]] = np.nan
    x[4, [3, 2 * piece + 2]] = sign * np.inf
    first = [0, 5, piece - 1, 7, 3]
    final = [2 * piece + 2, 2 * piece + 1, piece, piece + 7, 2 * piece + 2]
    for threads in (1, 3):
        model = make_model(op, [x], attrs={"axis": 1, "keepdims": 0, "select_last_index": last})
        found = sardonyx.load(model, threads=threads)(x)
        assert found.tolist() == (final if last else first)


@pytest.mark.parametrize(("name", "function"), [("ArgMax", np.argmax), ("ArgMin", np.argmin)])
def test_positions(name, function):
    for dtype in (np.float32, np.float64, np.float16, np.int8, np.int64, np.uint16):
        x = randint(0, 4, 5, 6, 7, dtype=dtype)
        for axis in (0, 1, -1):
            expected = function(x, axis=axis)
            check_op(name, x, axis=axis, keepdims=0, ref=expected)
            check_op(name, x, axis=axis, ref=np.expand_dims(expected, axis))
            last = x.shape[axis] - 1 - function(np.flip(x, axis), axis=axis)
            check_op(name, x, axis=axis, keepdims=0, select_last_index=1, ref=last)
    nan = np.array([[1, np.nan, 5, np.nan], [np.inf, 1, -np.inf, 2]], np.float32)
    check_op(name, nan, axis=1, keepdims=0, ref=function(nan, 1))
    check_op(name, nan.T.copy(), axis=0, keepdims=0, ref=function(nan, 1))
    check_op(name, np.zeros((0, 3), np.float32), axis=1, ref=np.zeros((0, 1), np.int64))
    expect_error(name, np.zeros((2, 0), np.float32), axis=1, match="is empty")
    expect_error(name, randn(2), axis=1, match="axis 1 is out of range")


def running(function, x, axis, exclusive, reverse):
    x = np.flip(x, axis) if reverse else x
    y = function(x, axis=axis, dtype=x.dtype)
    if exclusive:
        first = np.full_like(np.take(x, [0], axis), 0 if function is np.cumsum else 1)
        y = np.concatenate([first, np.delete(y, -1, axis)], axis)
    return np.flip(y, axis) if reverse else y


@pytest.mark.parametrize(("name", "function"), [("CumSum", np.cumsum), ("CumProd", np.cumprod)])
def test_running_totals(name, function):
    for dtype in (np.float32, np.float64, np.int32, np.uint64):
        x = (randn(3, 4, 5) * 3).astype(np.int64).astype(dtype)
        for axis in (0, 1, -1):
            for exclusive, reverse in [(0, 0), (0, 1), (1, 0), (1, 1)]:
                expected = running(function, x, axis, exclusive, reverse)
                options = {"exclusive": exclusive, "reverse": reverse}
                check_op(name, x, np.array(axis), **options, length=5, ref=expected)
    check_op(name, randn(4).astype(np.float16), np.array([0], np.int32), length=4,
             ref=lambda x, axis: function(x.astype(np.float32)).astype(np.float16))  # fmt: skip
    wide = randn(2, 3, 150)  # more columns than go at once
    check_op(name, wide, np.array(1), length=3, ref=function(wide, 1))
    check_op(name, np.zeros((2, 0), np.float32), np.array(1), ref=np.zeros((2, 0), np.float32))
    expect_error(name, randn(2, 2), np.array(2), match="axis 2 is out of range")


def test_lp_normalization():
    x = randn(3, 4, 5)
    for axis in (0, 1, -1):
        for p in (1, 2):
            norm = np.linalg.norm(x.astype(np.float64), p, axis, keepdims=True)
            expected = (x / norm).astype(np.float32)
            check_op("LpNormalization", x, axis=axis, p=p, length=5, ref=expected)
    check_op("LpNormalization", np.zeros((2, 3), np.float32), ref=np.zeros((2, 3), np.float32))
    half = x.astype(np.float16)
    norm = np.linalg.norm(half.astype(np.float64), 2, -1, keepdims=True)
    check_op("LpNormalization", half, ref=(half / norm).astype(np.float16))
    expect_error("LpNormalization", x, p=3, match="p is 3")
