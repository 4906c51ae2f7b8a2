"""LinearAttention and CausalConvWithState."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randn

HALVES = [np.float16, ml_dtypes.bfloat16]


def linear_attention(q, k, v, past, decay, beta, *, heads, kv_heads, scale):
    """The recurrence as the standard states it, in double precision."""
    batch, time = q.shape[:2]
    split = lambda x, n: x.astype(np.float64).reshape(batch, time, n, x.shape[2] // n)  # noqa: E731
    q4, k4, v4 = split(q, heads), split(k, kv_heads), split(v, kv_heads)
    state = np.zeros((batch, kv_heads, k4.shape[-1], v4.shape[-1]))
    if past is not None:
        state = past.astype(np.float64)
    rows = []
    for t in range(time):
        kt, vt = k4[:, t], v4[:, t]
        if decay is not None:
            state = state * np.exp(split(decay, kv_heads)[:, t])[..., None]
        if beta is not None:
            vt = vt - np.einsum("bhdm,bhd->bhm", state, kt)
            vt = vt * beta.astype(np.float64)[:, t, :, None]
        state = state + kt[..., None] * vt[..., None, :]
        shared = np.repeat(state, heads // kv_heads, axis=1)
        rows.append(np.einsum("bhd,bhdm->bhm", q4[:, t], shared))
    y = np.stack(rows, 1) if rows else np.zeros((batch, 0, heads, v4.shape[-1]))
    scale = scale or 1 / np.sqrt(k4.shape[-1])
    kind = q.dtype if past is None else past.dtype
    return (scale * y).reshape(batch, time, heads * y.shape[3]).astype(q.dtype), state.astype(kind)


def operands(rule, time, by_row, one_beta, heads, kv_heads, dtype=np.float32):
    q, k = randn(2, time, heads * 4), randn(2, time, kv_heads * 4, seed=1) / 2
    decay = -np.abs(randn(2, time, kv_heads * (4 if by_row else 1)))
    beta = 1 / (1 + np.exp(-randn(2, time, 1 if one_beta else kv_heads)))
    values = [q, k, randn(2, time, kv_heads * 3, seed=2)]
    gates = [decay if "gated" in rule else None, beta if "delta" in rule else None]
    cast = lambda x: None if x is None else x.astype(dtype)  # noqa: E731
    return [cast(x) for x in values], [cast(x) for x in gates]


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
def test_linear_attention(rule):
    for time, heads, with_past, by_row in itertools.product([1, 5], [2, 4], [0, 1], [0, 1]):
        values, gates = operands(rule, time, by_row, by_row, heads, 2)
        past = randn(2, 2, 4, 3) if with_past else None
        expected = linear_attention(*values, past, *gates, heads=heads, kv_heads=2, scale=0)
        check_op("LinearAttention", *values, past, *gates, ref=expected, opset=27, outputs=2,
                 q_num_heads=heads, kv_num_heads=2, update_rule=rule, length=8)  # fmt: skip


def test_linear_attention_types():
    options = {"opset": 27, "q_num_heads": 2, "kv_num_heads": 2, "length": 4}
    sizes = {"heads": 2, "kv_heads": 2, "scale": 0.5}
    for dtype, past_type in [(d, p) for d in HALVES for p in [d, np.float32]]:
        values, gates = operands("gated_delta", 3, False, False, 2, 2, dtype)
        past = randn(2, 2, 4, 3).astype(past_type)
        expected = linear_attention(*values, past, *gates, **sizes)
        check_op("LinearAttention", *values, past, *gates, ref=expected, outputs=2, scale=0.5,
                 **options)  # fmt: skip
    values, gates = operands("gated_delta", 3, False, False, 2, 2)
    only = linear_attention(*values, None, *gates, **sizes)[0]
    check_op("LinearAttention", *values, None, *gates, ref=only, scale=0.5, **options)
    values, gates = operands("linear", 0, False, False, 2, 2)
    expected = linear_attention(*values, None, *gates, **sizes)
    check_op("LinearAttention", *values, ref=expected, outputs=2, update_rule="linear", **options)


def test_linear_attention_refuses():
    (q, k, v), (decay, beta) = operands("gated_delta", 2, False, False, 4, 2)
    options = {"opset": 27, "q_num_heads": 4, "kv_num_heads": 2}
    refuse = lambda *x, **o: expect_error("LinearAttention", *x, **(options | o))  # noqa: E731
    refuse(q, k, v, None, decay, beta, kv_num_heads=3, match="cannot share")
    refuse(q, k, v, None, None, beta, match="decay do not fit")
    refuse(q, k, v, None, decay, beta, update_rule="gated", match="beta do not fit")
    refuse(q, k, v, None, decay, beta, update_rule="other", match="none of linear")
    refuse(q, k, v, randn(2, 2, 3, 3), decay, beta, match="past_state|shape")
    refuse(q, k, v, None, decay[:, :1], beta, match="input 4 has shape")
    refuse(q, k[..., :6], v, None, decay, beta, match="queries of size|do not fit")


def causal_conv(x, w, bias, past, activation):
    kept = w.shape[2] - 1
    if past is None:
        past = np.zeros((*x.shape[:2], kept), x.dtype)
    wide = np.concatenate([past, x], 2)
    y = sum(
        w[:, 0, j, None].astype(np.float64) * wide[:, :, j : j + x.shape[2]].astype(np.float64)
        for j in range(w.shape[2])
    )
    if bias is not None:
        y = y + bias.astype(np.float64)[:, None]
    if activation != "none":
        y = y / (1 + np.exp(-y))
    return y.astype(x.dtype), wide[:, :, wide.shape[2] - kept :]


def test_causal_conv():
    for length, taps, activation in itertools.product([0, 1, 2, 7], [1, 2, 4], ["none", "silu"]):
        x, w = randn(2, 3, length), randn(3, 1, taps)
        for bias, past in [(None, None), (randn(3), randn(2, 3, taps - 1))]:
            expected = causal_conv(x, w, bias, past, activation)
            check_op("CausalConvWithState", x, w, bias, past, ref=expected, opset=27, outputs=2,
                     activation=activation, length=taps)  # fmt: skip
    for dtype in HALVES:
        inputs = [
            a.astype(dtype) for a in (randn(2, 3, 5), randn(3, 1, 4), randn(3), randn(2, 3, 3))
        ]
        expected = causal_conv(*inputs, "swish")
        check_op("CausalConvWithState", *inputs, ref=expected, opset=27, outputs=2, length=4,
                 activation="swish")  # fmt: skip
        check_op("CausalConvWithState", *inputs, ref=expected[0], opset=27, activation="silu",
                 length=4)  # fmt: skip


def test_causal_conv_refuses():
    x, w = randn(2, 3, 5), randn(3, 1, 4)
    refuse = lambda *a, **o: expect_error("CausalConvWithState", *a, opset=27, **o)  # noqa: E731
    refuse(x, randn(2, 1, 4), match="weights of shape")
    refuse(x, w, randn(2), match="input 2 has shape")
    refuse(x, w, None, randn(2, 3, 4), match="past_state has shape")
    refuse(x, w, activation="relu", match="none of silu")
