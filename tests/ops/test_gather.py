"""Gather, GatherElements, GatherND and their inverses."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

WORDS = np.array([["a", "b", "c"], ["d", "e", "f"]], dtype=object)
DTYPES = [np.float64, np.float16, np.int32, np.int8, bool, np.complex64, np.complex128]


def ints(*values):
    return np.array(values, dtype=np.int64)


def gather_nd(x, indices, batch_dims=0):
    if batch_dims:
        return np.stack([gather_nd(a, b, batch_dims - 1) for a, b in zip(x, indices, strict=True)])
    return x[tuple(np.moveaxis(indices, -1, 0))]


def test_gather():
    x = randn(4, 5, 6)
    for axis in [0, 1, 2, -1]:
        size = x.shape[axis]
        for shape in [(), (3,), (2, 2), (0,)]:
            indices = randint(-size, size, *shape)
            check_op("Gather", x, indices, axis=axis, ref=np.take(x, indices, axis))
            narrow = indices.astype(np.int32)
            check_op("Gather", x, narrow, axis=axis, ref=np.take(x, indices, axis))
    check_op("Gather", randn(500, 64), randint(0, 500, 300), ref=lambda x, i: x[i])
    check_op("Gather", WORDS, ints(1, 0, -1), axis=1, ref=WORDS[:, [1, 0, -1]])
    check_op("Gather", randn(3, 0), ints(0, 1), ref=randn(2, 0))
    for dtype in DTYPES:
        check_op("Gather", x.astype(dtype), ints(3, -1), axis=1, ref=x.astype(dtype)[:, [3, -1]])


@pytest.mark.parametrize("index", [5, -6, 2**40, -(2**63)])
def test_gather_refuses(index):
    match = f"index {index} is out of range for axis 0 of size 5"
    expect_error("Gather", randn(5, 2), ints(index), match=match)
    expect_error("GatherElements", randn(5), ints(index), match=match)
    expect_error("GatherND", randn(5), ints(index), match=match)
    expect_error("ScatterElements", randn(5), ints(index), randn(1), match=match)
    expect_error("ScatterND", randn(5), ints(index).reshape(1, 1), randn(1), match=match)


def test_gather_elements():
    x = randn(4, 5, 6)
    for axis in [0, 1, 2, -2]:
        for shape in [(4, 5, 6), (2, 3, 1), (0, 5, 6)]:
            dims = list(shape)
            dims[axis] = 7
            indices = randint(-x.shape[axis], x.shape[axis], *dims)
            part = x[tuple(slice(None) if i == axis % 3 else slice(n) for i, n in enumerate(dims))]
            check_op("GatherElements", x, indices, axis=axis,
                     ref=np.take_along_axis(part, indices, axis))  # fmt: skip
    check_op("GatherElements", WORDS, ints(0, 2).reshape(2, 1), axis=1,
             ref=np.array([["a"], ["f"]], dtype=object))  # fmt: skip
    expect_error("GatherElements", x, randint(0, 1, 4, 6, 6), axis=0, match="reach beyond data")


def test_gather_nd():
    x = randn(3, 4, 5)
    for depth in [1, 2, 3]:
        indices = np.stack([randint(-n, n, 2, 6, seed=n) for n in x.shape[:depth]], -1)
        check_op("GatherND", x, indices, ref=gather_nd(x, indices))
    for batch_dims, depth in [(1, 1), (1, 2), (2, 1)]:
        batch = x.shape[:batch_dims]
        indices = np.stack(
            [randint(-n, n, *batch, 2, seed=n) for n in x.shape[batch_dims : batch_dims + depth]],
            -1,
        )
        check_op("GatherND", x, indices, batch_dims=batch_dims, opset=12,
                 ref=gather_nd(x, indices, batch_dims))  # fmt: skip
    check_op("GatherND", WORDS, ints(1, 2).reshape(1, 2), ref=np.array(["f"], dtype=object))
    check_op("GatherND", x, np.zeros((0, 2), np.int64), ref=randn(0, 5))
    expect_error("GatherND", x, randint(0, 1, 2, 4), match="4 coordinates do not fit")


def scatter_elements(x, indices, updates, axis, combine):
    y = x.copy()
    for at in np.ndindex(indices.shape):
        to = list(at)
        to[axis] = indices[at]
        y[tuple(to)] = combine(y[tuple(to)], updates[at])
    return y


COMBINE = {
    "none": lambda a, b: b,
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "min": np.minimum,
    "max": np.maximum,
}


@pytest.mark.parametrize("reduction", COMBINE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int8, np.float16])
def test_scatter_elements(reduction, dtype):
    x = (3 * randn(3, 4)).astype(dtype)
    for axis in [0, 1, -1]:
        shape = [2, 3]
        shape[axis] = 4
        indices = randint(-x.shape[axis], x.shape[axis], *shape)
        if reduction == "none":  # duplicates would leave the order open
            indices = np.argsort(randn(*shape), axis) % x.shape[axis]
            indices = np.take(indices, range(min(x.shape[axis], 4)), axis)
        updates = (3 * randn(*indices.shape, seed=1)).astype(dtype)
        expected = scatter_elements(x, indices, updates, axis, COMBINE[reduction])
        given = None if reduction == "none" else reduction
        check_op("ScatterElements", x, indices, updates, axis=axis, reduction=given, ref=expected)
    check_op("Scatter", x, ints(2, 1).reshape(1, 2), x[:1, :2], opset=10, axis=0,
             ref=scatter_elements(x, ints(2, 1).reshape(1, 2), x, 0, COMBINE["none"]))  # fmt: skip


@pytest.mark.parametrize("reduction", COMBINE)
def test_scatter_nd(reduction):
    x = randn(4, 5, 3)
    for depth in [1, 2, 3]:
        indices = np.stack([randint(-n, n, 6, seed=n) for n in x.shape[:depth]], -1)
        if reduction == "none":
            indices = np.unique(indices % x.shape[:depth], axis=0)
        updates = randn(len(indices), *x.shape[depth:], seed=1)
        expected = x.copy()
        for index, update in zip(indices, updates, strict=True):
            expected[tuple(index)] = COMBINE[reduction](expected[tuple(index)], update)
        given = None if reduction == "none" else reduction
        check_op("ScatterND", x, indices, updates, reduction=given, ref=expected)


def test_scatter_words_and_shapes():
    indices = ints(0, 2).reshape(1, 2)
    check_op("ScatterND", WORDS, indices, np.array(["z"], dtype=object),
             ref=np.array([["a", "b", "z"], ["d", "e", "f"]], dtype=object))  # fmt: skip
    for dtype in DTYPES:
        x = randn(4, 3).astype(dtype)
        check_op("ScatterND", x, ints(1).reshape(1, 1), x[:1], ref=x[[0, 0, 2, 3]])
    expect_error("ScatterND", randn(4, 3), ints(1).reshape(1, 1), randn(1, 4),
                 match=r"expected updates of shape \[1, 3\], got \[1, 4\]")  # fmt: skip
    expect_error("ScatterElements", randn(4), ints(1), randn(2), match="differ")


@pytest.mark.parametrize("reduction", COMBINE)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_scatter_complex(reduction, dtype):
    """NumPy's order of complex numbers, and its NaN, which wins."""
    x, updates = (
        (np.round(randn(2, 4, seed=s)) + 1j * np.round(2 * randn(2, 4, seed=s + 1))).astype(dtype)
        for s in (0, 2)
    )
    x[0, 0], updates[1, 1] = complex(1, np.nan), complex(np.nan, 1)
    indices = ints(0, 3, 1, 2, 1, 0, 3, 2).reshape(2, 4)
    if reduction != "none":
        indices[:, 0] = indices[:, 1]
    expected = scatter_elements(x, indices, updates, 1, COMBINE[reduction])
    check_op("ScatterElements", x, indices, updates, axis=1, reduction=reduction, ref=expected)
    expected = scatter_elements(x[0], indices[0], updates[0], 0, COMBINE[reduction])
    check_op("ScatterND", x[0], indices[0][:, None], updates[0], reduction=reduction, ref=expected)


def test_scatter_reduces_words():
    """As ONNX Runtime and the evaluator add strings and the evaluator orders them."""
    x, updates = np.array(["b", "c", "a"], object), np.array(["aa", "z", "q"], object)
    indices = ints(0, 1, 1)
    for reduction, words in [("add", "baa czq a"), ("min", "aa c a"), ("max", "b z a")]:
        expected = np.array(words.split(), object)
        check_op("ScatterElements", x, indices, updates, reduction=reduction, ref=expected)
        check_op("ScatterND", x, indices[:, None], updates, reduction=reduction, ref=expected)
    for op, at in [("ScatterElements", indices), ("ScatterND", indices[:, None])]:
        expect_error(op, x, at, updates, reduction="mul", match="strings have no product")


def test_tensor_scatter():
    past, update = randn(2, 3, 8, 4), randn(2, 3, 2, 4, seed=1)
    expected = past.copy()
    for batch, start in enumerate([5, 1]):
        expected[batch, :, start : start + 2] = update[batch]
    check_op("TensorScatter", past, update, ints(5, 1), ref=expected)
    wrapped = past.copy()
    wrapped[0, :, [7, 0]] = np.moveaxis(update[0], 1, 0)
    wrapped[1, :, 0:2] = update[1]
    check_op("TensorScatter", past, update, ints(7, 8), mode="circular", ref=wrapped)
    expect_error("TensorScatter", past, update, ints(7, 0), match="write index 7 is out of range")
