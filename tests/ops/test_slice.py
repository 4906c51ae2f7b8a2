"""Slice, Split, Concat."""

import numpy as np
from helpers import check_op, expect_error, randn

WORDS = np.array([["a", "b", "c"], ["d", "e", "f"]], dtype=object)
FAR = np.iinfo(np.int64).max


def ints(*values):
    return np.array(values, dtype=np.int64)


def test_slice():
    x = randn(6, 5, 4)
    for start, end, step in [
        (0, 6, 1), (1, 4, 1), (-3, FAR, 1), (0, -1, 1), (2, 2, 1), (4, 2, 1), (-100, 100, 1),
        (0, 6, 2), (1, FAR, 3), (5, 0, -1), (-1, -FAR, -1), (-1, -7, -2), (FAR, -FAR - 1, -1),
        (0, 6, FAR), (5, -FAR - 1, -FAR - 1), (0, 0, 1),
    ]:  # fmt: skip
        # NumPy takes no step beyond its index type: any step that passes the end picks one.
        near = int(np.clip(step, -100, 100))
        for axis in [0, 1, -1]:
            index = [slice(None)] * 3
            index[axis] = slice(start, None if end == -FAR - 1 else end, near)
            inputs = [ints(v) for v in (start, end, axis, step)]
            check_op("Slice", x, *inputs, ref=x[tuple(index)])


def test_slice_forms():
    x = randn(6, 5, 4)
    check_op("Slice", x, ints(1, 0), ints(5, 3), ref=x[1:5, 0:3])
    check_op("Slice", x, ints(1, 0), ints(5, 3), ints(2, 0), ref=x[0:3, :, 1:5])
    check_op("Slice", x, ints(3, 1), ints(0, 4), None, ints(-1, 2), ref=x[3:0:-1, 1:4:2])
    check_op("Slice", x, opset=9, starts=[1, -2], ends=[FAR, 4], axes=[0, 2], ref=x[1:, :, -2:4])
    check_op("Slice", x, opset=9, starts=[1], ends=[2], ref=x[1:2])
    check_op("Slice", WORDS, ints(2), ints(-4), ints(1), ints(-1), ref=WORDS[:, ::-1])
    for dtype in [np.float64, np.float16, np.int8, bool, np.complex64, np.complex128]:
        y = x.astype(dtype)
        check_op("Slice", y, ints(1, 4), ints(5, 0), ints(0, 1), ints(2, -1), ref=y[1:5:2, 4:0:-1])
    indices = [v.astype(np.int32) for v in (ints(1), ints(5), ints(0), ints(2))]
    check_op("Slice", x, *indices, ref=x[1:5:2])
    check_op("Slice", randn(0, 3), ints(0), ints(5), ref=randn(0, 3))


def test_slice_refuses():
    x = randn(4, 3)
    expect_error("Slice", x, ints(0), ints(4), ints(0), ints(0), match="a step of 0")
    expect_error("Slice", x, ints(0), ints(4), ints(2), match="axis 2 is out of range for rank 2")
    expect_error("Slice", x, ints(0), ints(4, 2), ints(0), match="differ in length")
    expect_error("Slice", x, ints(0, 0), ints(4, 2), ints(0, -2), match="named twice")


def test_split():
    x = randn(6, 5, 4)
    for axis in [0, 1, -1]:
        sizes = [2, 0, x.shape[axis] - 2]
        parts = tuple(np.split(x, np.cumsum(sizes)[:-1], axis))
        check_op("Split", x, ints(*sizes), axis=axis, outputs=3, ref=parts)
        check_op("Split", x, opset=11, split=sizes, axis=axis, outputs=3, ref=parts)
    check_op("Split", x, outputs=3, opset=13, ref=tuple(np.split(x, 3)))
    check_op("Split", x, outputs=3, num_outputs=3, ref=tuple(np.split(x, 3)))
    check_op("Split", x, outputs=2, num_outputs=2, axis=1, ref=tuple(np.split(x, [3], 1)))
    check_op("Split", x, outputs=4, num_outputs=4, ref=tuple(np.split(x, [2, 4, 6])))
    check_op("Split", x, outputs=["", "y"], num_outputs=2, ref=(x[3:],))
    check_op("Split", WORDS, outputs=3, num_outputs=3, axis=1, ref=tuple(np.split(WORDS, 3, 1)))


def test_split_refuses():
    x = randn(6, 5)
    expect_error("Split", x, ints(2, 3), outputs=2, match=r"\[2, 3\] do not add up to 6")
    expect_error("Split", x, ints(7, -1), outputs=2, match="negative dimension")
    expect_error("Split", x, ints(6), outputs=2, match="1 sizes for 2 outputs")
    expect_error("Split", x, outputs=4, opset=13, match="does not split into 4 equal parts")


def test_concat():
    for shape in [(2, 3, 4), (1, 3, 1), (2, 0, 4), (0, 3, 4)]:
        for axis in [0, 1, 2, -1]:
            parts = []
            for i, size in enumerate([1, 4, 0, 2]):
                dims = list(shape)
                dims[axis] = size
                parts.append(randn(*dims, seed=i))
            check_op("Concat", *parts, axis=axis, ref=np.concatenate(parts, axis))
    x = randn(2, 3)
    check_op("Concat", x, axis=1, ref=x)
    check_op("Concat", x, x, opset=1, ref=np.concatenate([x, x], 1))
    check_op("Concat", WORDS, WORDS, axis=1, ref=np.concatenate([WORDS, WORDS], 1))
    for dtype in [np.float64, np.float16, np.int8, bool, np.complex128]:
        y = x.astype(dtype)
        check_op("Concat", y, y, y, axis=1, ref=np.concatenate([y, y, y], 1))
    big = randn(300, 400)
    check_op("Concat", big, big[:, :7], axis=1, ref=np.concatenate([big, big[:, :7]], 1))


def test_concat_refuses():
    expect_error("Concat", randn(2, 3), randn(3, 3), axis=1, match="differ beside axis 1")
    expect_error("Concat", randn(2, 3), randn(3), axis=0, match="ranks differ")
    expect_error("Concat", randn(2, 3), axis=2, match="axis 2 is out of range")
    expect_error("Concat", randn(2), randn(2).astype(np.int64), axis=0, match="types differ")


def test_dynamic_slice():
    """An experiment of opset 1 to 9 that files still contain: Slice with its bounds as inputs."""
    x = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    check_op("DynamicSlice", x, np.array([1, -2]), np.array([9, -1]), ref=x[1:9, -2:-1], opset=9)
    axes = np.array([2, 0])
    check_op(
        "DynamicSlice", x, np.array([1, 0]), np.array([3, 2]), axes, ref=x[:2, :, 1:3], opset=9
    )


def test_rows_of_every_few_bytes():
    """Short rows are copied by their first and last bytes, which may overlap."""
    for dtype in (np.uint8, np.float16, np.float32, np.int64, np.complex128):
        for width in (1, 2, 3, 5, 7, 9, 16, 17, 33, 64, 65):
            x = (100 * randn(21, width + 3)).astype(dtype)
            parts = (x[:, :width], x[:, width:])
            check_op("Split", x, ints(width, 3), axis=1, outputs=2, ref=parts)
            check_op("Concat", *parts, axis=1, ref=x)
            check_op("Slice", x, ints(3), ints(width + 3), ints(1), ref=x[:, 3:])
            check_op("Tile", parts[0], ints(2, 3), ref=np.tile(parts[0], (2, 3)))
