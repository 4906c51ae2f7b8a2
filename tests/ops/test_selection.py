"""TopK, OneHot, NonZero, Compress, Range, Trilu, EyeLike."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn
from onnx import TensorProto, helper

import sardonyx

WORDS = np.array([["a", "", "c"], ["d", "e", "f"]], dtype=object)


def ints(*values):
    return np.array(values, dtype=np.int64)


def top_k(x, k, axis, largest=1):
    keys = -x.astype(np.float64) if largest else x.astype(np.float64)
    order = np.argsort(keys, axis, kind="stable")
    order = np.take(order, range(k), axis)
    return np.take_along_axis(x, order, axis), order.astype(np.int64)


@pytest.mark.parametrize("largest", [0, 1])
def test_top_k(largest):
    for dtype in [np.float32, np.float64, np.float16, np.int64, np.int8, np.uint8]:
        x = (5 * randn(4, 30, 3)).astype(dtype)  # with ties
        for axis in [0, 1, -1]:
            for k in {0, 1, 2, x.shape[axis]}:
                check_op("TopK", x, ints(k), axis=axis, largest=largest, outputs=2,
                         ref=top_k(x, k, axis, largest))  # fmt: skip
    x = randn(3, 500)
    check_op("TopK", x, ints(100), largest=largest, outputs=2, ref=top_k(x, 100, -1, largest))
    check_op("TopK", x, ints(7), largest=largest, outputs=["", "y"],
             ref=(top_k(x, 7, -1, largest)[1],))  # fmt: skip
    check_op("TopK", x, ints(7), largest=largest, ref=top_k(x, 7, -1, largest)[0])
    check_op("TopK", x, opset=9, k=5, outputs=2, ref=top_k(x, 5, -1))
    # Columns that lie side by side, with ties, beyond what short lines take.
    x = np.round(3 * randn(2, 200, 21)).astype(np.float32)
    for k in [1, 9, 128, 129, 200]:
        check_op("TopK", x, ints(k), axis=1, largest=largest, outputs=2,
                 ref=top_k(x, k, 1, largest))  # fmt: skip
    check_op("TopK", x, ints(5), opset=10, outputs=2, ref=top_k(x, 5, -1))


def test_top_k_of_nan():
    x = np.array([1, np.nan, 3, -np.inf, np.nan, np.inf], np.float32)
    check_op("TopK", x, ints(4), outputs=2, ref=(x[[1, 4, 5, 2]], ints(1, 4, 5, 2)))
    check_op(
        "TopK", x, ints(5), largest=0, outputs=2, ref=(x[[3, 0, 2, 5, 1]], ints(3, 0, 2, 5, 1))
    )


@pytest.mark.parametrize("largest", [0, 1])
def test_the_few_best_of_short_lines(largest):
    for size in (1, 2, 5, 12, 128, 129):
        x = np.round(randn(6, size)) * np.float32(-1)  # ties, 0 with -0 among them
        for k in range(1, min(size, 9) + 1):
            check_op("TopK", x, ints(k), largest=largest, outputs=2, ref=top_k(x, k, -1, largest))
    x = -np.float32([[np.nan, 1, np.nan, -np.inf], [0, np.nan, np.inf, np.nan]])
    order = ints([0, 2, 3], [1, 3, 0]) if largest else ints([1, 3, 0], [2, 0, 1])
    check_op("TopK", x, ints(3), largest=largest, outputs=2,
             ref=(np.take_along_axis(x, order, 1), order))  # fmt: skip


def test_top_k_refuses():
    expect_error("TopK", randn(3), ints(4), outputs=2, match="K is 4 for an axis of size 3")
    expect_error("TopK", randn(3), ints(-1), outputs=2, match="K is -1")


def test_one_hot():
    indices = ints(0, 2, -1, 5, -6, 4)
    values = np.array([0.5, 3], np.float32)
    rows = np.where(np.where(indices < 0, indices + 5, indices)[:, None] == np.arange(5), 3, 0.5)
    expected = rows.astype(np.float32)
    for depth in [np.int64(5), ints(5), np.float32(5)]:
        check_op("OneHot", indices, depth, values, ref=expected)
    check_op("OneHot", indices.astype(np.float32), np.int32(5), values, axis=0, ref=expected.T)
    grid = randint(0, 4, 2, 3)
    spread = (grid[:, None, :] == np.arange(4)[:, None]).astype(np.int64)
    check_op("OneHot", grid, np.int64(4), ints(0, 1), axis=1, ref=spread)
    check_op("OneHot", ints(1, 0), np.int64(2), np.array(["n", "y"], dtype=object),
             ref=np.array([["n", "y"], ["y", "n"]], dtype=object))  # fmt: skip
    expect_error("OneHot", grid, np.int64(-1), ints(0, 1), match="a depth of -1")
    expect_error("OneHot", grid, np.int64(2), ints(0, 1, 2), match="expected two values, got 3")


def test_non_zero():
    for dtype in [np.float32, np.float64, np.float16, np.int64, np.int8, bool]:
        for shape in [(5,), (3, 4), (2, 3, 4), (0, 3)]:
            x = randint(0, 2, *shape).astype(dtype)
            check_op("NonZero", x, ref=np.array(np.nonzero(x)).astype(np.int64))
    check_op("NonZero", np.array([0.0, -0.0, np.nan], np.float32), ref=ints(2)[None])
    check_op("NonZero", WORDS, ref=np.array(np.nonzero(WORDS)))


def test_compress():
    x = randn(4, 5, 3)
    for axis in [0, 1, -1]:
        keep = np.arange(x.shape[axis]) % 2 == 0
        check_op("Compress", x, keep, axis=axis, ref=np.compress(keep, x, axis))
        check_op("Compress", x, keep[:-1], axis=axis, ref=np.compress(keep[:-1], x, axis))
    keep = np.arange(60) % 7 == 0
    check_op("Compress", x, keep, ref=np.compress(keep, x))
    check_op("Compress", WORDS, np.array([False, True]), axis=0, ref=WORDS[1:])
    expect_error("Compress", x, np.ones(5, bool), axis=0, match="selects position 4 of 4")


def test_range():
    for start, limit, delta in [(0, 10, 3), (10, 4, -2), (3, 3, 1), (5, 1, 1), (-4, 400, 1)]:
        for dtype in [np.int64, np.int32, np.int16, np.float32, np.float64]:
            inputs = [np.asarray(v, dtype) for v in (start, limit, delta)]
            check_op("Range", *inputs, ref=np.arange(start, limit, delta).astype(dtype))
    inputs = [np.float32(v) for v in (0.5, 3, 0.25)]
    check_op("Range", *inputs, ref=np.arange(0.5, 3, 0.25, dtype=np.float32))
    expect_error("Range", np.int64(0), np.int64(4), np.int64(0), match="delta is 0")
    expect_error("Range", np.float32(0), np.float32(np.nan), np.float32(1), match="a range of")


def test_trilu():
    x = randn(2, 4, 5)
    for k in [None, 0, 1, -1, 3, -3, 9, -9, 2**62]:
        shift = int(np.clip(k or 0, -9, 9))
        given = None if k is None else np.int64(k)
        check_op("Trilu", x, given, ref=np.triu(x, shift))
        check_op("Trilu", x, given, upper=0, ref=np.tril(x, shift))
    for dtype in [np.float64, np.int64, np.int8, bool]:
        check_op("Trilu", x.astype(dtype), upper=0, ref=np.tril(x.astype(dtype)))
    check_op("Trilu", randn(3, 0, 5), ref=randn(3, 0, 5))


def test_eye_like():
    for k in [None, 0, 1, -2, 7]:
        check_op("EyeLike", randn(3, 5), k=k, ref=np.eye(3, 5, k or 0, dtype=np.float32))
    check_op("EyeLike", randn(3, 3), dtype=7, ref=np.eye(3, dtype=np.int64))
    check_op("EyeLike", randn(3, 3), dtype=9, ref=np.eye(3, dtype=bool))


def test_range_of_limits_whose_rank_is_not_known():
    infos = [
        helper.make_tensor_value_info("limit", TensorProto.INT64, None),
        helper.make_tensor_value_info("y", TensorProto.INT64, None),
    ]
    constants = [helper.make_tensor(n, TensorProto.INT64, [], [v]) for n, v in (("a", 1), ("d", 2))]
    node = helper.make_node("Range", ["a", "limit", "d"], ["y"])
    graph = helper.make_graph([node], "range", infos[:1], infos[1:], constants)
    (y,) = sardonyx.load(helper.make_model(graph)).run(None, {"limit": np.array(6)})
    np.testing.assert_array_equal(y, [1, 3, 5])
