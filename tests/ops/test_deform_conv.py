"""DeformConv."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randn


def sample(plane, at):
    """Linear interpolation at a point; zero outside."""
    total = 0.0
    first = [int(np.floor(x)) for x in at]
    for sides in itertools.product([0, 1], repeat=len(at)):
        corner = [f + s for f, s in zip(first, sides, strict=True)]
        if any(c < 0 or c >= n for c, n in zip(corner, plane.shape, strict=True)):
            continue
        shares = [x - f if s else 1 - (x - f) for x, f, s in zip(at, first, sides, strict=True)]
        total += np.prod(shares) * float(plane[tuple(corner)])
    return total


def deform_conv(x, w, offset, bias=None, mask=None, *, strides, pads, dilations, group, sets):
    axes, kernel, out = x.ndim - 2, w.shape[2:], offset.shape[2:]
    offset = offset.reshape(len(x), sets, *kernel, axes, *out)
    mask = np.ones((len(x), sets, *kernel, *out)) if mask is None else mask
    mask = mask.reshape(len(x), sets, *kernel, *out)
    y = np.zeros((len(x), len(w), *out))
    for n, o in itertools.product(range(len(x)), range(len(w))):
        for c, p in itertools.product(range(w.shape[1]), np.ndindex(*out)):
            channel = o // (len(w) // group) * w.shape[1] + c
            s = channel // (x.shape[1] // sets)
            for t in np.ndindex(*kernel):
                at = [p[d] * strides[d] - pads[d] + t[d] * dilations[d]
                      + float(offset[(n, s, *t, d, *p)]) for d in range(axes)]  # fmt: skip
                value = sample(x[n, channel], at) * float(mask[(n, s, *t, *p)])
                y[(n, o, *p)] += value * float(w[(o, c, *t)])
    if bias is not None:
        y += bias.astype(np.float64).reshape(1, -1, *[1] * axes)
    return y.astype(x.dtype)


def case(space, kernel, *, channels=4, outs=6, group=1, sets=1, stride=1, pad=1, dilation=1,
         masked=True, dtype=np.float32):  # fmt: skip
    axes = len(space)
    out = [(s + 2 * pad - dilation * (k - 1) - 1) // stride + 1
           for s, k in zip(space, kernel, strict=True)]  # fmt: skip
    taps = int(np.prod(kernel))
    inputs = [randn(2, channels, *space), randn(outs, channels // group, *kernel),
              1.5 * randn(2, sets * taps * axes, *out)]  # fmt: skip
    if masked:
        inputs += [randn(outs), np.abs(randn(2, sets * taps, *out))]
    inputs = [a.astype(dtype) for a in inputs]
    lists = {"strides": [stride] * axes, "pads": [pad] * 2 * axes, "dilations": [dilation] * axes}
    expected = deform_conv(*inputs, **lists, group=group, sets=sets)
    check_op("DeformConv", *inputs, ref=expected, group=group, offset_group=sets,
             kernel_shape=list(kernel), length=channels * taps, **lists)  # fmt: skip


def test_deform_conv():
    case((5, 6), (3, 3))
    case((5, 6), (3, 2), group=2, sets=2, stride=2, masked=False)
    case((6, 5), (2, 3), group=2, sets=4, dilation=2, pad=2)
    case((4, 4), (1, 1), sets=2, pad=0)
    case((9,), (3,), channels=2, outs=2)
    case((3, 4, 3), (2, 2, 2), channels=2, outs=2, sets=2)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_types(dtype):
    case((4, 5), (2, 2), dtype=dtype)


def test_far_offsets():
    offset = np.array([np.nan, np.inf, -np.inf, 1e30, -1.0, 2.0, -0.5, 0.5], np.float32)
    x, w = np.ones((1, 1, 2, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)
    offset = np.stack([offset[:2], offset[2:4]]).reshape(1, 2, 2, 1)
    check_op("DeformConv", x, w, offset, ref=np.zeros((1, 1, 2, 1), np.float32))


def test_more_points_than_a_block():
    case((20, 17), (1, 1), channels=1, outs=1, pad=0)


def test_against_ort():
    x, w = randn(2, 4, 12, 13), randn(6, 2, 3, 3)
    offset, mask = randn(2, 36, 12, 13), randn(2, 18, 12, 13)
    check_op("DeformConv", x, w, offset, randn(6), mask, pads=[1, 1, 1, 1], group=2, offset_group=2,
             opset=19, ref="ort", length=36)  # fmt: skip


def test_refuses():
    x, w = randn(1, 4, 5, 5), randn(2, 4, 3, 3)
    expect_error("DeformConv", x, w, randn(1, 18, 3, 4), match="input 2 has shape")
    expect_error("DeformConv", x, w, randn(1, 18, 3, 3), None, randn(1, 8, 3, 3),
                 match="input 4 has shape")  # fmt: skip
    expect_error("DeformConv", x, w, randn(1, 18, 3, 3), group=2, match="weights of shape")
    expect_error("DeformConv", x, w, randn(1, 18, 3, 3), group=2**63 - 1, match="weights of shape")
    expect_error("DeformConv", x, w, randn(1, 54, 3, 3), offset_group=3, match="groups of offsets")
    expect_error("DeformConv", randn(1, 4, 2, 2), w, randn(1, 18, 1, 1), match="kernel of size 3")
    expect_error("DeformConv", x, w, randn(1, 18, 3, 3), strides=[0, 1], match="stride")
