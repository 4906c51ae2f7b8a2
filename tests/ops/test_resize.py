"""Resize and Upsample. The standard's own cases check the less common modes."""

import itertools

import numpy as np
import pytest
from helpers import check_op, expect_error, randn, run_op


def floats(*values):
    return np.array(values, dtype=np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


def test_upscale_by_whole_numbers():
    for shape, scales in [
        ((1, 3, 5, 7), (1, 1, 2, 2)), ((2, 3, 5, 7), (1, 1, 3, 2)), ((1, 2, 3, 4), (1, 1, 1, 4)),
        ((1, 3, 4, 5, 6), (1, 1, 2, 2, 2)), ((3, 4), (2, 3)), ((1, 5, 7, 3), (1, 2, 2, 1)),
    ]:  # fmt: skip
        x = randn(*shape)
        expected = x
        for axis, scale in enumerate(scales):
            expected = np.repeat(expected, scale, axis)
        options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
        check_op("Resize", x, None, floats(*scales), nearest_mode="floor", ref=expected, **options)
        check_op("Resize", x, floats(), floats(*scales), ref=expected)
        check_op("Resize", x, None, None, ints(*expected.shape), ref=expected)
        check_op("Resize", x, floats(*scales), opset=10, ref=expected)
        check_op("Upsample", x, floats(*scales), opset=9, ref=expected)
        check_op("Upsample", x, opset=7, scales=list(map(float, scales)), ref=expected)
    x = randn(1, 2, 3, 4)
    check_op("Upsample", x, opset=1, height_scale=2.0, width_scale=3.0,
             ref=np.repeat(np.repeat(x, 2, 2), 3, 3))  # fmt: skip
    for dtype in [np.float64, np.float16, np.uint8, np.int64, np.int32]:
        y = (10 * x).astype(dtype)
        check_op("Resize", y, None, floats(1, 1, 2, 2), ref=np.repeat(np.repeat(y, 2, 2), 2, 3))


TRANSFORMS = [
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
]  # fmt: skip


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_interpolation(mode, transform):
    x = randn(2, 3, 6, 9)
    options = {"mode": mode, "coordinate_transformation_mode": transform}
    options["length"] = 16 if mode == "cubic" else 4
    for sizes in [(2, 3, 12, 18), (2, 3, 5, 30), (2, 3, 4, 5), (2, 3, 7, 9), (2, 3, 1, 3)]:
        check_op("Resize", x, None, None, ints(*sizes), **options)
    for scales in [(1, 1, 2, 2), (1, 1, 1.5, 0.6), (1, 1, 0.7, 2.3)]:
        check_op("Resize", x, None, floats(*scales), **options)
    check_op("Resize", x, None, None, ints(11, 4), axes=[3, 2], **options)
    check_op("Resize", x, None, floats(1.7), axes=[1], **options)
    check_op("Resize", x, None, None, ints(3, 4, 11, 5), exclude_outside=1, **options)
    check_op("Resize", x, None, None, ints(2, 3, 2, 4), antialias=1, **options)
    check_op("Resize", (50 * x).astype(np.uint8), None, None, ints(2, 3, 4, 20), **options)


def weighted(x, axis, size, weight):
    """x resampled at pixel centres; `weight` maps distances to weights."""
    inside = x.shape[axis]
    at = (np.arange(size)[:, None] + 0.5) / (size / inside) - 0.5
    taps = np.floor(at).astype(int) + np.arange(-1, 3)
    weights = weight(np.abs(taps - at))
    values = np.take(x, np.clip(taps, 0, inside - 1), axis)
    return np.einsum("...ik,ik->...i", np.moveaxis(values, [axis, axis + 1], [-2, -1]), weights)


def test_interpolation_in_double():
    """The reference implementation rounds the cubic coefficient to single precision."""

    def cubic(t, a=-0.75):
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        return np.where(t <= 1, near, np.where(t < 2, ((a * t - 5 * a) * t + 8 * a) * t - 4 * a, 0))

    x = randn(5, 8, dtype=np.float64)
    for mode, weight in [("linear", lambda t: np.maximum(0, 1 - t)), ("cubic", cubic)]:
        expected = weighted(weighted(x, 1, 17, weight).T, 1, 3, weight).T
        check_op("Resize", x, None, None, ints(3, 17), mode=mode, length=16, ref=expected)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_nearest(transform):
    x = randn(1, 2, 6, 9)
    modes = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
    for nearest_mode, sizes in itertools.product(modes, [(1, 2, 12, 27), (1, 2, 3, 4)]):
        check_op("Resize", x, None, None, ints(*sizes), nearest_mode=nearest_mode,
                 coordinate_transformation_mode=transform)  # fmt: skip


def test_large_bilinear():
    x = randn(1, 2, 40, 700)
    for sizes in [(1, 2, 90, 1500), (1, 2, 33, 650)]:
        check_op("Resize", x, None, None, ints(*sizes), mode="linear")


def test_crop_and_resize():
    x = randn(1, 1, 6, 8)
    options = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 9.0}
    for mode, roi in itertools.product(
        ["nearest", "linear", "cubic"],
        [(0, 0, 0.2, 0.4, 1, 1, 0.7, 0.8), (0, 0, -0.2, 0.4, 1, 1, 1.3, 0.8)],
    ):
        check_op("Resize", x, floats(*roi), None, ints(1, 1, 4, 5), mode=mode, **options)


def test_keep_aspect_ratio():
    x = randn(2, 4, 6)
    for policy, sizes in itertools.product(["not_larger", "not_smaller"], [(7, 8), (3, 7)]):
        check_op("Resize", x, None, None, ints(*sizes), axes=[1, 2], mode="linear",
                 keep_aspect_ratio_policy=policy)  # fmt: skip


def test_resize_refuses():
    x = randn(1, 1, 4, 4)
    expect_error("Resize", x, None, floats(1, 1, 2), match="expected 4 scales, got 3")
    expect_error("Resize", x, None, floats(1, 1, 2, 0), match="a scale of 0")
    expect_error("Resize", x, None, floats(1, 1, 2, np.nan), match="a scale of")
    expect_error("Resize", x, None, None, ints(1, 1, 2, -2), match="negative dimension")
    expect_error("Resize", x, match="neither scales nor sizes are given")
    expect_error("Resize", x, None, ints(1, 1, 2, 2), match="input 2 is int64")
    expect_error("Upsample", x, [floats(1, 1, 2, 2)], opset=9, match="not a tensor")


def check_complex(dtype, **options):
    """Both parts are resized on their own; a fill value is real."""
    real = np.float64 if dtype == np.complex128 else np.float32
    x, y = randn(1, 2, 6, 7, dtype=real), randn(1, 2, 6, 7, dtype=real, seed=1)
    roi, sizes = floats(0, 0, 0.2, -0.3, 1, 1, 0.9, 1.2), ints(1, 2, 4, 9)
    imaginary = options | ({"extrapolation_value": 0.0} if "extrapolation_value" in options else {})
    expected = np.asarray(run_op("Resize", x, roi, None, sizes, **options)) + 1j * np.asarray(
        run_op("Resize", y, roi, None, sizes, **imaginary)
    )
    check_op("Resize", (x + 1j * y).astype(dtype), roi, None, sizes, length=16, **options,
             ref=expected.astype(dtype))  # fmt: skip


def test_other_types():
    x = np.arange(6).reshape(1, 1, 2, 3)
    options = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
    scales = np.array([1, 1, 2, 2], np.float32)
    wide = np.asarray(run_op("Resize", x.astype(np.float64), None, scales, **options))
    for dtype in [np.uint32, np.uint64]:
        expected = np.rint(wide).astype(dtype)
        check_op("Resize", x.astype(dtype), None, scales, ref=expected, **options)
    some = np.asarray(run_op("Resize", (x > 3).astype(np.float64), None, scales, **options)) != 0
    check_op("Resize", x > 3, None, scales, ref=some, **options)
    for dtype in [np.complex64, np.complex128]:
        check_complex(dtype, mode="linear")
        check_complex(dtype, mode="cubic", antialias=1)
        check_complex(dtype, mode="linear", coordinate_transformation_mode="tf_crop_and_resize",
                      extrapolation_value=9.0)  # fmt: skip
    text = np.array(["a", "b"], object)
    expect_error("Resize", text, None, floats(2), mode="linear", match="no weighted sum")
    for dtype in [np.complex64, str]:
        values = x.astype(dtype) if dtype is not str else x.astype(str).astype(object)
        expected = values.repeat(2, 2).repeat(2, 3)
        check_op("Resize", values, None, scales, ref=expected)
