"""Past and present in one buffer: the same results, written where they lie; refused elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import randn
from onnx import TensorProto, helper

import sardonyx

BATCH, HEADS, GROUP, WIDTH = 2, 2, 2, 8
F = TensorProto.FLOAT
PAST = ["past_k", "past_v"]
PRESENT = ["present_k", "present_v"]


def value(name: str, *shape: Any, dtype: int = F) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(
    nodes: list[Any], inputs: list[Any], outputs: tuple[str, ...] = ("y", *PRESENT), **options: Any
) -> sardonyx.Model:
    caches = [value(name, BATCH, HEADS, "past", WIDTH) for name in PAST]
    graph = helper.make_graph(
        nodes,
        "decoder",
        [*inputs, *caches],
        [helper.make_empty_tensor_value_info(o) for o in outputs],
    )
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return sardonyx.load(model, **options)


def heads_first(heads: int) -> tuple[Any, ...]:
    return BATCH, heads, "rows", WIDTH


def attention(**options: Any) -> sardonyx.Model:
    node = helper.make_node("Attention", ["q", "k", "v", "", *PAST], ["y", *PRESENT], is_causal=1)
    inputs = [
        value("q", *heads_first(HEADS * GROUP)),
        *(value(n, *heads_first(HEADS)) for n in "kv"),
    ]
    return model_of([node], inputs, **options)


def joined(**options: Any) -> sardonyx.Model:
    """As exporters write it: the cache is a Concat that attention reads."""
    nodes = [
        helper.make_node("Concat", ["past_k", "k"], ["present_k"], axis=2),
        helper.make_node("Concat", ["past_v", "v"], ["present_v"], axis=2),
        helper.make_node("Transpose", ["present_k"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "t"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "present_v"], ["y"]),
    ]
    return model_of(nodes, [value(n, *heads_first(HEADS)) for n in "qkv"], **options)


def multi_head(**options: Any) -> sardonyx.Model:
    node = helper.make_node(
        "MultiHeadAttention",
        ["q", "k", "v", "", "", "", *PAST],
        ["y", *PRESENT],
        domain="com.microsoft",
        num_heads=HEADS,
        unidirectional=1,
    )
    return model_of([node], [value(n, BATCH, "rows", HEADS * WIDTH) for n in "qkv"], **options)


def step_feeds(model: sardonyx.Model, rows: int, seed: int) -> dict[str, np.ndarray]:
    sizes = {"rows": rows}
    return {
        i.name: randn(*(sizes.get(d, d) for d in i.shape), seed=seed + n)
        for n, i in enumerate(model.inputs)
        if i.name not in PAST
    }


@pytest.mark.parametrize("make", [attention, joined, multi_head])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_growing_cache_stays_where_it_lies(make: Any, threads: int) -> None:
    model = make(threads=threads)
    assert model.caches == dict(zip(PRESENT, PAST, strict=True))
    caches = [np.full((BATCH, HEADS, 40, WIDTH), np.nan, np.float32) for _ in PAST]
    past = [np.zeros((BATCH, HEADS, 0, WIDTH), np.float32) for _ in PAST]
    used = 0
    for turn, rows in enumerate([5, 1, 1, 12, 1]):
        feeds = step_feeds(model, rows, seed=10 * turn)
        y, *past = model.run(None, feeds | dict(zip(PAST, past, strict=True)))
        views = [c[:, :, : used + rows] for c in caches]
        shared = {name: c[:, :, :used] for name, c in zip(PAST, caches, strict=True)}
        results = model.run(None, feeds | shared, out=[None, *views])
        assert results[1] is views[0]
        np.testing.assert_allclose(results[0], y, rtol=1e-5, atol=1e-6)
        used += rows
        for cache, dense in zip(caches, past, strict=True):
            np.testing.assert_array_equal(cache[:, :, :used], dense)
            assert np.isnan(cache[:, :, used:]).all()


def grouped(**options: Any) -> sardonyx.Model:
    node = helper.make_node(
        "GroupQueryAttention",
        ["q", "k", "v", *PAST, "lengths", "total", "cos", "sin"],
        ["y", *PRESENT],
        domain="com.microsoft",
        num_heads=HEADS * GROUP,
        kv_num_heads=HEADS,
        do_rotary=1,
    )
    # The total is what the mask is long, so that shapes are known before a run.
    nodes = [
        helper.make_node("Shape", ["mask"], ["long"], start=1, end=2),
        helper.make_node("Cast", ["long"], ["total"], to=TensorProto.INT32),
        node,
    ]
    inputs = [
        value("q", BATCH, "rows", HEADS * GROUP * WIDTH),
        *(value(n, BATCH, "rows", HEADS * WIDTH) for n in "kv"),
        *(value(n, 64, WIDTH // 2) for n in ("cos", "sin")),
        value("lengths", BATCH, dtype=TensorProto.INT32),
        value("mask", BATCH, "total", dtype=TensorProto.INT64),
    ]
    return model_of(nodes, inputs, **options)


def test_a_cache_of_full_length_stays_where_it_lies() -> None:
    model = grouped()
    room, used = 24, 0
    caches = [np.zeros((BATCH, HEADS, room, WIDTH), np.float32) for _ in PAST]
    past = [c.copy() for c in caches]
    angles = {"cos": randn(64, WIDTH // 2), "sin": randn(64, WIDTH // 2, seed=1)}
    for turn, rows in enumerate([5, 1, 1, 3]):
        used += rows
        feeds = angles | {
            "q": randn(BATCH, rows, HEADS * GROUP * WIDTH, seed=turn),
            "k": randn(BATCH, rows, HEADS * WIDTH, seed=50 + turn),
            "v": randn(BATCH, rows, HEADS * WIDTH, seed=60 + turn),
            "lengths": np.full(BATCH, used - 1, np.int32),
            "mask": np.ones((BATCH, used), np.int64),
        }
        y, *past = model.run(None, feeds | dict(zip(PAST, past, strict=True)))
        bound = model.bind(
            feeds | dict(zip(PAST, caches, strict=True)), dict(zip(PRESENT, caches, strict=True))
        )
        for _ in range(2):  # the same rows again: a step may be repeated
            assert bound()["present_k"] is caches[0]
        everything = [None, *caches]
        shared = model.run(None, feeds | dict(zip(PAST, caches, strict=True)), out=everything)
        np.testing.assert_array_equal(shared[0], y)
        for cache, dense in zip(caches, past, strict=True):
            np.testing.assert_array_equal(cache, dense)


def test_caches_that_cannot_stay_are_copied_or_refused() -> None:
    model = attention()
    cache, other = (np.zeros((BATCH, HEADS, 9, WIDTH), np.float32) for _ in range(2))
    feeds = step_feeds(model, 1, seed=3)
    past = {
        "past_k": randn(BATCH, HEADS, 3, WIDTH),
        "past_v": randn(BATCH, HEADS, 3, WIDTH, seed=1),
    }
    expected = model.run(None, feeds | past)
    cache[:, :, :3], other[:, :, :3] = past.values()
    present = [None, cache[:, :, :4], other[:, :, :4]]
    # Crosswise: each result lies over the other's past.
    crossed = feeds | {"past_k": cache[:, :, :3], "past_v": other[:, :, :3]}
    results = model.run(None, crossed, out=[None, present[2], present[1]])
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)
    with pytest.raises(sardonyx.InvalidArgument, match=r"out\[0\]"):
        model.bind(crossed, {"present_k": present[2]})()
    # More rows than there are, and fewer.
    for rows in (3, 5):
        with pytest.raises(sardonyx.InvalidArgument, match="present_k"):
            model.run(None, crossed, out=[None, cache[:, :, :rows], None])
    # Two layers, one buffer.
    past_v = cache.reshape(-1)[: past["past_v"].size].reshape(past["past_v"].shape)
    same = feeds | {"past_k": cache[:, :, :3], "past_v": past_v}
    with pytest.raises(sardonyx.InvalidArgument, match="cannot be written over input 'past_v'"):
        model.run(None, same, out=[None, cache[:, :, :4], None])


def test_a_past_that_something_else_reads_is_no_cache() -> None:
    node = helper.make_node("Attention", ["q", "k", "v", "", *PAST], ["y", *PRESENT])
    again = helper.make_node("ReduceSum", ["past_k"], ["sum"])
    length = helper.make_node("Shape", ["past_v"], ["shape"])  # reads no element
    inputs = [value(n, *heads_first(HEADS)) for n in "qkv"]
    model = model_of([node, again, length], inputs, ("y", *PRESENT, "sum", "shape"))
    assert model.caches == {"present_v": "past_v"}
    cache = randn(BATCH, HEADS, 9, WIDTH)
    feeds = step_feeds(model, 1, seed=3)
    feeds |= {"past_k": cache[:, :, :3], "past_v": randn(BATCH, HEADS, 3, WIDTH)}
    expected = model.run(None, feeds)
    results = model.run(None, feeds, out=[None, cache[:, :, :4], None, None, None])
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_subset_of_outputs_shares_too() -> None:
    model = attention()
    cache = randn(BATCH, HEADS, 9, WIDTH)
    feeds = step_feeds(model, 2, seed=3)
    feeds |= {"past_k": cache[:, :, :3].copy(), "past_v": randn(BATCH, HEADS, 3, WIDTH)}
    expected = model.run(["present_k", "y"], feeds)
    view = cache[:, :, :5]
    results = model.run(["present_k", "y"], feeds | {"past_k": cache[:, :, :3]}, out=[view, None])
    assert results[0] is view
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)
