"""ConvInteger and QLinearConv."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

BYTES = {np.uint8: (0, 256), np.int8: (-128, 128)}
PAIRS = [(a, b) for a in BYTES for b in BYTES]
# Shape of x, shape of w, attributes.
CASES = [
    ((1, 3, 7, 6), (4, 3, 3, 3), {}),
    ((2, 3, 7, 6), (70, 3, 3, 2), {"pads": (1, 0, 2, 1), "strides": (2, 1)}),
    ((1, 8, 9, 9), (6, 4, 3, 3), {"group": 2, "pads": (1, 1, 1, 1)}),
    ((2, 6, 9, 8), (6, 1, 3, 3), {"group": 6, "pads": (1, 1, 1, 1)}),
    ((1, 130, 5, 6), (130, 1, 3, 3), {"group": 130, "strides": (2, 2), "pads": (0, 1, 1, 0)}),
    ((1, 6, 9, 8), (12, 1, 3, 3), {"group": 6, "dilations": (2, 1)}),
    ((1, 1, 4, 4), (1, 1, 2, 2), {}),
    ((1, 5, 8, 8), (9, 5, 1, 1), {}),
    ((1, 5, 8, 8), (9, 5, 3, 3), {"auto_pad": "SAME_UPPER", "strides": (2, 2)}),
    ((2, 5, 20), (4, 5, 3), {"pads": (1, 1)}),
    ((2, 5, 20), (5, 1, 4), {"group": 5, "pads": (2, 0)}),
    ((1, 2, 5, 4, 6), (3, 2, 2, 3, 2), {"pads": (1, 0, 1, 0, 1, 1)}),
    ((1, 33, 40, 40), (17, 33, 3, 3), {"pads": (1, 1, 1, 1)}),
    ((0, 3, 7, 6), (4, 3, 3, 3), {}),
]


def codes(dtype, *shape, seed=0):
    return randint(*BYTES[dtype], *shape, dtype=dtype, seed=seed)


def convolve(x, w, pads=None, strides=None, dilations=None, group=1, auto_pad="NOTSET"):
    """The exact sums of integers, by taps."""
    axes = x.ndim - 2
    strides, dilations = strides or (1,) * axes, dilations or (1,) * axes
    pads = pads or (0,) * (2 * axes)
    if auto_pad == "SAME_UPPER":
        total = [
            max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            for n, k, s, d in zip(x.shape[2:], w.shape[2:], strides, dilations, strict=True)
        ]
        pads = [t // 2 for t in total] + [t - t // 2 for t in total]
    x = np.pad(x.astype(np.int64), [(0, 0)] * 2 + list(zip(pads[:axes], pads[axes:], strict=True)))
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    size = [(n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, strides, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *size), np.int64)
    inputs, outputs = w.shape[1], w.shape[0] // group
    for tap in np.ndindex(*w.shape[2:]):
        window = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, s, n in zip(tap, dilations, strides, size, strict=True)
        )
        part = x[(slice(None), slice(None), *window)]
        for g in range(group):
            taps = w[(slice(g * outputs, (g + 1) * outputs), slice(None), *tap)].astype(np.int64)
            each = part[:, g * inputs : (g + 1) * inputs]
            y[:, g * outputs : (g + 1) * outputs] += np.einsum("oc,nc...->no...", taps, each)
    return y.astype(np.int32)


def centred(x, zero):
    return x.astype(np.int64) - np.int64(zero)


def by_channel(values, rank):
    return values.reshape((-1,) + (1,) * (rank - 1))


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize(("of_x", "of_w"), PAIRS)
def test_conv_integer(case, of_x, of_w):
    shape, weights, attrs = CASES[case]
    x, w = codes(of_x, *shape), codes(of_w, *weights, seed=1)
    check_op("ConvInteger", x, w, ref=convolve(x, w, **attrs), **attrs)
    x_zero, w_zero = codes(of_x, 1, seed=2)[0], codes(of_w, 1, seed=3)[0]
    expected = convolve(centred(x, x_zero), centred(w, w_zero), **attrs)
    check_op("ConvInteger", x, w, x_zero, w_zero, ref=expected, **attrs)
    zeros = codes(of_w, weights[0], seed=4)
    expected = convolve(centred(x, x_zero), w - by_channel(zeros, w.ndim).astype(np.int64), **attrs)
    check_op("ConvInteger", x, w, x_zero, zeros, ref=expected, **attrs)


def requantize(sums, scale, zero):
    limits = np.iinfo(zero.dtype)
    rounded = np.rint(sums.astype(np.float32) * np.asarray(scale, np.float32))
    return np.clip(rounded + np.int32(zero), limits.min, limits.max).astype(zero.dtype)


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize(("of_x", "of_w"), PAIRS)
def test_qlinear_conv(case, of_x, of_w):
    shape, weights, attrs = CASES[case]
    x, w, rank = codes(of_x, *shape), codes(of_w, *weights, seed=1), len(shape)
    x_scale, y_scale = np.float32(0.02), np.float32(0.7)
    x_zero, y_zero = codes(of_x, 1, seed=2)[0], codes(of_x, 1, seed=3)[0]
    bias = randint(-3000, 3000, weights[0], dtype=np.int32)
    for scale_shape in ((), (weights[0],)):
        w_scale = (np.abs(randn(*scale_shape)) * 0.01 + 0.001).astype(np.float32)
        for w_zero in (of_w(0), codes(of_w, 1, seed=5)[0], codes(of_w, weights[0], seed=4)):
            zeros = by_channel(np.atleast_1d(w_zero), rank).astype(np.int64)
            sums = convolve(centred(x, x_zero), w - zeros, **attrs)
            scale = by_channel(np.atleast_1d(x_scale * w_scale / y_scale), rank - 1)
            inputs = (x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero)
            expected = requantize(sums, scale, y_zero)
            check_op("QLinearConv", *inputs, ref=expected, **attrs)
        sums = sums + by_channel(bias, rank - 1)
        check_op("QLinearConv", *inputs, bias, ref=requantize(sums, scale, y_zero), **attrs)


def test_depthwise_weights_near_their_zero_point():
    x, w = codes(np.uint8, 1, 20, 9, 9), randint(90, 150, 20, 1, 3, 3, dtype=np.uint8)
    zeros = randint(110, 130, 20, dtype=np.uint8, seed=1)
    attrs = {"group": 20, "pads": (1, 1, 1, 1)}
    sums = convolve(centred(x, 7), w - by_channel(zeros, 4).astype(np.int64), **attrs)
    check_op("ConvInteger", x, w, np.uint8(7), zeros, ref=sums, **attrs)


def test_refusals():
    x, w, none = codes(np.uint8, 1, 3, 5, 5), codes(np.int8, 4, 3, 3, 3), np.zeros(0, np.uint8)
    op = "ConvInteger"
    expect_error(op, x, w[:, :2].copy(), match="3 channels, but weights")
    expect_error(op, x, w, match="group is 0", group=0)
    expect_error(op, x, w[:, :1].copy(), match="4 output channels in 3 groups", group=3)
    expect_error(op, x, w[:, :, :0].copy(), match="a window of 0")
    expect_error(op, x, codes(np.int8, 4, 3, 8, 8), match="does not fit")
    expect_error(op, x.astype(np.int32), w, match="not an 8-bit integer")
    expect_error(op, x, w, none, match="input 2 is not a scalar")
    expect_error(op, x, w, np.int8(0), match="a zero point, is int8")
    expect_error(op, x, w, np.uint8(0), np.zeros(3, np.int8), match="has 3 elements for 4 output")
    one, zero = np.float32(1), np.uint8(0)
    op = "QLinearConv"
    expect_error(op, x, one, zero, w, np.int32(1), np.int8(0), one, zero, match="a scale, is int32")
    expect_error(op, x, one, zero, w, one, np.int8(0), one, np.int32(0), match="would be int32")
    expect_error(op, x, one, zero, w, one, np.int8(0), one, zero, randint(0, 5, 3, dtype=np.int32),
                 match="bias for 4 output channels has 3")  # fmt: skip
    expect_error(op, x, one, zero, w, one, np.int8(0), one, zero, randn(4), match="bias is float32")


def test_sums_that_wrap_around():
    """As in ONNX Runtime: sums have 32 bits."""
    x, w = np.full((1, 1, 1, 1), 200, np.uint8), np.full((1, 1, 1, 1), 100, np.int8)
    one, zero, small = np.float32(1), np.uint8(0), np.float32(1e7)
    bias = np.array([2**31 - 1], np.int32)
    inputs = (x, one, zero, w, one, np.int8(0), small, zero, bias)
    check_op("QLinearConv", *inputs, ref=np.zeros_like(x))
    check_op("QLinearConv", *inputs, ref="ort")


def test_no_input_channels():
    x, w = codes(np.uint8, 1, 0, 4, 4), codes(np.uint8, 3, 0, 2, 2)
    check_op("ConvInteger", x, w, ref=np.zeros((1, 3, 3, 3), np.int32))
