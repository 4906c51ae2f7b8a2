"""GridSample, AffineGrid, NonMaxSuppression, RoiAlign, MaxRoiPool."""

import itertools

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn, run_op


def ints(*values):
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample(padding):
    x, grid = randn(2, 3, 5, 6), 1.3 * np.tanh(randn(2, 4, 3, 2))
    for mode, align in itertools.product(["linear", "nearest", "cubic"], [0, 1]):
        options = {"padding_mode": padding, "align_corners": align, "length": 64}
        check_op("GridSample", x, grid, mode=mode, **options)
    volume, points = randn(1, 2, 3, 4, 5), 1.3 * np.tanh(randn(1, 2, 3, 2, 3))
    for mode in ["linear", "nearest"]:
        check_op("GridSample", volume, points, mode=mode, padding_mode=padding, length=64)
    check_op("GridSample", x, grid, mode="bilinear", padding_mode=padding, opset=16, length=64,
             ref="ort")  # fmt: skip
    far = np.array([[[[np.nan, np.inf], [1e30, -1e30]]]], np.float32)
    check_op("GridSample", randn(1, 1, 2, 2), far, ref=np.zeros((1, 1, 1, 2), np.float32))


def test_grid_sample_refuses():
    x = randn(1, 1, 4, 4)
    expect_error("GridSample", x, randn(2, 3, 3, 2), match="batches differ")
    expect_error("GridSample", x, randn(1, 3, 3, 3), match="no coordinates for 2 axes")
    expect_error("GridSample", x, randn(1, 3, 2), match="does not fit a grid")


def test_affine_grid():
    for align in [0, 1]:
        check_op("AffineGrid", randn(2, 2, 3), ints(2, 3, 4, 5), align_corners=align)
        check_op("AffineGrid", randn(2, 3, 4), ints(2, 3, 4, 5, 6), align_corners=align)
    expect_error("AffineGrid", randn(2, 2, 3), ints(2, 3, 4), match="expected 4 or 5 sizes")
    expect_error("AffineGrid", randn(2, 2, 3), ints(1, 3, 4, 5), match="does not fit size")


def boxes_of(count, batches=2):
    corners = randint(0, 40, batches, count, 2).astype(np.float32)
    return np.concatenate([corners, corners + randint(1, 20, batches, count, 2)], -1)


def test_non_max_suppression():
    boxes, scores = boxes_of(60).astype(np.float32), randn(2, 3, 60)
    most = ints(10)
    for center, iou, score in itertools.product([0, 1], [0.0, 0.3, 1.0], [None, 0.2]):
        inputs = [boxes, scores, most, np.float32([iou])]
        if score is not None:
            inputs.append(np.float32([score]))
        check_op("NonMaxSuppression", *inputs, center_point_box=center, ref="ort")
    flipped = boxes[..., [2, 3, 0, 1]]
    check_op("NonMaxSuppression", flipped, scores, most, np.float32([0.4]), ref="ort")
    check_op("NonMaxSuppression", boxes, scores, ref=np.zeros((0, 3), np.int64))
    ties = np.zeros_like(scores)
    check_op("NonMaxSuppression", boxes, ties, most, np.float32([0.5]), ref="ort")
    expect_error("NonMaxSuppression", boxes, scores, most, np.float32([2]), match="iou_threshold")
    expect_error("NonMaxSuppression", boxes, scores[..., :9], most, match="do not fit scores")


def test_roi_align():
    x = randn(2, 3, 12, 14)
    rois = np.float32([[1, 2, 9, 10], [0, 0, 3.5, 20], [5, 5, 5.2, 5.1], [-4, -3, 30, 2]])
    batch = ints(0, 1, 1, 0)
    for mode, ratio, transform in itertools.product(
        ["avg", "max"], [0, 2], ["half_pixel", "output_half_pixel"]
    ):
        check_op("RoiAlign", x, rois, batch, mode=mode, sampling_ratio=ratio, output_height=3,
                 output_width=4, spatial_scale=0.5, opset=16, length=16,
                 coordinate_transformation_mode=transform)  # fmt: skip
    many = randn(1, 130, 6, 5)  # more channels than go at once
    check_op("RoiAlign", many, rois[:1], ints(0), output_height=2, output_width=3, length=16,
             spatial_scale=0.5, opset=16)  # fmt: skip
    expect_error("RoiAlign", x, rois, ints(0, 1, 2, 0), match="index 2 is out of range")
    wide = np.float32([[0, 0, 1e9, 1]])
    expect_error("RoiAlign", x, wide, ints(0), match="a region from 0 to 1e")


def max_roi_pool(x, rois, pooled_shape, spatial_scale=1.0):
    """The loops of Fast R-CNN's layer."""
    height, width = x.shape[2:]
    y = np.zeros((len(rois), x.shape[1], *pooled_shape), x.dtype)
    for n, (batch, *corners) in enumerate(rois.astype(np.float64)):
        x1, y1, x2, y2 = (int(c * spatial_scale + np.copysign(0.5, c)) for c in corners)
        rows = max(y2 - y1 + 1, 1) / pooled_shape[0]
        columns = max(x2 - x1 + 1, 1) / pooled_shape[1]
        for i, j in np.ndindex(*pooled_shape):
            top, bottom = (
                min(max(int(e) + y1, 0), height) for e in (i * rows, np.ceil((i + 1) * rows))
            )
            left, right = (
                min(max(int(e) + x1, 0), width) for e in (j * columns, np.ceil((j + 1) * columns))
            )
            if top < bottom and left < right:
                y[n, :, i, j] = x[int(batch), :, top:bottom, left:right].max((1, 2))
    return y


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("opset", [1, 22])
def test_max_roi_pool(dtype, opset):
    x = randn(2, 3, 12, 14, dtype=dtype)
    rois = np.array(
        [[0, 1, 2, 9, 10], [1, 0, 0, 3, 20], [1, 5, 5, 5, 5], [0, 8, 8, 2, 2], [0, -4, -3, 30, 2]],
        dtype,
    )
    for scale in (1.0, 0.5):
        options = {"pooled_shape": [3, 2], "spatial_scale": scale}
        expected = max_roi_pool(x, rois, **options)
        check_op("MaxRoiPool", x, rois, ref=expected, opset=opset, **options)
    if dtype == np.float32:
        check_op("MaxRoiPool", x, rois, ref="ort", opset=1, **options)
    check_op("MaxRoiPool", x, rois[:0], ref=expected[:0], opset=opset, **options)


def test_max_roi_pool_errors():
    x, rois = randn(1, 2, 4, 4), np.float32([[1, 0, 0, 2, 2]])
    expect_error("MaxRoiPool", x, rois, match="index 1 is out of range", pooled_shape=[2, 2])
    expect_error("MaxRoiPool", x, rois * np.nan, match="region with nan", pooled_shape=[2, 2])
    expect_error("MaxRoiPool", x, rois[:, 1:], match=r"expected \[N, 5\]", pooled_shape=[2, 2])
    expect_error("MaxRoiPool", x, rois, match="pooled_shape is", pooled_shape=[2])


def test_grid_sample_of_every_type():
    grid = 1.1 * np.tanh(randn(1, 3, 4, 2))
    for dtype in [bool, np.int8, np.uint16, np.int64, np.uint64, np.complex64, np.complex128]:
        x = randint(0, 2 if dtype is bool else 100, 1, 2, 4, 5).astype(dtype)
        near = np.asarray(run_op("GridSample", x.real.astype(np.float64), grid, mode="nearest"))
        check_op("GridSample", x, grid, mode="nearest", ref=near.astype(dtype))
        if dtype is not bool:
            exact = np.asarray(run_op("GridSample", x.real.astype(np.float64), grid))
            check_op("GridSample", x, grid, ref=exact.astype(dtype), length=16)
    big = np.full((1, 1, 1, 1), 2**63 - 1, np.int64)
    check_op("GridSample", big, np.zeros((1, 1, 1, 2), np.float32), mode="nearest", ref=big)
    text = np.array([["a", "b"], ["c", "d"]], object).reshape(1, 1, 2, 2)
    grid = np.array([[[[-0.5, -0.5], [0.5, -0.5], [9, 9]]]], np.float32)
    expected = np.array(["a", "b", ""], object).reshape(1, 1, 1, 3)
    check_op("GridSample", text, grid, mode="nearest", ref=expected)
    expect_error("GridSample", text, grid, match="in mode 'nearest' only")


def test_col2im_of_every_type():
    image, block = ints(3, 3), ints(2, 2)
    real = randint(0, 5, 1, 4, 4)
    expected = np.asarray(run_op("Col2Im", real, image, block))
    for dtype in [np.int8, np.uint64, np.complex64, np.complex128]:
        check_op("Col2Im", real.astype(dtype), image, block, ref=expected.astype(dtype))
    some = real > 3
    expected = np.asarray(run_op("Col2Im", some.astype(np.int64), image, block)) > 0
    check_op("Col2Im", some, image, block, ref=expected)
    text = np.array([["a"], ["b"]], object).reshape(1, 2, 1).repeat(2, 2)  # two blocks of two
    expected = np.array(["a", "ab", "b"], object).reshape(1, 1, 1, 3)
    check_op("Col2Im", text, ints(1, 3), ints(1, 2), ref=expected)
    expected = np.array(["a", "b", "", "a", "b"], object).reshape(1, 1, 1, 5)
    check_op("Col2Im", text, ints(1, 5), ints(1, 2), strides=[1, 3], ref=expected)
