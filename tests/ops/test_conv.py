"""Conv, its fused form and ConvTranspose, against sums in float64."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from helpers import check_op, compare, expect_error, make_model, randn
from numpy.lib.stride_tricks import sliding_window_view

import sardonyx


def conv(x, w, b=None, group=1, strides=None, dilations=None, pads=None, **_):
    axes = x.ndim - 2
    ones, pads = [1] * axes, pads or [0] * 2 * axes
    strides, dilations = strides or ones, dilations or ones
    padded = np.pad(x.astype(np.float64), [(0, 0)] * 2 + list(zip(pads, pads[axes:], strict=False)))
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, w.shape[2:], strict=True)]
    windows = sliding_window_view(padded, reach, tuple(range(2, 2 + axes)))
    steps = [slice(None)] * 2 + [slice(None, None, step) for step in [*strides, *dilations]]
    windows = windows[tuple(steps)]
    windows = windows.reshape(len(x), group, w.shape[1], *windows.shape[2:])
    filters = w.astype(np.float64).reshape(group, w.shape[0] // group, *w.shape[1:])
    out, taps = "xyz"[:axes], "uvw"[:axes]
    terms = f"ngc{out}{taps},gmc{taps}->ngm{out}"
    y = np.einsum(terms, windows, filters, optimize=True)
    y = y.reshape(len(x), w.shape[0], *y.shape[3:])
    return y if b is None else y + b.astype(np.float64).reshape(-1, *ones)


CASES = [
    # x, w, attributes
    ((1, 3, 9, 11), (5, 3, 3, 3), {}),
    ((2, 3, 32, 30), (16, 3, 7, 7), {"strides": [2, 2], "pads": [3, 3, 3, 3]}),
    ((1, 1, 12, 12), (4, 1, 5, 5), {"pads": [2, 2, 2, 2]}),
    ((2, 16, 7, 5), (24, 16, 1, 1), {}),
    ((2, 16, 7, 5), (24, 16, 1, 1), {"strides": [2, 2]}),
    ((1, 32, 14, 14), (32, 32, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((2, 20, 33, 18), (36, 20, 3, 3), {"pads": [0, 1, 2, 0]}),
    ((1, 32, 14, 14), (32, 32, 3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ((1, 9, 14, 13), (6, 9, 3, 2), {"dilations": [2, 3], "pads": [2, 1, 0, 3]}),
    ((2, 12, 9, 9), (12, 1, 3, 3), {"group": 12, "pads": [1, 1, 1, 1]}),
    ((2, 12, 9, 9), (24, 1, 3, 3), {"group": 12, "strides": [2, 2]}),
    ((2, 12, 9, 9), (18, 4, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
    ((2, 12, 9, 9), (18, 4, 1, 1), {"group": 3}),
    ((2, 32, 9, 9), (32, 4, 3, 3), {"group": 8, "pads": [1, 1, 1, 1]}),
    ((1, 40, 20), (40, 8, 3), {"group": 5, "strides": [2], "pads": [1, 1]}),
    ((2, 5, 40), (7, 5, 4), {"strides": [3], "pads": [2, 1]}),
    ((2, 8, 40), (8, 1, 9), {"group": 8, "pads": [4, 4]}),
    ((1, 2, 5, 6, 7), (3, 2, 2, 3, 2), {"pads": [1, 0, 1, 0, 1, 1], "strides": [1, 2, 1]}),
    ((1, 4, 5, 6, 7), (4, 1, 3, 3, 3), {"group": 4, "pads": [1] * 6}),
    ((1, 40, 30, 29), (40, 1, 9, 9), {"group": 40, "pads": [4, 4, 4, 4]}),
    ((1, 40, 30, 29), (40, 1, 3, 3), {"group": 40, "dilations": [3, 2]}),
    ((2, 20, 11, 17), (3, 20, 5, 5), {"pads": [2, 2, 2, 2]}),
    ((1, 33, 40), (1, 33, 4), {"strides": [2], "pads": [1, 2]}),
    ((2, 3, 20, 31), (6, 3, 5, 5), {"pads": [2, 2, 2, 2]}),
    ((1, 8, 700), (8, 8, 11), {"pads": [25, 25], "dilations": [5]}),
    ((2, 6, 30), (7, 6, 3), {"pads": [1, 1]}),
    # Long filters of groups, and of single channels.
    ((2, 16, 300), (16, 4, 130), {"group": 4, "pads": [65, 64]}),
    ((1, 4, 700), (4, 1, 201), {"group": 4, "pads": [100, 100]}),
    # One channel, and filters longer than planes take.
    ((2, 1, 900), (1, 1, 401), {"pads": [30, 400]}),
    ((1, 1, 9000), (1, 1, 5), {"pads": [2, 2]}),
    ((1, 1, 70, 66), (1, 1, 31, 17), {"pads": [3, 16, 30, 0], "strides": [2, 1]}),
    # Volumes by Winograd, of more slices than a block takes.
    ((1, 24, 18, 13, 14), (40, 24, 3, 3, 3), {"pads": [1] * 6}),
    ((3, 40, 3, 9, 24), (24, 40, 2, 3, 3), {"pads": [2, 0, 1, 3, 1, 1]}),
    # Small images, but enough of them for Winograd.
    ((12, 40, 6, 6), (72, 40, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((20, 40, 7, 7), (72, 40, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((0, 3, 9, 9), (5, 3, 3, 3), {}),
    ((1, 3, 2, 9), (5, 3, 3, 3), {}),
]


@pytest.mark.parametrize(("x", "w", "attrs"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_conv(x, w, attrs, dtype):
    if 2 in x and np.dtype(dtype) != np.float32:
        return
    data, weights = randn(*x, dtype=dtype), randn(*w, dtype=dtype)
    bias = randn(w[0], dtype=dtype)
    length = int(np.prod(w[1:]))
    if x == (1, 3, 2, 9):
        expected = np.zeros((1, 5, 0, 7), dtype)
        check_op("Conv", data, weights, bias, ref=expected, **attrs)
        return
    # Winograd's error grows a few times faster.
    length *= 8 if w[-1] == 3 else 1
    check_op("Conv", data, weights, bias, ref=conv, length=length, **attrs)
    check_op("Conv", data, weights, ref=conv, length=length, **attrs)


@pytest.mark.parametrize(
    ("x", "w", "attrs"),
    [
        ((1, 1, 400_000), (1, 1, 399_990), {"pads": [5, 7]}),
        ((2, 1, 900, 1000), (1, 1, 890, 998), {"pads": [1, 2, 3, 4]}),
        ((1, 16, 300, 300), (16, 1, 297, 299), {"group": 16, "strides": [2, 1]}),
        # Several channels: products whose sums are made in parts.
        ((1, 4, 700, 400), (3, 4, 699, 396), {"pads": [1, 0, 0, 2]}),
        ((1, 3, 500_000), (20, 3, 499_998), {}),
        ((1, 1_100_000, 2), (3, 1_100_000, 1), {}),
        # One channel of a large plane, and rows that are long.
        ((1, 1, 5000, 900), (1, 1, 3, 3), {"pads": [2, 1, 0, 1], "strides": [1, 1]}),
        ((1, 3, 5, 150_000), (4, 3, 3, 5), {"pads": [1, 2, 1, 2]}),
        ((1, 3, 300_000), (4, 3, 5), {"pads": [3, 1], "strides": [2]}),
    ],
)
def test_more_than_is_done_at_once(x, w, attrs):
    x, w, bias = randn(*x), randn(*w, seed=1), randn(w[0], seed=2)
    check_op("Conv", x, w, bias, ref="ort", length=w[0].size, **attrs)


def test_sums_of_many_taps_and_what_is_added_to_them():
    x, w, b = randn(1, 1, 500, 500), randn(1, 1, 498, 497, seed=1), randn(1, seed=2)
    z = randn(1, 1, 3, 4, seed=3)
    y = np.maximum(conv(x, w, b) + z, 0)
    domain = {"domain": "com.microsoft", "length": w.size}
    check_op("FusedConv", x, w, b, z, ref=y, activation="Relu", **domain)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_conv_pads_itself(mode):
    for x, w, strides in [
        ((1, 2, 7, 8), (3, 2, 3, 2), [2, 3]),
        ((1, 2, 5, 5), (3, 2, 4, 4), [1, 1]),
    ]:
        check_op("Conv", randn(*x), randn(*w), ref="ort", length=16, strides=strides, auto_pad=mode)


def test_fused_conv():
    x, w, b = randn(1, 16, 9, 9), randn(24, 16, 3, 3), randn(24)
    pads = [1, 1, 1, 1]
    z = randn(1, 24, 9, 9)
    ours = {"domain": "com.microsoft", "length": 600, "pads": pads}
    plain = conv(x, w, b, pads=pads)
    check_op("FusedConv", x, w, b, ref=np.maximum(plain, 0), activation="Relu", **ours)
    check_op("FusedConv", x, w, b, z, ref=np.maximum(plain + z, 0), activation="Relu", **ours)
    check_op("FusedConv", x, w, None, z, ref=conv(x, w, pads=pads) + z, **ours)
    check_op(
        "FusedConv",
        x,
        w,
        b,
        ref=np.clip(plain, -10, 30),
        activation="Clip",
        activation_params=[-10.0, 30.0],
        **ours,
    )
    check_op(
        "FusedConv",
        x,
        w,
        b,
        ref=np.where(plain < 0, 0.1 * plain, plain),
        activation="LeakyRelu",
        activation_params=[0.1],
        **ours,
    )
    last = np.tanh(plain) + z
    check_op("FusedConv", x, w, b, z, ref=last, activation="Tanh", residual_last=1, **ours)


@pytest.mark.parametrize(("x", "w", "attrs"), CASES[:-1])
def test_channels_last_conv(x, w, attrs):
    # Passes make this form; no file holds it.
    data, weights, bias = randn(*x), randn(*w), randn(w[0])
    expected = np.moveaxis(conv(data, weights, bias, **attrs), 1, -1)
    z = randn(*expected.shape)
    last = np.ascontiguousarray(np.moveaxis(data, 1, -1))
    length = 8 * int(np.prod(w[1:]))
    check_op(
        "FusedConv",
        last,
        weights,
        bias,
        z,
        ref=expected + z,
        domain="com.microsoft",
        length=length,
        layout="NHWC",
        **attrs,
    )


@pytest.mark.parametrize(
    ("x", "channels", "taps", "attrs"),
    [
        ((1, 16, 61, 120), 96, (3, 3), {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ((2, 24, 56, 56), 144, (5, 5), {"pads": [2, 2, 2, 2]}),
        ((1, 9, 7, 7), 200, (3, 3), {"pads": [1, 1, 1, 1]}),
        ((2, 24, 14, 14), 200, (3, 3), {"pads": [1, 1, 1, 1]}),
        ((1, 5, 300, 33), 70, (3, 2), {"pads": [3, 0, 5, 1], "dilations": [3, 2]}),
        ((1, 4, 500, 30), 40, (2, 3), {"strides": [3, 1], "pads": [0, 1, 1, 2]}),
        ((3, 8, 6, 300), 64, (7, 7), {"pads": [3, 3, 3, 3], "strides": [1, 2]}),
        ((2, 8, 1, 1), 33, (3, 3), {"pads": [1, 1, 1, 1]}),
    ],
)
def test_expanded_depthwise(x, channels, taps, attrs):
    # The two convolutions become one step.
    data = randn(*x)
    expand, bias = randn(channels, x[1], 1, 1), randn(channels)
    filters, bias_2 = randn(channels, 1, *taps), randn(channels)
    wide = conv(data, expand, bias)
    wide = wide / (1 + np.exp(-wide))
    expected = np.maximum(conv(wide, filters, bias_2, group=channels, **attrs), 0)
    helper = onnx.helper
    nodes = [
        helper.make_node("Conv", ["x", "expand", "bias"], ["e"]),
        helper.make_node("Sigmoid", ["e"], ["s"]),
        helper.make_node("Mul", ["e", "s"], ["m"]),
        helper.make_node("Conv", ["m", "filters", "bias_2"], ["d"], group=channels, **attrs),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    constants = {"expand": expand, "bias": bias, "filters": filters, "bias_2": bias_2}
    infos = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in [("x", ["n", x[1], "h", "w"]), ("y", None)]
    ]
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "case", infos[:1], infos[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    one = sardonyx.load(model, threads=1).run(None, {"x": data})[0]
    compare(expected, one, "expanded", length=8 * x[1] * int(np.prod(taps)), wide=True)
    np.testing.assert_array_equal(sardonyx.load(model, threads=3).run(None, {"x": data})[0], one)


def test_convolutions_that_make_no_sense():
    x, w = randn(1, 4, 5, 5), randn(6, 4, 3, 3)
    expect_error("Conv", x, w, match="strides holds 0", strides=[0, 1])
    expect_error("Conv", x, w, match="dilations holds -1", dilations=[1, -1])
    expect_error("Conv", x, w, match="group is 0", group=0)
    expect_error("Conv", x, w, match="in 4 groups", group=4)
    expect_error("Conv", x, w, match="take 8", group=2)
    expect_error("Conv", x, w, match="pads has 2 entries, expected 4", pads=[1, 1])
    expect_error("Conv", x, w, match="kernel_shape is 2 along axis 1", kernel_shape=[3, 2])
    expect_error("Conv", x, randn(6, 4, 7, 3), match="spans 7, does not fit|spans 7 does not fit")
    expect_error("Conv", x, randn(6, 4, 0, 3), match="a window of 0")
    expect_error("Conv", x, w, randn(5), match=r"input 2 has shape \[5\], expected \[6\]")
    expect_error("Conv", x, w, match="auto_pad is 'SAME'", auto_pad="SAME")
    expect_error("Conv", randn(4, 5), randn(4, 5), match="rank 3 or more")


def conv_transpose(
    x, w, b=None, group=1, strides=None, dilations=None, pads=None, output_padding=None, **_
):
    axes = x.ndim - 2
    ones, pads = [1] * axes, pads or [0] * 2 * axes
    strides, dilations, extra = strides or ones, dilations or ones, output_padding or [0] * axes
    kernel = w.shape[2:]
    spans = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], strides, strict=True)]
    sizes = [
        span + d * (k - 1) + e
        for span, d, k, e in zip(spans, dilations, kernel, extra, strict=True)
    ]
    grouped = x.astype(np.float64).reshape(len(x), group, -1, *x.shape[2:])
    filters = w.astype(np.float64).reshape(group, -1, *w.shape[1:])
    y = np.zeros((len(x), group * w.shape[1], *sizes))
    for tap in np.ndindex(*kernel):  # every tap adds to a strided part of the result
        starts = [t * d for t, d in zip(tap, dilations, strict=True)]
        part = [
            slice(start, start + span, step)
            for start, span, step in zip(starts, spans, strides, strict=True)
        ]
        product = np.einsum("ngc...,gcm->ngm...", grouped, filters[(..., *tap)])
        y[(..., *part)] += product.reshape(len(x), -1, *x.shape[2:])
    cut = [slice(pads[i], sizes[i] - pads[axes + i]) for i in range(axes)]
    y = y[(..., *cut)]
    return y if b is None else y + b.astype(np.float64).reshape(-1, *ones)


TRANSPOSED_CASES = [
    ((1, 3, 5, 6), (3, 4, 3, 3), {}),
    ((2, 16, 5, 6), (16, 20, 2, 2), {"strides": [2, 2]}),
    ((1, 300, 3, 4), (300, 130, 2, 3), {"strides": [2, 3]}),
    ((1, 17, 9), (17, 70, 3), {"strides": [3]}),
    ((1, 2, 3, 4, 5), (2, 3, 2, 1, 3), {"strides": [2, 1, 3]}),
    ((2, 3, 5, 6), (3, 4, 4, 3), {"strides": [2, 3], "pads": [1, 0, 2, 1]}),
    ((1, 3, 5, 6), (3, 4, 3, 3), {"dilations": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    # The padding decides whether so wide a reach is one place wider.
    (
        (1, 1, 2, 490),
        (1, 1, 1, 2),
        {"dilations": [1, 479], "strides": [1, 2], "pads": [0, 1, 0, 0]},
    ),
    (
        (1, 2, 2, 490),
        (2, 3, 1, 2),
        {"dilations": [1, 957], "strides": [1, 4], "pads": [0, 3, 0, 0]},
    ),
    ((1, 3, 5, 6), (3, 4, 3, 3), {"strides": [3, 2], "output_padding": [1, 1]}),
    ((2, 6, 5, 6), (6, 2, 3, 3), {"group": 3, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((1, 4, 9), (4, 5, 4), {"strides": [2], "pads": [1, 1]}),
    ((1, 2, 3, 4, 5), (2, 3, 2, 3, 2), {"strides": [2, 1, 2], "pads": [0, 1, 0, 0, 1, 1]}),
]


@pytest.mark.parametrize(("x", "w", "attrs"), TRANSPOSED_CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_conv_transpose(x, w, attrs, dtype):
    data, weights = randn(*x, dtype=dtype), randn(*w, dtype=dtype)
    bias = randn(w[1] * attrs.get("group", 1), dtype=dtype)
    length = int(np.prod(w))
    check_op("ConvTranspose", data, weights, ref=conv_transpose, length=length, **attrs)
    check_op("ConvTranspose", data, weights, bias, ref=conv_transpose, length=length, **attrs)


# Images that are multiplied some rows at a time, of which taps reach into the next ones.
BANDED_CASES = [
    ((1, 8, 40, 40), (8, 64, 5, 5), {"strides": [2, 2], "pads": [1, 2, 2, 0]}),
    ((2, 8, 30, 40), (8, 32, 5, 4), {"strides": [1, 2], "dilations": [3, 1], "group": 2}),
    ((1, 4, 3001), (4, 40, 16), {"strides": [8], "pads": [4, 4], "output_padding": [1]}),
    ((1, 4, 6001), (4, 6, 16), {"strides": [8], "pads": [20, 3]}),
    ((1, 4, 2000), (4, 70, 5), {"strides": [7]}),
    ((1, 3, 200, 3), (3, 30, 51, 9), {"dilations": [2, 1], "pads": [99, 0, 99, 0]}),
    ((1, 4, 12, 10, 10), (4, 32, 3, 3, 3), {"strides": [2, 1, 2], "pads": [1, 0, 1, 0, 1, 1]}),
]


@pytest.mark.parametrize(("x", "w", "attrs"), BANDED_CASES)
def test_transposed_convolutions_of_large_images(x, w, attrs):
    data, weights, bias = randn(*x), randn(*w), randn(w[1] * attrs.get("group", 1))
    length = int(np.prod(w))
    check_op("ConvTranspose", data, weights, bias, ref="ort", length=length, **attrs)


# With constant weights, of which each phase of the output has its own.
PHASED_CASES = [
    ((2, 16, 6, 7), (16, 20, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    (
        (1, 48, 5, 9),
        (48, 16, 5, 3),
        {"strides": [3, 2], "pads": [2, 0, 1, 1], "output_padding": [1, 1]},
    ),
    ((1, 16, 40), (16, 32, 16), {"strides": [8], "pads": [4, 4]}),
    ((1, 32, 3, 4, 5), (32, 12, 3, 2, 3), {"strides": [2, 2, 1], "pads": [0, 1, 1, 1, 0, 0]}),
    ((2, 64, 5, 6), (64, 16, 3, 3), {"group": 2, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((1, 24, 7, 6), (24, 30, 3, 3), {}),
    ((1, 20, 3, 3), (20, 16, 4, 4), {"strides": [2, 2], "pads": [3, 3, 3, 3]}),
    ((1, 20, 4, 3), (20, 16, 4, 4), {"strides": [2, 2], "output_shape": [11, 6]}),
    ((1, 20, 4, 3), (20, 16, 4, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 16, 1, 1), (16, 16, 4, 4), {}),
    # In pieces: of the width, and of rows.
    ((1, 64, 3000), (64, 16, 6), {"strides": [3], "pads": [10, 700]}),
    ((1, 16, 90, 100), (16, 16, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
]


@pytest.mark.parametrize(("x", "w", "attrs"), PHASED_CASES)
def test_transposed_convolutions_by_phases(x, w, attrs):
    data, weights, bias = randn(*x), randn(*w), randn(w[1] * attrs.get("group", 1))
    length = int(np.prod(w))
    check_op("ConvTranspose", data, weights, bias, ref="ort", length=length, **attrs)
    check_op("ConvTranspose", data, weights, ref="ort", length=length, **attrs)


def test_a_transposed_convolution_keeps_no_columns_of_the_whole_image():
    # Of which there would be 330 MB.
    x, w = randn(1, 16, 20_000), randn(16, 64, 64)
    model = sardonyx.load(make_model("ConvTranspose", [x, w], attrs={"strides": [8]}))
    model.run(None, {"x0": x, "x1": w}, memory_limit=100 << 20)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
def test_conv_transpose_pads_itself(mode):
    x, w = randn(1, 2, 5, 6), randn(2, 3, 4, 3)
    check_op("ConvTranspose", x, w, ref="ort", length=24, strides=[2, 2], auto_pad=mode)
    # onnxruntime pads the wrong side for VALID and SAME_LOWER with a shape.
    if mode in ("SAME_UPPER", "NOTSET"):
        check_op(
            "ConvTranspose",
            x,
            w,
            ref="ort",
            length=24,
            strides=[2, 2],
            auto_pad=mode,
            output_shape=[9, 11],
        )


def test_transposed_convolutions_that_make_no_sense():
    x, w = randn(1, 4, 5, 5), randn(4, 6, 3, 3)
    expect_error("ConvTranspose", x, w, match="strides holds 0", strides=[0, 1])
    expect_error("ConvTranspose", x, w, match="4 channels in 3 groups", group=3)
    expect_error("ConvTranspose", x, randn(5, 6, 3, 3), match="4 channels, but weights")
    expect_error("ConvTranspose", x, w, match="leave nothing", pads=[4, 4, 4, 4])
    expect_error("ConvTranspose", x, w, match="output_padding holds -1", output_padding=[-1, 0])
    expect_error("ConvTranspose", x, w, match="output_shape has 1 entries", output_shape=[5])
