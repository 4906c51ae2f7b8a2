"""Softmax, LogSoftmax, Hardmax."""

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randn


def softmax(x, axis=-1):
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis, keepdims=True))
    return (e / e.sum(axis, keepdims=True)).astype(x.dtype)


def log_softmax(x, axis=-1):
    wide = x.astype(np.float64)
    shifted = wide - wide.max(axis, keepdims=True)
    return (shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))).astype(x.dtype)


def hardmax(x, axis=-1):
    best = np.expand_dims(np.argmax(x, axis), axis)
    y = np.zeros_like(x)
    np.put_along_axis(y, best, np.asarray(1, x.dtype), axis)
    return y


FUNCTIONS = [("Softmax", softmax), ("LogSoftmax", log_softmax), ("Hardmax", hardmax)]


@pytest.mark.parametrize(("name", "function"), FUNCTIONS)
def test_axes(name, function):
    for dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16):
        for shape, axis in [
            ((5,), 0),
            ((3, 7), -1),
            ((3, 7), 0),
            ((2, 3, 40), 1),
            ((2, 300, 5), 1),
        ]:
            check_op(name, randn(*shape).astype(dtype) * dtype(3), axis=axis, ref=function)
        check_op(name, randn(2, 3, 4).astype(dtype), ref=function)
    for shape in [(0, 4), (3, 0), (2, 0, 3)]:
        check_op(name, np.zeros(shape, np.float32), axis=1, ref=np.zeros(shape, np.float32))
    check_op(name, randn(300, 1000), axis=-1, ref=function)
    check_op(name, randn(4, 30, 1000), axis=1, ref=function)


@pytest.mark.parametrize(("name", "function"), FUNCTIONS)
def test_flattening_before_opset_13(name, function):
    x = randn(2, 3, 4)
    for axis in (0, 1, 2, -1):
        rows = int(np.prod(x.shape[: axis % 3]))
        expected = function(x.reshape(rows, -1)).reshape(x.shape)
        check_op(name, x, axis=axis, opset=11, ref=expected)
    check_op(name, x, opset=11, ref=function(x.reshape(2, 12)).reshape(x.shape))


def test_large_and_equal_values():
    x = np.array([[1e4, 1e4 - 1, -1e4], [-1e30, -1e30, -1e30], [0, -np.inf, 1]], np.float32)
    check_op("Softmax", x, ref=softmax)
    check_op("Softmax", x, axis=0, ref=lambda x: softmax(x, 0))
    check_op("LogSoftmax", x, ref=log_softmax)
    check_op("Hardmax", np.array([[1, 1, 1], [0, 2, 2]], np.float32), ref=hardmax)


def test_refusals():
    expect_error("Softmax", randn(2, 3), axis=2, match="axis 2 is out of range")
    expect_error("Softmax", np.zeros(3, np.int64), match="expected floats")
