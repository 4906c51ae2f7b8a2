"""GatherBlockQuantized, the quantised Bert and LSTM, and channels-last windows of com.microsoft."""

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from helpers import check_op, expect_error, make_model, randint, randn, run_op

MS = {"domain": "com.microsoft"}
# The least weight and how many there are. On processors without VNNI, ONNX Runtime adds pairs of
# products of uint8 and int8 in 16 bits, which hold those of weights of 7 bits.
WEIGHTS = {np.uint8: (0, 256), np.int8: (-64, 128)}


def ort_with_constants(op_type, inputs, constants, **attrs):
    """ONNX Runtime's first result, fed no constants: it takes no arrays of narrow types."""
    model = make_model(op_type, inputs, constants=constants, attrs=attrs, **MS)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = {f"x{i}": value for i, value in enumerate(inputs)}
    return session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})[0]


def packed(codes, bits):
    per = 8 // bits
    room = np.zeros((*codes.shape[:-1], -(-codes.shape[-1] // per) * per), np.uint8)
    room[..., : codes.shape[-1]] = codes
    shifted = room.reshape(*room.shape[:-1], -1, per) << (np.arange(per, dtype=np.uint8) * bits)
    return shifted.sum(-1).astype(np.uint8)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("shape", [(7, 64), (7, 80), (5, 6, 48)])
def test_gather_bytes(shape, bits, dtype, zeros):
    codes = randint(0, 1 << bits, *shape, dtype=np.uint8)
    blocks = (*shape[:-1], -(-shape[-1] // 16))
    scales = randn(*blocks, dtype=dtype)
    zero = packed(randint(0, 1 << bits, *blocks, dtype=np.uint8, seed=1), bits) if zeros else None
    indices = randint(-shape[0], shape[0], 2, 3)
    check_op("GatherBlockQuantized", packed(codes, bits), indices, scales, zero,
             ref="ort", bits=bits, block_size=16, quantize_axis=-1, **MS)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("kind", [ml_dtypes.int4, ml_dtypes.uint4])
@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (0, 2), (2, 1), (1, 1), (2, 2)])
def test_gather_nibbles(axes, kind, dtype):
    gather, quantize = axes
    shape = (20, 18, 34)
    low = -8 if kind is ml_dtypes.int4 else 0
    blocks = tuple(-(-n // 16) if i == quantize else n for i, n in enumerate(shape))
    data = randint(low, low + 16, *shape, dtype=np.int8).astype(kind)
    zeros = randint(low, low + 16, *blocks, dtype=np.int8, seed=1).astype(kind)
    indices = randint(-shape[gather], shape[gather], 4, dtype=np.int32)
    options = {"block_size": 16, "gather_axis": gather, "quantize_axis": quantize}
    for zero in ([], [zeros]):
        inputs = [data, indices, randn(*blocks, dtype=dtype), *zero]
        expected = ort_with_constants("GatherBlockQuantized", inputs, (0, 2, 3), **options)
        check_op("GatherBlockQuantized", *inputs, ref=expected, **options, **MS)


@pytest.mark.parametrize("kind", [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
                                  ml_dtypes.float4_e2m1fn])  # fmt: skip
@pytest.mark.parametrize("block", [0, 16])
def test_gather_small_floats(kind, block):
    data = randn(6, 40).astype(kind)
    for rows in (6, 1):
        scales = randn(rows, 1 if block == 0 else 3, seed=1)
        picks = np.array([[5, 0], [-1, 2]])
        spread = np.repeat(scales, block or 40, axis=1)[:, :40]
        expected = (data.astype(np.float32) * spread)[picks]
        check_op("GatherBlockQuantized", data, picks, scales, ref=expected, block_size=block, **MS)


def test_gather_beyond_and_nothing():
    data, scales = randint(0, 256, 4, 16, dtype=np.uint8), randn(4, 2)
    beyond = np.array([3, 4, -5, -4])
    options = MS | {"block_size": 16}
    y = run_op("GatherBlockQuantized", data, beyond, scales, **options)
    assert [row.any() for row in y] == [True, False, False, True]
    check_op("GatherBlockQuantized", data, np.zeros((0, 2), np.int64), scales,
             ref=np.zeros((0, 2, 32), np.float32), **options)  # fmt: skip


def test_gather_refusals():
    data, scales, picks = randint(0, 256, 4, 16, dtype=np.uint8), randn(4, 2), np.array([0])
    op = "GatherBlockQuantized"
    expect_error(op, data, picks, scales, match="block_size is 24", block_size=24, **MS)
    expect_error(op, data, picks, randn(4, 3), match="scales of shape", block_size=16, **MS)
    expect_error(op, data, picks, scales, match="gather_axis 1", block_size=16, gather_axis=1,
                 **MS)  # fmt: skip
    zeros = np.zeros((4, 2), np.uint8)
    expect_error(op, data, picks, scales, zeros, match="zero_points of shape", block_size=16, **MS)


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_nhwc_max_pool(kind):
    x = randint(0, 100, 2, 7, 9, 5, dtype=kind)
    for options in (
        {},
        {"strides": [2, 1], "pads": [1, 1, 0, 1]},
        {"ceil_mode": 1, "strides": [2, 2]},
        {"dilations": [2, 1]},
        {"auto_pad": "SAME_UPPER"},
    ):
        check_op("NhwcMaxPool", x, ref="ort", kernel_shape=[2, 3], **options, **MS)
    x = randint(0, 100, 2, 5, 6, 7, 3, dtype=kind)
    check_op("NhwcMaxPool", x, ref="ort", kernel_shape=[2, 3, 2], **MS)


def test_nhwc_conv():
    x, w, b, z = randn(2, 4, 7, 9), randn(6, 2, 3, 3), randn(6), randn(2, 6, 7, 9)
    options = {"group": 2, "pads": [1, 1, 1, 1]}
    first = [np.ascontiguousarray(np.moveaxis(each, 1, -1)) for each in (x, z)]
    plain = run_op("Conv", x, w, b, **options)
    check_op("NhwcConv", first[0], w, b, ref=np.moveaxis(plain, 1, -1), length=18, **options, **MS)
    fused = np.moveaxis(np.maximum(plain + z, 0), 1, -1)
    check_op("NhwcFusedConv", first[0], w, b, first[1], ref=fused, length=18, activation="Relu",
             **options, **MS)  # fmt: skip


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("kind", [np.int8, np.uint8])
@pytest.mark.parametrize("causal", [0, 1])
def test_attention(kind, per_column, causal):
    batch, rows, hidden, heads, past = 2, 5, 16, 4, 3
    x = randint(0, 256, batch, rows, hidden, dtype=np.uint8)
    low, span = WEIGHTS[kind]
    w = randint(low, low + span, hidden, 3 * hidden, dtype=kind)
    columns = (3 * hidden,) if per_column else ()
    scale = np.abs(randn(*columns, seed=1)) * np.float32(0.01) + np.float32(0.005)
    zero = randint(low + 100, low + 150, *columns, dtype=kind) if not per_column else None
    if per_column:
        zero = np.full(columns, low + span // 2, kind)
    bias, s = randn(3 * hidden), np.float32(0.02)
    options = MS | {"num_heads": heads, "unidirectional": causal, "ref": "ort", "length": 64}
    inputs = (x, w, bias, s, scale)
    before = randn(2, batch, heads, past, hidden // heads)
    mask = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]], np.int32)
    check_op("QAttention", *inputs, None, np.uint8(120), zero, **options)
    check_op("QAttention", *inputs, mask, np.uint8(120), zero, **options)
    check_op("QAttention", *inputs, np.array([3, 5], np.int32), np.uint8(120), zero, **options)
    check_op("QAttention", *inputs, None, np.uint8(120), zero, before, outputs=2, **options)


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
@pytest.mark.parametrize("segments", [False, True])
def test_embeddings(kind, segments):
    hidden = 8
    low = -128 if kind is np.int8 else 0
    words, positions, kinds = (randint(low, low + 256, n, hidden, dtype=kind) for n in (20, 9, 3))
    gamma, beta = (randint(low, low + 256, hidden, dtype=kind, seed=i) for i in (1, 2))
    scales = [np.float32(v) for v in (0.02, 0.03, 0.05, 0.01, 0.07)]
    zeros = [kind(low + v) for v in (120, 130, 100, 0, 128)]
    ids = randint(0, 20, 2, 6, dtype=np.int32)
    part = randint(0, 3, 2, 6, dtype=np.int32, seed=1)
    if not segments:
        kinds = part = scales[2] = zeros[2] = None
    for mask in (None, np.array([[1, 1, 1, 0, 0, 0], [1] * 6], np.int32)):
        check_op("QEmbedLayerNormalization", ids, part, words, positions, kinds, gamma, beta, mask,
                 *scales, *zeros, ref="ort", outputs=2, epsilon=1e-6, length=8, **MS)  # fmt: skip


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_lstm(direction, per_column, kind):
    d = 2 if direction == "bidirectional" else 1
    steps, batch, inputs, hidden = 4, 3, 6, 5
    low, span = WEIGHTS[kind]
    shape = (d, 4 * hidden) if per_column else (d,)
    w = randint(low, low + span, d, inputs, 4 * hidden, dtype=kind)
    r = randint(low, low + span, d, hidden, 4 * hidden, dtype=kind, seed=1)
    s, t = (np.abs(randn(*shape, seed=i)) * np.float32(0.004) + np.float32(0.001) for i in (1, 2))
    zero = np.full(shape, low + span // 2, kind)
    x, bias = randn(steps, batch, inputs), randn(d, 8 * hidden)
    h, c = randn(d, batch, hidden), randn(d, batch, hidden, seed=1)
    p, lengths = randn(d, 3 * hidden), np.array([4, 2, 3], np.int32)

    def plain(weights, scale):
        scale = scale.reshape(d, 1, -1)
        wide = (weights.astype(np.float32) - np.float32(low + span // 2)) * scale
        return np.ascontiguousarray(wide.transpose(0, 2, 1))

    options = {"hidden_size": hidden, "direction": direction, "outputs": 3}
    expected = run_op("LSTM", x, plain(w, s), plain(r, t), bias, lengths, h, c, p, **options)
    args = (x, w, r, bias, lengths, h, c, p, s, zero, t, zero)
    check_op("DynamicQuantizeLSTM", *args, ref=expected, length=16, **options, **MS)
    # ONNX Runtime rounds what meets the weights to 8 bits: close, no more.
    names = {"hidden_size": hidden, "direction": direction}
    model = make_model("DynamicQuantizeLSTM", args, outputs=3, attrs=names, **MS)
    feeds = {f"x{i}": value for i, value in enumerate(args)}
    theirs = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    for a, b in zip(expected, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=0.05)


@pytest.mark.parametrize("kind", [np.uint16, np.int16, ml_dtypes.uint4, ml_dtypes.int4])
def test_wide_and_narrow_integers(kind):
    x, scale = randn(4, 6) * np.float32(3), np.float32(0.5)
    axis = np.abs(randn(6)) + np.float32(0.2)
    limits = ml_dtypes.iinfo(kind)

    def narrow(scales, zero):
        rounded = np.rint(x / scales) + np.float32(zero)
        return np.clip(rounded, limits.min, limits.max).astype(kind)

    check_op("QuantizeLinear", x, scale, kind(3), ref=narrow(scale, 3), **MS)
    twos = np.full(6, 2).astype(kind)
    check_op("QuantizeLinear", x, axis, twos, ref=narrow(axis, 2), axis=1, **MS)
    codes = narrow(scale, 3)
    zero = np.asarray(3).astype(kind)
    for inputs, attrs in (
        ((codes, scale, zero), {}),
        ((codes, scale), {}),
        ((codes, axis, twos), {"axis": 1}),
    ):
        expected = ort_with_constants("DequantizeLinear", inputs, (0, 1, 2), **attrs)
        check_op("DequantizeLinear", *inputs, ref=expected, **attrs, **MS)


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_quantised_mean(kind, keepdims):
    x = randint(0, 120, 3, 4, 5, dtype=kind)
    number = (x.astype(np.float32) - np.float32(3)) * np.float32(0.05)
    mean = number.mean((0, 2), keepdims=bool(keepdims))
    limits = np.iinfo(kind)
    expected = np.clip(np.rint(mean / np.float32(0.04)) + 7, limits.min, limits.max).astype(kind)
    check_op("QLinearReduceMean", x, np.float32(0.05), kind(3), np.float32(0.04), kind(7),
             ref=expected, axes=[0, 2], keepdims=keepdims, **MS)  # fmt: skip
