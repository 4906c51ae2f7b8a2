"""The operators of linear attention and MRotaryEmbedding of com.microsoft."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

ORT = {"domain": "com.microsoft", "ref": "ort"}
MS = {"domain": "com.microsoft"}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_gate(dtype):
    a, b = randn(2, 5, 4, dtype=dtype), randn(2, 5, 4, dtype=dtype, seed=1)
    bias, scale = randn(4), -np.abs(randn(4, seed=1))
    check_op("LinearAttentionGate", a, bias, scale, **ORT)
    check_op("LinearAttentionGate", a, bias, scale, b, outputs=2, **ORT)
    expect_error("LinearAttentionGate", a, bias, scale, match="needs input 3", outputs=2, **MS)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rotation(dtype, layout, interleaved):
    batch, rows, heads, width = 2, 5, 3, 16
    angles = randn(20, width // 2)
    cos, sin = np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)
    positions = randint(0, 20, 3, batch, rows)
    options = ORT | {"mrope_layout": layout, "interleaved": interleaved, "num_heads": heads}
    x = randn(batch, rows, heads * width, dtype=dtype)
    for section in ([4, 2, 2], [2, 3, 3], [8, 0, 0]):
        check_op("MRotaryEmbedding", x, positions, cos, sin, mrope_section=section, **options)
    heads_first = randn(batch, heads, rows, width, dtype=dtype)
    options["mrope_section"] = [4, 2, 2]
    check_op("MRotaryEmbedding", heads_first, positions, cos, sin, **options)
    part = np.ascontiguousarray(cos[:, :4]), np.ascontiguousarray(sin[:, :4])
    options |= {"mrope_section": [2, 1, 1], "rotary_embedding_dim": 8}
    check_op("MRotaryEmbedding", x, positions, *part, **options)


@pytest.mark.parametrize("dim", [0, 4])
def test_scaled_rotation(dim):
    """The scale is that of what turns; packed batches are as others, as in ONNX Runtime."""
    x, positions = randn(2, 3, 16), randint(0, 5, 3, 2, 3)
    pairs = (dim or 8) // 2
    attrs = {"num_heads": 2, "rotary_embedding_dim": dim, "is_packed_batching": 1}
    tables = randn(5, pairs), randn(5, pairs, seed=1)
    check_op("MRotaryEmbedding", x, positions, *tables, scale=0.5,
             mrope_section=[1, 1, pairs - 2], **attrs, **ORT)  # fmt: skip
    check_op("RotaryEmbedding", x, positions[0], *tables, **attrs, **ORT)


def test_rotation_refusals():
    x, positions, table = randn(1, 2, 8), np.zeros((3, 1, 2), np.int64), randn(4, 4)
    args = ("MRotaryEmbedding", x, positions, table, table)
    expect_error(*args, match="3 entries|expected 3", mrope_section=[2, 2], **MS)
    expect_error(*args, match="5 pairs|do not broadcast", mrope_section=[2, 2, 1], **MS)
    expect_error("MRotaryEmbedding", x, positions + 9, table, table, match="out of range",
                 mrope_section=[2, 1, 1], **MS)  # fmt: skip


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 2), (4, 2), (2, 4)])
def test_linear_attention(heads, kv_heads, rule):
    batch, size, values = 2, 4, 6
    past = randn(batch, kv_heads, size, values)
    for rows in (1, 5):
        q, v = randn(batch, rows, heads * size), randn(batch, rows, kv_heads * values)
        k = randn(batch, rows, kv_heads * size) * np.float32(0.4)
        decay = -np.abs(randn(batch, rows, kv_heads)) if "gated" in rule else None
        beta = np.abs(randn(batch, rows, kv_heads)) * np.float32(0.3) if "delta" in rule else None
        options = ORT | {"q_num_heads": heads, "kv_num_heads": kv_heads, "update_rule": rule}
        for before in (None, past):
            check_op("LinearAttention", q, k, v, before, decay, beta, outputs=2, length=16,
                     **options)  # fmt: skip


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("channels_last", [0, 1])
@pytest.mark.parametrize("activation", ["none", "silu"])
def test_causal_convolution(activation, channels_last, dilation):
    batch, channels, taps = 2, 5, 4
    kept = (taps - 1) * dilation
    weights, bias = randn(channels, 1, taps), randn(channels)
    options = ORT | {"activation": activation, "outputs": 2}
    if dilation > 1:
        options["dilation"] = dilation
    if channels_last:
        options["channels_last"] = 1
    for length in (1, 3, 9):
        x, past = randn(batch, channels, length), randn(batch, channels, kept)
        if channels_last:
            x, past = (np.ascontiguousarray(each.transpose(0, 2, 1)) for each in (x, past))
        for before in (None, past):
            check_op("CausalConvWithState", x, weights, bias, before, **options)
            check_op("CausalConvWithState", x, weights, None, before, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_gated_operators(dtype):
    x, gate = randn(2, 3, 12, dtype=dtype), randn(2, 3, 12, dtype=dtype, seed=1)
    for width in (12, 4):
        scale = randn(width, dtype=dtype)
        for activation in ("silu", "sigmoid"):
            check_op("GatedRMSNorm", x, scale, gate, activation=activation, **ORT)
    nothing = np.zeros((2, 0, 12), dtype)
    check_op("GatedRMSNorm", nothing, randn(4, dtype=dtype), nothing, **ORT)
    column = randn(2, 3, 1, dtype=dtype)
    check_op("GatedAdd", x, gate, column, **ORT)
    check_op("ScaledSiLU", x, alpha=1.5, **ORT)
    check_op("ScaledSiLU", x, np.asarray(0.7, dtype), **ORT)
    expect_error(
        "GatedRMSNorm", x, x[0, 0], gate, match="activation 'relu'", activation="relu", **MS
    )


def test_products_of_int16():
    a = randint(-3000, 3000, 2, 4, 5, dtype=np.int16)
    b = randint(-3000, 3000, 5, 3, dtype=np.int16, seed=1)
    expected = a.astype(np.int32) @ b.astype(np.int32)
    check_op("MatMulInteger16", a, b, ref=expected, **MS)
    check_op("MatMulInteger16", a, b, **ORT)
