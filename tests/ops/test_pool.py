"""Pools, against onnxruntime and NumPy."""

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn, run_op
from numpy.lib.stride_tricks import sliding_window_view

CASES = [
    ((1, 3, 9, 11), {"kernel_shape": [3, 3]}),
    ((2, 3, 9, 11), {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 1, 0, 1]}),
    ((2, 3, 8, 8), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ((1, 2, 7, 7), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    (
        (1, 2, 6, 6),
        {"kernel_shape": [2, 2], "strides": [3, 3], "ceil_mode": 1, "pads": [1, 1, 1, 1]},
    ),
    # One window, larger than the image: how networks average over all pixels of any size.
    ((1, 2, 7, 6), {"kernel_shape": [20, 20], "strides": [20, 20], "ceil_mode": 1}),
    ((1, 2, 12, 12), {"kernel_shape": [3, 3], "dilations": [2, 3], "pads": [1, 2, 1, 2]}),
    ((1, 2, 20), {"kernel_shape": [5], "strides": [3], "pads": [2, 2]}),
    ((1, 2, 6, 7, 8), {"kernel_shape": [2, 3, 2], "strides": [2, 2, 1]}),
    ((1, 2, 9, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 2, 9, 8), {"kernel_shape": [4, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    ((1, 2, 9, 8), {"kernel_shape": [4, 3], "strides": [2, 2], "auto_pad": "VALID"}),
]


@pytest.mark.parametrize(("shape", "attrs"), CASES)
def test_pools(shape, attrs):
    x = randn(*shape)
    length = int(np.prod(attrs["kernel_shape"]))
    check_op("MaxPool", x, ref="ort", opset=12, **attrs)
    check_op("MaxPool", x, ref="ort", opset=12, outputs=2, **attrs)
    check_op("AveragePool", x, ref="ort", opset=19, length=length, **attrs)
    check_op("AveragePool", x, ref="ort", opset=19, length=length, count_include_pad=1, **attrs)
    check_op("LpPool", x, ref="ort", opset=18, length=length, p=3, **attrs)


# So much work that a plane is cut: by rows, in three dimensions, and along a row of windows too
# wide to be buffered.
LARGE_CASES = [
    ((1, 2, 150, 300), {"kernel_shape": [60, 50], "pads": [7, 8, 9, 10]}),
    ((1, 1, 14, 60, 62), {"kernel_shape": [5, 30, 31], "pads": [1, 2, 0, 2, 0, 1]}),
    # Windows of many rows.
    ((1, 2, 150, 40), {"kernel_shape": [100, 9], "pads": [3, 2, 70, 1]}),
    ((1, 1, 5, 90, 13), {"kernel_shape": [3, 75, 3], "strides": [2, 3, 1]}),
    ((1, 2, 9001), {"kernel_shape": [1500], "dilations": [2], "strides": [2], "pads": [40, 60]}),
]


@pytest.mark.parametrize(("shape", "attrs"), LARGE_CASES)
def test_pools_of_large_windows(shape, attrs):
    x = randn(*shape)
    length = int(np.prod(attrs["kernel_shape"]))
    check_op("MaxPool", x, ref="ort", opset=12, **attrs)
    for padding in (0, 1):
        check_op(
            "AveragePool", x, ref="ort", opset=19, length=length, count_include_pad=padding, **attrs
        )


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16, np.int8, np.uint8])
def test_max_pool_of_other_types(dtype):
    x = (
        (randn(1, 3, 9, 11) * 20).astype(dtype)
        if dtype != np.uint8
        else randint(0, 255, 1, 3, 9, 11, dtype=dtype)
    )
    padded = np.pad(x.astype(np.float64), [(0, 0)] * 2 + [(1, 1)] * 2, constant_values=-np.inf)
    windows = sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    expected = windows.max((4, 5)).astype(dtype)
    attrs = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    check_op("MaxPool", x, ref=expected, **attrs)
    check_op("MaxPool", x, ref=expected, outputs=["y", ""], **attrs)


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_average_pool_of_other_types(dtype):
    x = randn(1, 3, 9, 11, dtype=dtype)
    windows = sliding_window_view(x.astype(np.float64), (3, 3), (2, 3))[:, :, ::2, ::2]
    expected = windows.mean((4, 5)).astype(dtype)
    check_op("AveragePool", x, ref=expected, kernel_shape=[3, 3], strides=[2, 2])


def test_indices_in_column_order():
    x = randn(2, 3, 6, 5)
    attrs = {"kernel_shape": [3, 2], "strides": [2, 2]}
    check_op("MaxPool", x, ref="ort", opset=12, outputs=2, storage_order=1, **attrs)


def test_maximum_of_nan_is_nan():
    x = np.array([1, np.nan, 2, 5, 4, 3], np.float32).reshape(1, 1, 6)
    expected = np.array([np.nan, np.nan, 5, 5, 4], np.float32).reshape(1, 1, 5)
    check_op("MaxPool", x, ref=expected, kernel_shape=[2])


@pytest.mark.parametrize("shape", [(2, 3, 7, 7), (1, 70, 5), (2, 3, 4, 5, 6), (1, 5, 40, 40)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_global_pools(shape, dtype):
    x = randn(*shape, dtype=dtype)
    axes = tuple(range(2, len(shape)))
    wide = x.astype(np.float64)
    mean, most = wide.mean(axes, keepdims=True), wide.max(axes, keepdims=True)
    norm = (np.abs(wide) ** 3).sum(axes, keepdims=True) ** (1 / 3)
    length = int(np.prod(shape[2:]))
    check_op("GlobalAveragePool", x, ref=mean.astype(dtype), length=length)
    check_op("GlobalMaxPool", x, ref=most.astype(dtype))
    check_op("GlobalLpPool", x, ref=norm.astype(dtype), p=3)


def test_max_unpool():
    x = randn(2, 3, 8, 6)
    blocks = x.reshape(2, 3, 4, 2, 3, 2)
    pooled = blocks.max((3, 5))
    restored = np.where(blocks == pooled[:, :, :, None, :, None], blocks, 0).reshape(x.shape)
    places = np.broadcast_to(np.arange(x.size).reshape(blocks.shape), blocks.shape)
    where = np.where(restored.reshape(blocks.shape) != 0, places, 0).max((3, 5))
    attrs = {"kernel_shape": [2, 2], "strides": [2, 2]}
    check_op("MaxUnpool", pooled, where, ref=restored, **attrs)
    wider = np.pad(restored, [(0, 0), (0, 0), (0, 1), (0, 2)])
    check_op("MaxUnpool", pooled, where, np.array(wider.shape), ref=wider, **attrs)


def test_pools_that_make_no_sense():
    x = randn(1, 2, 5, 5)
    expect_error("MaxPool", x, match="'kernel_shape' is missing")
    expect_error("MaxPool", x, match="kernel_shape holds 0", kernel_shape=[0, 2])
    expect_error("MaxPool", x, match="strides holds -1", kernel_shape=[2, 2], strides=[1, -1])
    expect_error("AveragePool", x, match="kernel_shape has 1 entries", kernel_shape=[2])
    expect_error("AveragePool", x, match="spans 9 does not fit", kernel_shape=[9, 9])
    expect_error("LpPool", x, match="p is 0", kernel_shape=[2, 2], p=0)
    expect_error("MaxUnpool", x, np.full(x.shape, 99), match="index 99", kernel_shape=[2, 2])


@pytest.mark.parametrize(("shape", "attrs"), CASES[:8])
def test_channels_last_pools(shape, attrs):
    # Passes make this form; no file holds it.
    x = randn(*shape)
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for op in ("MaxPool", "AveragePool"):
        expected = np.moveaxis(run_op(op, x, **attrs), 1, -1)
        check_op(op, last, ref=expected, layout="NHWC", **attrs)
        expected = np.moveaxis(run_op(f"Global{op}", x), 1, -1)
        check_op(f"Global{op}", last, ref=expected, length=100, layout="NHWC")
