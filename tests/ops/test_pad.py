"""Pad, Expand, Tile, Transpose, DepthToSpace, SpaceToDepth."""

import itertools

import numpy as np
import pytest
from helpers import check_op, expect_error, randn

WORDS = np.array([["a", "b", "c"], ["d", "e", "f"]], dtype=object)
DTYPES = [np.float64, np.float16, np.int32, np.int8, bool, np.complex64, np.complex128]


def ints(*values):
    return np.array(values, dtype=np.int64)


def np_pad(x, pads, mode, value=0):
    keep = tuple(slice(-min(b, 0), n + min(e, 0)) for (b, e), n in zip(pads, x.shape, strict=True))
    widths = [(max(b, 0), max(e, 0)) for b, e in pads]
    options = {"constant_values": value} if mode == "constant" else {}
    return np.pad(x[keep], widths, mode, **options)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pad(mode):
    x = randn(3, 4, 5)
    for pads in [
        [(0, 0), (1, 2), (2, 1)],
        [(1, 1), (0, 0), (0, 0)],
        [(0, 0), (3, 0), (0, 0)],
        [(0, 0), (0, 0), (0, 4)],
        [(2, 2), (3, 3), (4, 4)],
        [(0, 0), (-1, 0), (0, -2)],
        [(5, 7), (0, 9), (11, 0)],
    ]:
        flat = [b for b, _ in pads] + [e for _, e in pads]
        expected = np_pad(x, pads, mode)
        check_op("Pad", x, ints(*flat), mode=mode, ref=expected)
        if mode != "wrap":
            check_op("Pad", x, opset=10, pads=flat, mode=mode, ref=expected)
        check_op("Pad", x, ints(2, 1), None, ints(-1), mode=mode,
                 ref=np_pad(x, [(0, 0), (0, 0), (2, 1)], mode))  # fmt: skip


def test_pad_values():
    x = randn(3, 4)
    pads = [(1, 0), (0, 2)]
    expected = np_pad(x, pads, "constant", 2.5)
    check_op("Pad", x, ints(1, 0, 0, 2), np.float32(2.5), ref=expected)
    check_op("Pad", x, opset=2, pads=[1, 0, 0, 2], value=2.5, ref=expected)
    check_op("Pad", x, opset=1, paddings=[1, 0, 0, 2], value=2.5, ref=expected)
    for dtype in DTYPES:
        y = x.astype(dtype)
        check_op("Pad", y, ints(1, 0, 0, 2), np.asarray(3).astype(dtype),
                 ref=np_pad(y, pads, "constant", np.asarray(3).astype(dtype)))  # fmt: skip
    check_op("Pad", WORDS, ints(0, 1, 0, 0), np.array("z", dtype=object),
             ref=np.array([["z", "a", "b", "c"], ["z", "d", "e", "f"]], dtype=object))  # fmt: skip
    check_op("Pad", randn(0, 2), ints(1, 0, 0, 0), ref=np.zeros((1, 2), np.float32))
    check_op("Pad", randn(64, 56, 56), ints(0, 1, 1, 0, 1, 1),
             ref=lambda x, p: np.pad(x, [(0, 0), (1, 1), (1, 1)]))  # fmt: skip


def test_pad_refuses():
    x = randn(3, 4)
    expect_error("Pad", x, ints(1, 2), match="expected 4 pads, got 2")
    expect_error("Pad", x, ints(-2, 0, -2, 0), match="leave less than nothing of axis 0")
    expect_error("Pad", randn(0, 4), ints(1, 0, 0, 0), mode="edge", match="nothing to pad with")
    expect_error("Pad", x, ints(0, 0, 0, 0), mode="mirror", match="mode 'mirror' is none of")


def test_expand():
    for shape, target in [
        ((3, 1), (2, 1, 6)), ((3, 1), (3, 4)), ((3, 4), (1,)), ((), (2, 3)), ((1,), (0,)),
        ((4, 1, 5), (1, 3, 1)), ((1, 300), (200, 1)), ((2, 1), (2, 0)),
    ]:  # fmt: skip
        x = randn(*shape)
        expected = np.broadcast_to(x, np.broadcast_shapes(shape, target))
        check_op("Expand", x, ints(*target), ref=expected)
    check_op("Expand", WORDS[:, :1], ints(1, 3), ref=np.broadcast_to(WORDS[:, :1], (2, 3)))
    for dtype in DTYPES:
        x = randn(3, 1).astype(dtype)
        check_op("Expand", x, ints(3, 2), ref=np.broadcast_to(x, (3, 2)))
    expect_error("Expand", randn(3), ints(4), match="3 and 4 do not broadcast")


def test_tile():
    x = randn(2, 3, 4)
    for repeats in [(1, 1, 1), (2, 1, 1), (1, 3, 1), (1, 1, 2), (2, 3, 4), (1, 0, 1)]:
        check_op("Tile", x, ints(*repeats), ref=np.tile(x, repeats))
    check_op("Tile", WORDS, ints(1, 2), ref=np.tile(WORDS, (1, 2)))
    check_op("Tile", np.float32(3), ints(), ref=np.float32(3))
    expect_error("Tile", x, ints(2, 2), match="expected 3 repeats, got 2")
    expect_error("Tile", x, ints(2, -2, 1), match="negative dimension")


def test_transpose():
    x = randn(2, 3, 4, 5)
    check_op("Transpose", x, ref=x.T)
    for perm in itertools.permutations(range(4)):
        check_op("Transpose", x, perm=list(perm), ref=x.transpose(perm))
    for dtype in DTYPES:
        for shape in [(70, 130), (3, 33, 65), (1, 129, 3), (5, 0, 3), (0,), ()]:
            y = randn(*shape).astype(dtype)
            check_op("Transpose", y, ref=y.T)
    check_op("Transpose", WORDS, ref=WORDS.T)
    check_op("Transpose", randn(1, 64, 57, 56), perm=[0, 2, 3, 1],
             ref=lambda x, perm: x.transpose(perm))  # fmt: skip
    check_op("Transpose", randn(2, 50, 12, 64), perm=[0, 2, 3, 1],
             ref=lambda x, perm: x.transpose(perm))  # fmt: skip
    for width, dtype in [(16, np.float32), (8, np.int16), (12, np.float32), (4, np.complex128)]:
        y = randn(2, 1400, 4, 3, width).astype(dtype)  # short runs, far apart
        for perm in [(0, 2, 1, 3, 4), (0, 2, 3, 1, 4), (2, 0, 1, 3, 4), (3, 1, 0, 2, 4)]:
            check_op("Transpose", y, perm=list(perm), ref=y.transpose(perm))
    expect_error("Transpose", x, perm=[0, 1, 2], match=r"perm \[0, 1, 2\] does not fit rank 4")
    expect_error("Transpose", x, perm=[0, 1, 2, 2], match="named twice")


def test_depth_and_space():
    x = randn(2, 8, 3, 5)
    for mode, before, order in [
        ("DCR", (2, 2, 2, 2, 3, 5), (0, 3, 4, 1, 5, 2)),
        ("CRD", (2, 2, 2, 2, 3, 5), (0, 1, 4, 2, 5, 3)),
        (None, (2, 2, 2, 2, 3, 5), (0, 3, 4, 1, 5, 2)),
    ]:
        expected = x.reshape(before).transpose(order).reshape(2, 2, 6, 10)
        check_op("DepthToSpace", x, blocksize=2, mode=mode, ref=expected)
        opset = 28 if mode == "CRD" else None
        if opset is None:
            check_op("SpaceToDepth", expected, blocksize=2, ref=x)
    expect_error("DepthToSpace", x, blocksize=3, match="depth of 8 does not split")
    expect_error("SpaceToDepth", x, blocksize=2, match="height of 3 does not split")
    expect_error("DepthToSpace", x, blocksize=0, match="a blocksize of 0")
