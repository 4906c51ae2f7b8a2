"""Attentions of com.microsoft that are made of others: of one query, and to blocks of keys."""

import numpy as np
import pytest
from helpers import check_op, compare, expect_error, make_model, randint, randn, run_op

import sardonyx

MS = {"domain": "com.microsoft"}
ORT = MS | {"ref": "ort"}


def decoder_inputs(batch=4, heads=2, width=8, room=9, length=5):
    rows = [randn(batch, 1, heads * width, seed=i) for i in range(3)]
    caches = [randn(batch, heads, room, width, seed=i) for i in (3, 4)]
    return rows, caches, np.array([length], np.int32)


@pytest.mark.parametrize("length", [0, 5, 8])
@pytest.mark.parametrize("biased", [False, True])
def test_one_query_with_a_past(biased, length):
    rows, caches, past = decoder_inputs(length=length)
    mask = randint(0, 2, 4, length + 1, dtype=np.int32) | 1 if biased else None
    scores = randn(1, 2, 1, length + 1) if biased else None
    bias = randn(3 * 16) if biased else None
    inputs = (*rows, mask, scores, *caches, past, None, None, bias)
    options = {"num_heads": 2, "past_present_share_buffer": 1, "length": 8}
    check_op("DecoderMaskedMultiHeadAttention", *inputs, outputs=3, **options, **ORT)


def test_one_query_of_beams():
    """The rows of the past that each beam chose."""
    rows, caches, past = decoder_inputs()
    mask, scores = np.ones((4, 6), np.int32), randn(1, 2, 1, 6)
    chosen = randint(0, 2, 2, 2, 9, dtype=np.int32)
    inputs = (*rows, mask, scores, *caches, past, np.array([2], np.int32), chosen)
    options = {"num_heads": 2, "past_present_share_buffer": 1, "scale": 0.3, "length": 8}
    check_op("DecoderMaskedMultiHeadAttention", *inputs, outputs=3, **options, **ORT)


@pytest.mark.parametrize("masked", [False, True])
def test_one_query_to_another_sequence(masked):
    q, k, v = randn(2, 1, 16), randn(2, 2, 7, 8), randn(2, 2, 7, 8, seed=1)
    mask = randint(0, 2, 2, 7, dtype=np.int32) | 1 if masked else None
    inputs = (q, k, v, mask, *[None] * 6, randn(48))
    check_op("DecoderMaskedMultiHeadAttention", *inputs, num_heads=2, length=8, **ORT)


def test_one_packed_query():
    """Side by side, which no processor of ONNX Runtime's own reads, over a past of its length."""
    rows, caches, _ = decoder_inputs()
    expected = run_op("MultiHeadAttention", *rows, None, None, None, *caches, outputs=3,
                      num_heads=2, **MS)  # fmt: skip
    packed = np.concatenate(rows, -1)
    check_op("DecoderMaskedMultiHeadAttention", packed, *[None] * 4, *caches, outputs=3,
             ref=tuple(expected), num_heads=2, **MS)  # fmt: skip
    expect_error("DecoderMaskedMultiHeadAttention", packed, *[None] * 4, *caches, num_heads=2,
                 match="past_sequence_length", past_present_share_buffer=1, **MS)  # fmt: skip
    expect_error("DecoderMaskedMultiHeadAttention", packed, rows[1], match="go together",
                 num_heads=2, **MS)  # fmt: skip


# Two layouts of 4 x 4 blocks, of 8 and of 7 blocks of keys.
LAYOUTS = np.array([
    [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]],
    [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]],
])  # fmt: skip
BLOCK = 16


def compressed_rows():
    counts = LAYOUTS.sum(2)
    rows = np.concatenate([np.zeros((2, 1), int), counts.cumsum(1)], 1).astype(np.int32)
    columns = np.full((2, int(counts.sum(1).max())), -1, np.int32)
    for i, layout in enumerate(LAYOUTS):
        columns[i, : rows[i, -1]] = np.nonzero(layout)[1]
    return rows, columns


def block_sparse(q, k, v, lengths):
    """The definition: heads take the layouts in turn, keys behind a query take no part."""
    batch, heads, queries, width = q.shape
    groups = heads // k.shape[1]
    y = np.zeros((batch, queries, heads * width))
    for b, h in np.ndindex(batch, heads):
        keys, values = k[b, h // groups], v[b, h // groups]
        for i in range(queries):
            place = lengths[b] - queries + i
            met = np.arange(place + 1)
            met = met[LAYOUTS[h % 2][place // BLOCK, met // BLOCK] == 1]
            scores = keys[met] @ q[b, h, i] / np.sqrt(width)
            weights = np.exp(scores - scores.max())
            y[b, i, h * width : (h + 1) * width] = weights @ values[met] / weights.sum()
    return y


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("queries", "lengths"), [(40, [40, 40]), (1, [17, 64]), (3, [50, 36])])
def test_attention_to_blocks(queries, lengths, packed):
    heads, kv_heads, width, room = 4, 2, 16, 64
    batch = len(lengths)
    q = randn(batch, heads, queries, width)
    k, v = (randn(batch, kv_heads, queries, width, seed=i) for i in (1, 2))
    caches = [randn(batch, kv_heads, room, width, seed=i) for i in (3, 4)]
    present = [cache.copy() for cache in caches]
    for fresh, cache in zip((k, v), present, strict=True):
        for b, length in enumerate(lengths):
            cache[b, :, length - queries : length] = fresh[b]
    expected = block_sparse(q, *present, lengths)
    given = [x.transpose(0, 2, 1, 3).reshape(batch, queries, -1) for x in (q, k, v)]
    if packed:
        given = [np.concatenate(given, -1), None, None]
    total = np.array([max(lengths)], np.int32)
    inputs = [*given, *caches, *compressed_rows(), total, np.array(lengths, np.int32)]
    attrs = {"num_heads": heads, "kv_num_heads": kv_heads, "sparse_block_size": BLOCK}
    model = make_model("SparseAttention", inputs, outputs=3, attrs=attrs, **MS)
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    y, *kept = sardonyx.load(model).run(None, feeds)
    compare(expected.astype(np.float32), y, "attention", length=width)
    for cache, wanted in zip(kept, present, strict=True):
        for b, length in enumerate(lengths):  # rows behind may hold anything
            np.testing.assert_array_equal(cache[b, :, :length], wanted[b, :, :length])
    check_op("SparseAttention", *inputs, outputs=["y0", "", ""], ref=expected, length=width,
             **attrs, **MS)  # fmt: skip


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize(("queries", "lengths"), [(40, [40, 40]), (1, [50, 50])])
def test_attention_to_blocks_with_angles(queries, lengths, interleaved):
    """As in ONNX Runtime, which wants the caches to lie in one buffer with what they become, and
    of sequences shorter than the longest reads scores that it did not write."""
    onnxruntime = pytest.importorskip("onnxruntime")
    batch, width = len(lengths), 16
    rows = [randn(batch, queries, n * width, seed=n) for n in (4, 2)]
    caches = [randn(batch, 2, 64, width, seed=i) for i in (3, 4)]
    angles = [randn(64, width // 2, seed=i) for i in (5, 6)]
    total = np.array([max(lengths)], np.int32)
    inputs = [rows[0], rows[1], rows[1] + 1, *caches, *compressed_rows(), total,
              np.array(lengths, np.int32), *angles]  # fmt: skip
    attrs = {"num_heads": 4, "kv_num_heads": 2, "sparse_block_size": BLOCK, "do_rotary": 1,
             "rotary_interleaved": interleaved, "scale": 0.2}  # fmt: skip
    model = make_model("SparseAttention", inputs, outputs=3, attrs=attrs, **MS)
    feeds = {f"x{i}": x for i, x in enumerate(inputs)}
    y, key_cache, value_cache = sardonyx.load(model).run(None, feeds)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    binding = session.io_binding()
    values = {n: onnxruntime.OrtValue.ortvalue_from_numpy(x.copy()) for n, x in feeds.items()}
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    binding.bind_output("y0")
    binding.bind_ortvalue_output("y1", values["x3"])
    binding.bind_ortvalue_output("y2", values["x4"])
    session.run_with_iobinding(binding)
    compare(binding.get_outputs()[0].numpy(), y, "attention", length=width)
    for name, cache in (("x3", key_cache), ("x4", value_cache)):
        for b, length in enumerate(lengths):
            wanted = values[name].numpy()[b, :, :length]
            compare(wanted, cache[b, :, :length], "cache", length=2)


def test_attention_to_blocks_refuses():
    q, cache = randn(1, 1, 32), randn(1, 1, 80, 16)
    rows, columns = compressed_rows()
    attrs = {"num_heads": 1, "kv_num_heads": 1, "sparse_block_size": BLOCK}
    inputs = [q, q[..., :16], q[..., :16], cache, cache, rows, columns]
    lengths = [np.array([70], np.int32), np.array([70], np.int32)]
    expect_error("SparseAttention", *inputs, match="input 7 is missing", **attrs, **MS)
    expect_error("SparseAttention", q[..., :16], *inputs[1:], *lengths, match="index",
                 **attrs, **MS)  # fmt: skip
    expect_error("SparseAttention", *inputs, *lengths, match="sparse_block_size is 0",
                 **(attrs | {"sparse_block_size": 0}), **MS)  # fmt: skip
