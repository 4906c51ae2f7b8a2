"""Attention of com.microsoft over caches in the forms that decoders are exported with."""

import numpy as np
import pytest
from helpers import check_op, compare, expect_error, make_model, randint, randn, run_op

import sardonyx

MS = {"domain": "com.microsoft"}
ORT = MS | {"ref": "ort"}


def kept_rows(total, capacity, window):
    """How many of the last rows a cache that slides keeps."""
    if total <= capacity:
        return total
    dropped = capacity - window + 1
    return total - dropped * -(-(total - capacity) // dropped)


def in_ort(model, feeds):
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("rows", "totals", "capacity", "window"),
    [
        (4, [4], 6, 3),  # a prompt that fits
        (9, [9], 6, 3),  # one that does not
        (1, [7], 6, 3),  # the cache is full
        (1, [6, 2, 23], 6, 2),
        (3, [12], 4, 4),
        (7, [11], 5, 1),
    ],
)
def test_caches_that_slide(rows, totals, capacity, window, bias):
    batch, heads, kv_heads, width = len(totals), 4, 2, 16
    q = randn(batch, rows, heads * width)
    k, v = (randn(batch, rows, kv_heads * width, seed=i) for i in (1, 2))
    past = [randn(batch, kv_heads, capacity, width, seed=i) for i in (3, 4)]
    lengths = [np.array(totals, np.int32) - 1, np.array(max(totals), np.int32)]
    angles = [randn(32, width // 2, seed=i) for i in (5, 6)]
    inputs = [q, k, v, *past, *lengths, *angles]
    if bias:
        inputs += [None, randn(batch, 1, rows, max(totals))]
    attrs = {
        "num_heads": heads,
        "kv_num_heads": kv_heads,
        "local_window_size": window,
        "sliding_window_cache": 1,
        "do_rotary": 1,
    }
    model = make_model("GroupQueryAttention", inputs, outputs=3, attrs=attrs, **MS)
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    expected, actual = in_ort(model, feeds), sardonyx.load(model).run(None, feeds)
    compare(expected[0], actual[0], "attention", length=width)
    for e, a in zip(expected[1:], actual[1:], strict=True):
        assert a.shape == e.shape
        for i, total in enumerate(totals):  # rows behind those that are kept may hold anything
            kept = kept_rows(total, capacity, window)
            compare(e[i, :, :kept], a[i, :, :kept], "cache")


def test_caches_that_slide_are_those_of_one_row_at_a_time():
    """However rows come, a cache holds the same, in the memory of the one before too."""
    width, capacity, window = 16, 5, 3
    attrs = {
        "num_heads": 2,
        "kv_num_heads": 1,
        "local_window_size": window,
        "sliding_window_cache": 1,
    }
    q, k, v = randn(1, 12, 2 * width), randn(1, 12, width, seed=1), randn(1, 12, width, seed=2)
    empty = np.zeros((1, 1, capacity, width), np.float32)

    def run(cache, begin, end, session=None):
        lengths = [np.array([end - 1], np.int32), np.array(end, np.int32)]
        inputs = [x[:, begin:end] for x in (q, k, v)] + [*cache, *lengths]
        model = make_model("GroupQueryAttention", inputs, outputs=3, attrs=attrs, **MS)
        y, *cache = sardonyx.load(model).run(None, {f"x{i}": x for i, x in enumerate(inputs)})
        return y, cache

    whole, at_once = run([empty, empty], 0, 12)
    cache = [empty, empty]
    for i in range(12):
        y, cache = run(cache, i, i + 1)
        np.testing.assert_allclose(y, whole[:, i : i + 1], rtol=1e-5, atol=1e-6)
    kept = kept_rows(12, capacity, window)
    for one, other in zip(cache, at_once, strict=True):
        np.testing.assert_array_equal(one[:, :, :kept], other[:, :, :kept])


@pytest.mark.parametrize("per_channel", [False, True])
def test_codes_in_caches_that_slide(per_channel):
    width, kv_heads, capacity = 32, 2, 6
    kind = "PER_CHANNEL" if per_channel else "PER_TENSOR"
    scale = np.full(kv_heads * width if per_channel else 1, 0.02, np.float32)
    options = {"k_quant_type": kind, "v_quant_type": kind, "kv_cache_bit_width": 8}
    inputs = [randn(1, 1, 4 * width), randn(1, 1, kv_heads * width), randn(1, 1, kv_heads * width)]
    inputs += [randint(-127, 128, 1, kv_heads, capacity, width, dtype=np.int8) for _ in range(2)]
    inputs += [np.array([8], np.int32), np.array(9, np.int32), *[None] * 5, scale, scale]
    attrs = {"num_heads": 4, "kv_num_heads": kv_heads, "local_window_size": 3,
             "sliding_window_cache": 1} | options  # fmt: skip
    model = make_model("GroupQueryAttention", inputs, outputs=3, attrs=attrs, **MS)
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    expected, actual = in_ort(model, feeds), sardonyx.load(model).run(None, feeds)
    compare(expected[0], actual[0], "attention", length=width)
    kept = kept_rows(9, capacity, 3)
    for e, a in zip(expected[1:], actual[1:], strict=True):
        np.testing.assert_array_equal(e[:, :, :kept], a[:, :, :kept])


def test_caches_that_slide_refuse_what_does_not_fit():
    q, cache = randn(1, 1, 16), randn(1, 1, 2, 16)
    lengths = [np.array([1], np.int32), np.array(2, np.int32)]
    options = MS | {"num_heads": 1, "kv_num_heads": 1, "sliding_window_cache": 1}
    args = ("GroupQueryAttention", q, q, q, cache, cache, *lengths)
    expect_error(*args, match="a cache of 2 rows", local_window_size=3, outputs=3, **options)
    expect_error(*args, match="local_window_size of -1", outputs=3, **options)
    expect_error(*args, match="not supported", local_window_size=2, qk_output=1, outputs=4,
                 **options)  # fmt: skip
    expect_error("GroupQueryAttention", q, q, q, None, None, *lengths, match="without a past",
                 local_window_size=2, outputs=3, **options)  # fmt: skip


def test_codes_of_shorter_sequences():
    """Rows of a cache behind those of a sequence take no part, whatever was in the memory."""
    options = {"k_quant_type": "PER_TENSOR", "v_quant_type": "PER_TENSOR", "kv_cache_bit_width": 8}
    past = randint(-127, 128, 2, 1, 6, 16, dtype=np.int8)
    scale = np.array([0.02], np.float32)
    rows = [randn(2, 1, 32), randn(2, 1, 16), randn(2, 1, 16, seed=1)]
    inputs = [*rows, past, past, np.array([5, 2], np.int32), np.array(6, np.int32)]
    check_op("GroupQueryAttention", *inputs, *[None] * 5, scale, scale, outputs=3, length=16,
             num_heads=2, kv_num_heads=1, **options, **ORT)  # fmt: skip


@pytest.mark.parametrize("interleaved", [0, 1])
def test_positions_of_a_prompt(interleaved):
    """Those of a prompt follow the first that is given, as the operator's description says."""
    rows = [randn(2, 3, 32), randn(2, 3, 16), randn(2, 3, 16, seed=1)]
    lengths = [np.array([2, 2], np.int32), np.array(3, np.int32)]
    positions = np.array([[2, 7, 1], [5, 0, 3]])
    check_op("GroupQueryAttention", *rows, None, None, *lengths, randn(9, 8), randn(9, 8, seed=1),
             positions, outputs=3, length=16, num_heads=2, kv_num_heads=1, do_rotary=1,
             rotary_interleaved=interleaved, **ORT)  # fmt: skip


@pytest.mark.parametrize("length", [0, 2, 5])
@pytest.mark.parametrize("masked", [False, True])
def test_projected_attention_over_a_cache_with_room(length, masked):
    """The same as over the rows that are there. No processor of ONNX Runtime's own runs it."""
    batch, rows, heads, width, room = 2, 3, 2, 4, 9
    x, w, b = randn(batch, rows, 8), randn(8, 3 * heads * width), randn(3 * heads * width)
    cache = randn(2, batch, heads, room, width)
    mask = randint(0, 2, batch, length + rows, dtype=np.int32) | 1 if masked else None
    attrs = {"num_heads": heads, "unidirectional": 1}
    y, present = run_op("Attention", x, w, b, mask, cache[..., :length, :], outputs=2, **attrs,
                        **MS)  # fmt: skip
    expected = cache.copy()
    expected[..., : length + rows, :] = present
    check_op("Attention", x, w, b, mask, cache, None, np.array([length], np.int32), outputs=2,
             ref=(y, expected), past_present_share_buffer=1, **attrs, **MS)  # fmt: skip
    expect_error("Attention", x, w, b, match="do_rotary", do_rotary=1, num_heads=heads, **MS)
