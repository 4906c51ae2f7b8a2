"""Constant, ConstantOfShape, Shape, Size, Reshape, Flatten, Squeeze, Unsqueeze, and the shape
arithmetic that they carry."""

import numpy as np
import onnx
import pytest
from helpers import check_op, expect_error, randn
from onnx import TensorProto, helper

import sardonyx

WORDS = np.array([["a", "b", "c"], ["d", "e", "f"]], dtype=object)


def ints(*values):
    return np.array(values, dtype=np.int64)


def test_constant_forms():
    for attrs, expected in [
        ({"value": randn(2, 3)}, randn(2, 3)),
        ({"value_float": 1.5}, np.float32(1.5)),
        ({"value_floats": [1.5, 2.0]}, np.array([1.5, 2], np.float32)),
        ({"value_int": 7}, np.int64(7)),
        ({"value_ints": [7, 8]}, ints(7, 8)),
        ({"value_string": "a"}, np.array("a", dtype=object)),
        ({"value_strings": ["a", "b"]}, np.array(["a", "b"], dtype=object)),
    ]:
        check_op("Constant", ref=(np.asarray(expected),), **attrs)


def test_constant_of_shape():
    for dtype in [np.float32, np.float64, np.float16, np.int64, np.int32, np.int8, np.uint8, bool]:
        value = np.array([1], dtype=dtype)
        check_op("ConstantOfShape", ints(2, 0, 3), value=value, ref=np.full((2, 0, 3), 1, dtype))
        check_op("ConstantOfShape", ints(300, 70), value=value, ref=np.full((300, 70), 1, dtype))
    check_op("ConstantOfShape", ints(4), ref=np.zeros(4, np.float32))
    check_op("ConstantOfShape", ints(), ref=np.zeros((), np.float32))
    expect_error("ConstantOfShape", ints(2, -1), match="negative dimension")


def test_nothing_is_filled_between_steps():
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (float[k] x) => (float[m] y) <int64[1] three = {3}> {
            size = Shape(x)
            count = Sub(size, three)
            filled = ConstantOfShape(count)
            y = Concat<axis = 0>(filled, x)
        }"""
    model = sardonyx.load(onnx.parser.parse_model(text))
    for count in (0, 2):
        x = randn(3 + count)
        np.testing.assert_array_equal(model(x), np.append(np.zeros(count, np.float32), x))


def test_shape_and_size():
    x = randn(2, 3, 4)
    for start, end in [(None, None), (1, None), (-1, None), (None, -1), (2, 1), (-9, 9), (0, 2)]:
        check_op("Shape", x, start=start, end=end, ref=ints(*x.shape[start:end]))
    check_op("Shape", np.float32(3), ref=ints())
    check_op("Size", x, ref=np.int64(24))
    check_op("Size", randn(0, 4), ref=np.int64(0))
    check_op("Shape", WORDS, ref=ints(2, 3))


def test_reshape():
    x = randn(2, 3, 4)
    for shape in [(24,), (4, 6), (-1, 2), (0, -1), (0, 0, 4), (2, 0, 2, -1), (1, 24, 1)]:
        numbers = [x.shape[i] if n == 0 else n for i, n in enumerate(shape)]
        check_op("Reshape", x, ints(*shape), ref=x.reshape(numbers))
    check_op("Reshape", WORDS, ints(3, 2), ref=WORDS.reshape(3, 2))
    check_op("Reshape", randn(0, 4), ints(0, -1), ref=randn(0, 4))
    check_op("Reshape", randn(0, 4), ints(7, 0), allowzero=1, ref=np.zeros((7, 0), np.float32))
    check_op("Reshape", np.float32(3), ints(), ref=np.float32(3))
    check_op("Reshape", x, opset=1, shape=[4, 6], ref=x.reshape(4, 6))
    for dtype in [np.float64, np.float16, np.int8, bool, np.complex64, np.complex128]:
        check_op("Reshape", x.astype(dtype), ints(-1), ref=x.astype(dtype).reshape(-1))


def test_reshape_refuses():
    x = randn(2, 3)
    expect_error("Reshape", x, ints(4, 2), match=r"\[2, 3\] cannot take shape \[4, 2\]")
    expect_error("Reshape", x, ints(-1, -1), match="more than one dimension open")
    expect_error("Reshape", x, ints(-1, 4), match="cannot take shape")
    expect_error("Reshape", x, ints(-2, 3), match="negative dimension")
    expect_error("Reshape", x, ints(2, 3, 0), match="copies one that the input")


def test_flatten():
    x = randn(2, 3, 4, 5)
    for axis in [None, 0, 1, 2, 4, -1, -4]:
        split = 1 if axis is None else axis % 4 if axis < 4 else 4
        check_op("Flatten", x, axis=axis, ref=x.reshape(int(np.prod(x.shape[:split])), -1))
    check_op("Flatten", np.float32(1), axis=0, ref=np.ones((1, 1), np.float32))
    expect_error("Flatten", x, axis=5, match="axis 5 is out of range for rank 4")


def test_squeeze():
    x = randn(1, 3, 1, 4)
    check_op("Squeeze", x, ref=x.reshape(3, 4))
    for axes in [(0,), (2,), (-2, 0), (0, 2)]:
        expected = np.squeeze(x, tuple(axes))
        check_op("Squeeze", x, ints(*axes), ref=expected)
        check_op("Squeeze", x, opset=11, axes=list(axes), ref=expected)
    expect_error("Squeeze", x, ints(1), match="axis 1 of size 3 cannot be squeezed")
    expect_error("Squeeze", x, ints(4), match="axis 4 is out of range")
    expect_error("Squeeze", x, ints(0, -4), match="named twice")


def test_unsqueeze():
    x = randn(3, 4)
    for axes in [(0,), (2,), (-1,), (0, 3), (3, 0), (1, -1), ()]:
        expected = np.expand_dims(x, tuple(axes))
        check_op("Unsqueeze", x, ints(*axes), ref=expected)
        check_op("Unsqueeze", x, opset=11, axes=list(axes), ref=expected)
    check_op("Unsqueeze", np.float32(2), ints(0), ref=np.array([2], np.float32))
    expect_error("Unsqueeze", x, ints(3), match="axis 3 is out of range for rank 3")
    most = f"agraph (float[2] x, int64[{2**63 - 1}] axes) => (float y) {{ y = Unsqueeze(x, axes) }}"
    model = f'<ir_version: 9, opset_import: ["": 17]> {most}'
    with pytest.raises(sardonyx.Error, match=r"overflow|too large"):
        sardonyx.load(onnx.parser.parse_model(model))


def heads_model():
    """Splits the last axis of x into 12 heads by shape arithmetic, as exporters write it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"], axis=0),
        helper.make_node("Slice", ["shape", "one", "two"], ["seq"]),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["batch1"]),
        helper.make_node("Concat", ["batch1", "seq", "tail"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["split"]),
        helper.make_node("Transpose", ["split"], ["heads"], perm=[0, 2, 1, 3]),
        helper.make_node("ConstantOfShape", ["target_of_mask"], ["mask"]),
        helper.make_node("Concat", ["batch1", "seq"], ["target_of_mask"], axis=0),
        helper.make_node("Range", ["start", "count", "step"], ["positions"]),
        helper.make_node("Squeeze", ["seq"], ["count"]),
    ]
    order = [0, 1, 2, 3, 4, 5, 6, 8, 7, 10, 9]
    constants = {
        "zero": np.int64(0), "one": ints(1), "two": ints(2), "axes": ints(0),
        "tail": ints(12, -1), "start": np.int64(0), "step": np.int64(1),
    }  # fmt: skip
    graph = helper.make_graph(
        [nodes[i] for i in order],
        "heads",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "seq", 768])],
        [onnx.ValueInfoProto(name=name) for name in ("heads", "mask", "positions")],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_shape_arithmetic_is_symbolic():
    model = sardonyx.load(heads_model())
    shapes = {value.name: list(value.shape) for value in model.outputs}
    assert shapes == {
        "heads": ["batch", 12, "seq", 64],
        "mask": ["batch", "seq"],
        "positions": ["seq"],
    }


@pytest.mark.parametrize(("batch", "seq"), [(1, 1), (2, 5), (3, 0)])
def test_shape_arithmetic_runs(batch, seq):
    x = randn(batch, seq, 768)
    heads, mask, positions = sardonyx.load(heads_model()).run(None, {"x": x})
    np.testing.assert_array_equal(heads, x.reshape(batch, seq, 12, 64).transpose(0, 2, 1, 3))
    np.testing.assert_array_equal(mask, np.zeros((batch, seq), np.float32))
    np.testing.assert_array_equal(positions, np.arange(seq))
