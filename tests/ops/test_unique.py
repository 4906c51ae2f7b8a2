"""Unique, ReverseSequence, CenterCropPad, Det, Col2Im, windows."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

NAMES = ["HannWindow", "HammingWindow", "BlackmanWindow"]


def ints(*values):
    return np.array(values, dtype=np.int64)


def unique(x, axis=None, ordered=True):
    y, first, inverse, counts = np.unique(x, True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if not ordered:
        order = np.argsort(first)
        y = np.take(y, order, axis or 0)
        first, counts = first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return y, *(v.astype(np.int64) for v in (first, inverse, counts))


@pytest.mark.parametrize("ordered", [True, False])
def test_unique(ordered):
    for dtype in [np.float32, np.float64, np.float16, np.int64, np.int8, np.uint8, bool]:
        x = randint(0, 2 if dtype is bool else 4, 5, 6).astype(dtype)
        for axis in [None, 0, 1]:
            check_op("Unique", x, axis=axis, sorted=int(ordered), outputs=4,
                     ref=unique(x, axis, ordered))  # fmt: skip
        rows = x[[0, 1, 0, 2, 1]]
        check_op("Unique", rows, axis=-2, sorted=int(ordered), outputs=4,
                 ref=unique(rows, 0, ordered))  # fmt: skip
    check_op("Unique", randint(0, 9, 40), outputs=["y", "", "", "n"],
             ref=lambda x: (unique(x)[0], unique(x)[3]))  # fmt: skip
    words = np.array(["b", "a", "", "a"], dtype=object)
    expected = unique(words.astype(str), None, ordered)
    check_op("Unique", words, sorted=int(ordered), outputs=4,
             ref=(expected[0].astype(object), *expected[1:]))  # fmt: skip


def test_unique_edges():
    x = np.array([np.nan, 1, np.nan, -0.0, 0.0], np.float32)
    check_op("Unique", x, ref=np.array([0, 1, np.nan], np.float32))
    check_op("Unique", np.zeros((0,), np.float32), ref=np.zeros((0,), np.float32))
    check_op("Unique", np.zeros((3, 0), np.float32), axis=0, ref=np.zeros((1, 0), np.float32))
    expect_error("Unique", randn(3), axis=1, match="axis 1 is out of range")


def test_reverse_sequence():
    x = randn(4, 3, 2)
    lengths = ints(1, 4, 0)
    by_time = x.copy()
    for b, n in enumerate(lengths):
        by_time[:n, b] = x[:n, b][::-1]
    check_op("ReverseSequence", x, lengths, ref=by_time)
    swapped = np.ascontiguousarray(x.swapaxes(0, 1))
    check_op("ReverseSequence", swapped, lengths, time_axis=1, batch_axis=0,
             ref=by_time.swapaxes(0, 1))  # fmt: skip
    expect_error("ReverseSequence", x, ints(1, 5, 0), match="length 5 is out of range for 4")
    expect_error("ReverseSequence", x, ints(1, -1, 0), match="length -1 is out of range for 4")
    expect_error("ReverseSequence", x, ints(1, 1), match="input 1 has shape")


def test_center_crop_pad():
    x = randn(5, 6, 3)
    for shape in [(5, 6, 3), (3, 9, 3), (8, 3, 4), (4, 7, 2), (0, 6, 3)]:
        check_op("CenterCropPad", x, ints(*shape))
    check_op("CenterCropPad", x, ints(4, 9), axes=[-1, 0])
    expect_error("CenterCropPad", x, ints(4), match="expected 3 sizes, got 1")


def test_det():
    for shape in [(3, 3), (2, 4, 5, 5), (1, 1), (0, 2, 2), (2, 0, 0)]:
        x = randn(*shape)
        check_op("Det", x, ref=np.linalg.det(x.astype(np.float64)), length=25)
        check_op("Det", x.astype(np.float64), ref=np.linalg.det(x.astype(np.float64)), length=25)
    check_op("Det", np.ones((2, 2), np.float32), ref=np.float32(0))
    expect_error("Det", randn(2, 3), match="expected square matrices")


def test_col2im():
    for image, block, attrs in [
        ((5, 5), (1, 5), {}),
        ((6, 7), (2, 3), {"strides": [2, 1], "pads": [1, 0, 1, 2], "dilations": [1, 2]}),
        ((4, 4, 3), (2, 2, 1), {}),
    ]:
        axes = len(image)
        strides, dilations = (attrs.get(k, [1] * axes) for k in ("strides", "dilations"))
        pads = attrs.get("pads", [0] * (2 * axes))
        steps = [
            (image[i] + pads[i] + pads[i + axes] - dilations[i] * (block[i] - 1) - 1) // strides[i]
            + 1
            for i in range(axes)
        ]
        x = randn(2, 3 * int(np.prod(block)), int(np.prod(steps)))
        check_op("Col2Im", x, ints(*image), ints(*block), **attrs, length=9)
    expect_error("Col2Im", randn(1, 5, 4), ints(5, 5), ints(1, 5), match="blocks take 5 positions")
    expect_error("Col2Im", randn(1, 4, 4), ints(0, 0), ints(0, 0), match="blocks of no elements")


@pytest.mark.parametrize("name", NAMES)
def test_windows(name):
    """A symmetric window of one element is 0 / 0, as in the standard's function."""
    for periodic, size in [(1, 10), (0, 10), (None, 7), (1, 0), (1, 1), (0, 1), (0, 0)]:
        count = np.int32(size)
        steps = size if periodic != 0 else size - 1
        with np.errstate(invalid="ignore"):
            t = 2 * np.pi * np.arange(size) / np.float64(steps)
        a, b, c = {"HannWindow": (0.5, 0.5, 0), "HammingWindow": (25 / 46, 21 / 46, 0)}.get(
            name, (0.42, 0.5, 0.08)
        )
        expected = (a - b * np.cos(t) + c * np.cos(2 * t)).astype(np.float32)
        check_op(name, count, periodic=periodic, ref=expected)
        check_op(name, np.int64(size), periodic=periodic, output_datatype=11,
                 ref=a - b * np.cos(t) + c * np.cos(2 * t))  # fmt: skip


def test_complex():
    for dtype in [np.complex64, np.complex128]:
        x = np.array([1 + 2j, 1 - 1j, 0, 1 + 2j, -3j, 1 - 1j], dtype)
        values, first, inverse, counts = np.unique(x, True, True, True)
        expected = (values, first, inverse, counts)
        check_op("Unique", x, ref=expected, outputs=4, opset=11)
