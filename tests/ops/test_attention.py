"""Attention and rotary embeddings, against onnx.reference and onnxruntime."""

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from helpers import check_op, expect_error, make_model, randint, randn, run_op

import sardonyx

MS = {"domain": "com.microsoft", "ref": "ort"}


def attention(q, k, v, mask=None, past_k=None, past_v=None, causal=False, scale=None, softcap=0.0):
    """Heads first, in float64; returns the result and the keys and values with their past."""
    q, k, v = (t.astype(np.float64) for t in (q, k, v))
    past = 0
    if past_k is not None:
        past = past_k.shape[2]
        k = np.concatenate([past_k.astype(np.float64), k], 2)
        v = np.concatenate([past_v.astype(np.float64), v], 2)
    present = k, v
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    scores = q @ np.swapaxes(k, 2, 3) * (scale or 1 / np.sqrt(q.shape[3]))
    if softcap:
        scores = softcap * np.tanh(scores / softcap)
    if mask is not None:
        scores = scores + (np.where(mask, 0, -np.inf) if mask.dtype == bool else mask)
    if causal:
        rows, columns = np.indices(scores.shape[2:])
        scores = np.where(columns > rows + past, -np.inf, scores)
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - scores.max(3, keepdims=True))
        weights = np.nan_to_num(weights / weights.sum(3, keepdims=True))
    return weights @ v, *present


@pytest.mark.parametrize("heads", [(4, 4), (6, 2), (4, 1)])
@pytest.mark.parametrize("lengths", [(5, 5), (1, 70), (130, 200), (3, 9)])
def test_attention(heads, lengths):
    q, k, v = (
        randn(2, heads[0], lengths[0], 16),
        *(randn(2, heads[1], lengths[1], w, seed=w) for w in (16, 24)),
    )
    first = lambda *a, **kw: attention(*a, **kw)[0]  # noqa: E731
    check_op("Attention", q, k, v, ref=first, length=16)
    check_op("Attention", q, k, v, ref=attention(q, k, v, causal=True)[0], is_causal=1, length=16)
    check_op("Attention", q, k, v, ref=first, length=16, scale=0.5, softcap=2.0)
    mask = randn(2, 1, *lengths)
    check_op("Attention", q, k, v, mask, ref=first, length=16)
    some = randint(0, 3, *lengths) > 0
    some[0] = False
    check_op("Attention", q, k, v, some, ref=first, length=16)
    wide = [np.swapaxes(t, 1, 2).reshape(2, t.shape[2], -1) for t in (q, k, v)]
    y = np.swapaxes(first(q, k, v), 1, 2).reshape(2, lengths[0], -1)
    check_op("Attention", *wide, ref=y, q_num_heads=heads[0], kv_num_heads=heads[1], length=16)


def test_attention_with_a_past():
    q, k, v = randn(2, 6, 4, 16), randn(2, 2, 4, 16, seed=1), randn(2, 2, 4, 8, seed=2)
    past = randn(2, 2, 7, 16, seed=3), randn(2, 2, 7, 8, seed=4)
    expected = attention(q, k, v, None, *past, causal=True)
    check_op("Attention", q, k, v, None, *past, ref=expected, outputs=3, is_causal=1, length=16)
    check_op("Attention", q, k, v, None, *past, ref=expected[0], is_causal=1, length=16)
    check_op("Attention", q, k, v, ref=attention(q, k, v), outputs=3, length=16)
    empty = randn(2, 2, 0, 16), randn(2, 2, 0, 8)
    check_op("Attention", q, k, v, None, *empty, ref=attention(q, k, v), outputs=3, length=16)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_attention_of_16_bit_floats(dtype):
    q, k, v = (randn(1, 2, 5, 16, dtype=dtype, seed=i) for i in range(3))
    check_op("Attention", q, k, v, ref=attention(q, k, v)[0].astype(dtype))


def test_attention_that_does_not_fit():
    q, k, v = randn(1, 4, 5, 16), randn(1, 3, 6, 16), randn(1, 3, 6, 16)
    expect_error("Attention", q, k, v, match="4 query heads cannot share 3 key heads")
    k, v = randn(1, 4, 6, 8), randn(1, 4, 6, 16)
    expect_error("Attention", q, k, v, match="queries of size 16, keys of size 8|keys of 8")
    k = randn(1, 4, 6, 16)
    expect_error("Attention", q, k, v, randn(3, 6), match="a mask of shape")
    expect_error("Attention", randn(1, 5, 16), k[0], v[0], match="q_num_heads")


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding(interleaved):
    cos, sin = randn(20, 4), randn(20, 4, seed=1)
    positions = randint(0, 20, 2, 5)
    x = randn(2, 3, 5, 8)
    flat = np.ascontiguousarray(np.swapaxes(x, 1, 2)).reshape(2, 5, 24)
    options = {"interleaved": interleaved}
    check_op("RotaryEmbedding", x, cos, sin, positions, **options)
    check_op("RotaryEmbedding", flat, cos, sin, positions, num_heads=3, **options)
    check_op("RotaryEmbedding", x, cos[positions], sin[positions], **options)
    check_op(
        "RotaryEmbedding",
        randn(2, 3, 5, 10),
        cos,
        sin,
        positions,
        rotary_embedding_dim=8,
        **options,
    )
    for at in (positions, np.array([3])):
        check_op("RotaryEmbedding", x, at, cos, sin, **options, **MS)
        check_op("RotaryEmbedding", flat, at, cos, sin, **options, **MS)
    check_op(
        "RotaryEmbedding",
        randn(2, 5, 30),
        positions,
        cos,
        sin,
        num_heads=3,
        rotary_embedding_dim=8,
        **options,
        **MS,
    )
    expect_error("RotaryEmbedding", x, cos, sin, positions + 20, match=r"is outside \[0, 20\)")


def gqa(rows, past, batch=1, heads=4, kv_heads=2, width=16, packed=False, total=None, outputs=3,
        **attrs):  # fmt: skip
    q = randn(batch, rows, heads * width)
    k, v = (randn(batch, rows, kv_heads * width, seed=i) for i in (1, 2))
    inputs = [np.concatenate([q, k, v], 2), None, None] if packed else [q, k, v]
    inputs += (
        [randn(batch, kv_heads, past, width, seed=3), randn(batch, kv_heads, past, width, seed=4)]
        if past
        else [None, None]
    )
    total = total or [past + rows] * batch
    inputs += [np.array(total, np.int32) - 1, np.array(max(total), np.int32)]
    if attrs.get("do_rotary"):
        inputs += [randn(64, width // 2), randn(64, width // 2, seed=1)]
    check_op(
        "GroupQueryAttention",
        *inputs,
        num_heads=heads,
        kv_num_heads=kv_heads,
        outputs=outputs,
        length=width,
        **attrs,
        **MS,
    )


@pytest.mark.parametrize("packed", [False, True])
def test_group_query_attention(packed):
    for rows, past in [(7, 0), (1, 9), (1, 40)]:
        gqa(rows, past, packed=packed)
        gqa(rows, past, packed=packed, do_rotary=1)
        gqa(rows, past, packed=packed, do_rotary=1, rotary_interleaved=1, scale=0.3)
        gqa(rows, past, packed=packed, softcap=2.0)
        gqa(rows, past, packed=packed, smooth_softmax=1)
        gqa(rows, past, packed=packed, local_window_size=4)
        gqa(rows, past, packed=packed, heads=6, kv_heads=1, batch=2)
    gqa(5, 0, packed=packed, batch=2, total=[5, 3])
    gqa(1, 9, packed=packed, batch=2, total=[10, 7], do_rotary=1)
    gqa(1, 20, packed=packed, total=[10])  # a cache with room to spare


@pytest.mark.parametrize("kind", [1, 2])
def test_scores_of_group_query_attention(kind):
    """Biased scores or probabilities; zeros where a query does not meet a key."""
    for rows, past in [(7, 0), (1, 9), (3, 5)]:
        for attrs in [{}, {"softcap": 2.0}, {"local_window_size": 2}, {"smooth_softmax": 1}]:
            gqa(rows, past, outputs=4, qk_output=kind, packed=True, **attrs)
    gqa(1, 20, outputs=4, qk_output=kind, total=[10])  # less than the cache has room for
    q = randn(1, 3, 16)
    total = [np.array([2], np.int32), np.array(3, np.int32)]
    for match, attrs in [("without qk_output", {}), ("qk_output is 3", {"qk_output": 3})]:
        expect_error("GroupQueryAttention", q, q, q, None, None, *total, match=match, outputs=4,
                     num_heads=1, kv_num_heads=1, **attrs, **MS)  # fmt: skip


def test_group_query_attention_that_keeps_nothing():
    """The same attention without an output for keys and values (ONNX Runtime reads what it never
    wrote there)."""
    options = {"domain": "com.microsoft", "attrs": {"num_heads": 4, "kv_num_heads": 2}}
    for rows, past, total in [(5, 0, [5, 3]), (1, 9, [10, 7])]:
        inputs = [randn(2, rows, 64), randn(2, rows, 32, seed=1), randn(2, rows, 32, seed=2)]
        inputs += [randn(2, 2, past, 16, seed=i) for i in (3, 4)] if past else [None, None]
        inputs += [np.array(total, np.int32) - 1, np.array(max(total), np.int32)]
        feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
        kept, alone = (
            sardonyx.load(make_model("GroupQueryAttention", inputs, outputs=n, **options))
            for n in (3, 1)
        )
        np.testing.assert_array_equal(alone.run(None, feeds)[0], kept.run(None, feeds)[0])


def test_group_query_attention_refuses_lengths_outside_the_cache():
    q, k = randn(1, 1, 8), randn(1, 1, 4, 8)
    total = np.array(5, np.int32)
    for length in (-5, -1, 17):
        expect_error(
            "GroupQueryAttention",
            q,
            q,
            q,
            k,
            k,
            np.array([length], np.int32),
            total,
            match="seqlens_k holds",
            outputs=3,
            domain="com.microsoft",
            num_heads=1,
            kv_num_heads=1,
        )


def mha(*inputs, outputs=1, **options):
    check_op("MultiHeadAttention", *inputs, num_heads=2, outputs=outputs, length=16,
             **(MS | options))  # fmt: skip


def test_multi_head_attention():
    q, k, v = randn(2, 5, 32), randn(2, 7, 32, seed=1), randn(2, 7, 48, seed=2)
    mha(q, k, v)
    mha(q, k, v, scale=0.5)
    mha(q, k, v, randn(112))
    mha(q, q, q, unidirectional=1)
    mask = np.ones((2, 7), np.int32)
    mask[1, 4:] = 0
    mha(q, k, v, None, mask)
    mha(q, k, v, None, np.array([7, 3], np.int32))
    for shape in [(2, 2, 5, 7), (1, 2, 5, 7), (1, 1, 5, 7)]:
        mha(q, k, v, randn(112), mask, randn(*shape))


def test_scores_of_multi_head_attention():
    """With biases and masks; ONNX Runtime's lowest number where a query does not meet a key."""

    def expected(q, k, v, bias=None, mask=None, scores=0.0, causal=False):
        q, k, v = (np.swapaxes(x.reshape(2, -1, 2, 16), 1, 2) for x in (q, k, v))
        if bias is not None:
            q, k, v = (x + bias[32 * i :][:32].reshape(2, 1, 16) for i, x in enumerate((q, k, v)))
        scores = q @ np.swapaxes(k, 2, 3) / 4 + scores
        if mask is not None:
            scores = scores + np.where(mask, 0, -10000)[:, None, None]
        if causal:
            unseen = np.triu(np.ones(scores.shape[2:], bool), 1)
            unseen[-1] = False
            scores = np.where(unseen, np.finfo(np.float32).min, scores)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        y = weights / weights.sum(-1, keepdims=True) @ v
        y = np.swapaxes(y, 1, 2).reshape(2, -1, 32)
        return y.astype(np.float32), scores.astype(np.float32)

    q, k, v = randn(2, 5, 32), randn(2, 7, 32, seed=1), randn(2, 7, 32, seed=2)
    mask = np.ones((2, 7), np.int32)
    mask[1, 4:] = 0
    outputs = ["y", "", "", "scores"]
    for inputs in [(q, k, v), (q, k, v, randn(96), mask, randn(1, 2, 5, 7))]:
        mha(*inputs, ref=expected(*inputs), outputs=outputs)
    for inputs in [(q, q, q), (q, k, v)]:
        mha(*inputs, unidirectional=1, ref=expected(*inputs, causal=True), outputs=outputs)


def test_last_query_of_others_keys():
    """The last one meets all of them in ONNX Runtime, whatever causality says."""
    q, k, v = randn(2, 3, 32), randn(2, 7, 32, seed=1), randn(2, 7, 32, seed=2)
    past = randn(2, 2, 4, 16, seed=4), randn(2, 2, 4, 16, seed=5)
    for rows in [1, 2, 3]:
        mha(q[:, :rows], k, v, unidirectional=1)
        mha(q[:, :rows], k, v, None, None, None, *past, outputs=3, unidirectional=1)


def test_multi_head_attention_over_other_layouts():
    q = randn(2, 5, 32)
    mha(q, randn(2, 2, 7, 16), randn(2, 2, 7, 16, seed=1))
    mha(q, randn(2, 2, 7, 16), randn(2, 2, 7, 16, seed=1), randn(96))
    # onnxruntime does not run these on the CPU.
    ours = {"domain": "com.microsoft", "num_heads": 2, "length": 16}

    def expected(*heads):
        y = attention(*(np.swapaxes(t, 1, 2) for t in heads))[0]
        return np.swapaxes(y, 1, 2).reshape(2, 5, 32)

    qkv, bias = randn(2, 5, 2, 3, 16), randn(96)
    parts = [qkv[:, :, :, i] for i in range(3)]
    check_op("MultiHeadAttention", qkv, ref=expected(*parts), **ours)
    shifted = [t + bias[32 * i : 32 * i + 32].reshape(2, 16) for i, t in enumerate(parts)]
    check_op("MultiHeadAttention", qkv, None, None, bias, ref=expected(*shifted), **ours)
    kv = randn(2, 7, 2, 2, 16)
    parts = [q.reshape(2, 5, 2, 16), kv[:, :, :, 0], kv[:, :, :, 1]]
    check_op("MultiHeadAttention", q, kv, ref=expected(*parts), **ours)


def test_multi_head_attention_with_a_past():
    q, k, v = (randn(2, 3, 32, seed=i) for i in range(3))
    past = randn(2, 2, 4, 16, seed=4), randn(2, 2, 4, 16, seed=5)
    mha(q, k, v, None, None, None, *past, outputs=3)
    mha(q, k, v, randn(96), None, randn(1, 2, 3, 7), *past, outputs=3)
    mha(q, k, v, outputs=3)
    expect_error(
        "MultiHeadAttention", q, k, v, domain="com.microsoft", match="for 5 heads", num_heads=5
    )


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("length", [0, 3, 4])
def test_multi_head_attention_over_caches_with_room(rows, length):
    """As ONNX Runtime has it: new rows are written behind the past, whose length is an input, and
    for one query the rows of the past are those that the beams chose."""
    q, k, v = (randn(4, rows, 16, seed=i) for i in range(3))
    caches = randn(4, 2, 6, 8, seed=3), randn(4, 2, 6, 8, seed=4)
    bias, mask = randn(48), np.ones((4, length + rows), np.int32)
    mask[0, 0] = length == 0
    past = np.array([length], np.int32)
    beams = randint(0, 2, 2, 2, 6, dtype=np.int32)
    for given in ((past,), (past, beams)):
        mha(q, k, v, None, None, None, *caches, *given, outputs=3)
        mha(q, k, v, bias, mask, None, *caches, *given, outputs=3)


@pytest.mark.parametrize("length", [-1, 5, 6])
def test_multi_head_attention_refuses_lengths_outside_the_cache(length):
    q, k, v = (randn(2, 2, 16) for _ in range(3))
    caches = randn(2, 2, 6, 8), randn(2, 2, 6, 8)
    expect_error(
        "MultiHeadAttention", q, k, v, None, None, None, *caches, np.array([length], np.int32),
        domain="com.microsoft", match=f"write index {length} is out of range", num_heads=2,
        outputs=3,
    )  # fmt: skip


def projected(*inputs, outputs=1, **attrs):
    check_op("Attention", *inputs, num_heads=2, outputs=outputs, length=64, **attrs, **MS)


def test_projected_attention():
    x, w, b = randn(2, 5, 24), randn(24, 96) / 4, randn(96)
    projected(x, w, b)
    projected(x, w, b, unidirectional=1)
    projected(x, w, b, scale=0.1, outputs=2)
    mask = np.ones((2, 5), np.int32)
    mask[1, 3:] = 0
    projected(x, w, b, mask)
    projected(x, w, b, np.array([5, 3], np.int32))
    projected(x, w, b, np.array([5, 3, 0, 1], np.int32))
    projected(x, w, b, np.tril(np.ones((2, 5, 5), np.int32)), mask_filter_value=-100.0)
    projected(x, w, b, None, None, randn(2, 2, 5, 5))
    projected(x, randn(24, 80) / 4, randn(80), qkv_hidden_sizes=[32, 32, 16])
    past = randn(2, 2, 2, 3, 16)
    projected(x, w, b, None, past, outputs=2, unidirectional=1)
    longer = np.ones((2, 8), np.int32)
    longer[0, 6:] = 0
    projected(x, w, b, longer, past, outputs=2)


def test_projected_attention_of_too_many_heads():
    options = {"domain": "com.microsoft", "match": "do not make queries"}
    for heads in (5, 2**63 - 1):
        expect_error("Attention", randn(1, 2, 8), randn(8, 24), num_heads=heads, **options)


def codes_of(x, scale, bits):
    most = 127 if bits == 8 else 7
    codes = np.clip(np.rint(x / scale), -most - 1, most)
    if bits == 8:
        return codes.astype(np.int8)
    codes = (codes + 8).astype(np.uint8)
    return codes[..., ::2] | codes[..., 1::2] << 4


def floats_of(codes, scale, bits):
    if bits == 4:
        codes = np.stack([codes & 15, codes >> 4], -1).reshape(*codes.shape[:-1], -1)
        codes = codes.astype(np.float32) - 8
    return codes.astype(np.float32) * scale


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("rows", "past"), [(1, 5), (6, 0), (3, 4)])
def test_group_query_attention_over_codes(rows, past, per_channel, bits):
    heads, kv_heads, width = 4, 2, 16
    shape = (1, kv_heads, 1, width) if per_channel else (1,)
    scales = [
        (np.abs(randn(*shape, seed=i)) + 2).astype(np.float32) / np.float32(127 if bits == 8 else 7)
        for i in (1, 2)
    ]
    q, k, v = (
        randn(1, rows, heads * width),
        *(randn(1, rows, kv_heads * width, seed=i) for i in (3, 4)),
    )
    old = [codes_of(randn(1, kv_heads, past, width, seed=i), scales[i - 1], bits) for i in (1, 2)]
    total = past + rows
    kind = "PER_CHANNEL" if per_channel else "PER_TENSOR"
    options = {"domain": "com.microsoft", "num_heads": heads, "kv_num_heads": kv_heads}
    lengths = np.array([total - 1], np.int32), np.array(total, np.int32)
    inputs = (q, k, v, *old, *lengths, *[None] * 5, *scales)
    codes = {"k_quant_type": kind, "v_quant_type": kind, "kv_cache_bit_width": bits}
    y, keys, values = run_op("GroupQueryAttention", *inputs, outputs=3, **options, **codes)
    fresh = [each.reshape(1, rows, kv_heads, width).transpose(0, 2, 1, 3) for each in (k, v)]
    for got, before, new, scale in zip((keys, values), old, fresh, scales, strict=True):
        np.testing.assert_array_equal(got[:, :, :past], before)
        np.testing.assert_array_equal(got[:, :, past:], codes_of(new, scale, bits))
    wide = [
        floats_of(each, scale, bits) for each, scale in zip((keys, values), scales, strict=True)
    ]
    last = [each[:, :, past:].transpose(0, 2, 1, 3).reshape(1, rows, -1) for each in wide]
    before = [np.ascontiguousarray(each[:, :, :past]) for each in wide]
    plain = run_op("GroupQueryAttention", q, *last, *before, *lengths, outputs=3, **options)
    np.testing.assert_allclose(y, plain[0], rtol=1e-5, atol=1e-5)
    model = make_model("GroupQueryAttention", inputs, outputs=3, domain="com.microsoft",
                       attrs={"num_heads": heads, "kv_num_heads": kv_heads, **codes})  # fmt: skip
    feeds = {f"x{i}": each for i, each in enumerate(inputs) if each is not None}
    theirs = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    np.testing.assert_allclose(y, theirs[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(keys, theirs[1])
    np.testing.assert_array_equal(values, theirs[2])


@pytest.mark.parametrize("mask", [None, np.bool_, np.float64, np.float32, np.int64, np.uint8])
@pytest.mark.parametrize("softcap", [0.0, 2.0])
def test_attention_in_float64(mask, softcap):
    q, k, v = (randn(2, h, n, w, dtype=np.float64, seed=n) for h, n, w in
               ((4, 5, 8), (2, 3, 8), (2, 3, 6)))  # fmt: skip
    past = randn(2, 2, 4, 8, dtype=np.float64), randn(2, 2, 4, 6, dtype=np.float64, seed=1)
    given = None if mask is None else randint(0, 2, 5, 7).astype(mask)
    if mask is np.bool_:
        given[:, 0] = True
    expected = attention(q, k, v, given, *past, causal=True, softcap=softcap)
    check_op("Attention", q, k, v, given, *past, ref=expected, outputs=3, is_causal=1,
             softcap=softcap)  # fmt: skip
    plain = attention(q, k, v)[0]
    check_op("Attention", q, k, v, ref=plain)
    check_op("Attention", q, k, v, scale=0.3)  # whose root is a float32
    wide = [np.swapaxes(t, 1, 2).reshape(2, t.shape[2], -1) for t in (q, k, v)]
    y = np.swapaxes(plain, 1, 2).reshape(2, 5, -1)
    check_op("Attention", *wide, ref=y, q_num_heads=4, kv_num_heads=2)


def test_attention_of_mixed_types():
    """Values and mask may have types of their own; integers are added to the scores."""
    q, k = randn(1, 2, 3, 8), randn(1, 2, 4, 8, seed=1)
    v = randn(1, 2, 4, 8, dtype=np.float64, seed=2)
    mask = randint(-2, 3, 3, 4).astype(np.int8)
    expected = attention(q, k, v, mask)[0].astype(np.float32)
    check_op("Attention", q, k, v, mask, ref=expected, length=8)


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
@pytest.mark.parametrize("window", [(-1, -1), (1, 1)])
def test_scores_in_float64_are_those_of_float32(mode, window):
    narrow = [randn(1, 2, 4, 8, seed=i) for i in range(3)]
    mask = randn(4, 4, seed=9)
    options = {
        "opset": 25,
        "outputs": ["y", "", "", "scores"],
        "qk_matmul_output_mode": mode,
        "softcap": 1.5,
        "left_window_size": window[0],
        "right_window_size": window[1],
    }
    expected = run_op("Attention", *narrow, mask, **options)
    wide = run_op("Attention", *(x.astype(np.float64) for x in (*narrow, mask)), **options)
    for e, a in zip(expected, wide, strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-6)
