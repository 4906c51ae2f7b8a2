"""If, Loop and Scan, built with the ONNX text format; plain Python is the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from helpers import compare, in_threads, randn

import sardonyx

F, I64, B = np.float32, np.int64, np.bool_


def run(text: str, *, opset: int = 18, **feeds: Any) -> list[Any]:
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]>\n' + text.replace("\n\n", "\n")
    )
    arrays = {k: v if isinstance(v, list) else np.asarray(v) for k, v in feeds.items()}
    return sardonyx.load(model).run(None, arrays)


def expect(results: list[Any], *expected: Any) -> None:
    compare(list(expected), results, "result")


def test_if_takes_one_branch() -> None:
    text = """g (bool c, float[n] x) => (y) {
        y = If (c) <then_branch = t () => (float[n] a) { a = Add(x, x) },
                    else_branch = e () => (float[m] b) { b = Concat<axis = 0>(x, x, x) }>
    }"""
    x = randn(5)
    expect(run(text, c=True, x=x), x + x)
    expect(run(text, c=False, x=x), np.concatenate([x, x, x]))
    expect(run(text.replace("bool c", "bool[1] c"), c=[True], x=x), x + x)


def test_if_with_static_shape_feeds_a_view() -> None:
    text = """g (bool c, float[6] x) => (float[2, 3] z, float[6] y) {
        shape = Constant<value = int64[2] {2, 3}>()
        y = If (c) <then_branch = t () => (float[6] a) { a = Neg(x) },
                    else_branch = e () => (float[6] b) { b = Identity(x) }>
        r = Reshape(y, shape)
        z = Abs(r)
    }"""
    x = randn(6)
    expect(run(text, c=True, x=x), np.abs(x).reshape(2, 3), -x)
    expect(run(text, c=False, x=x), np.abs(x).reshape(2, 3), x)


def test_if_refuses_many_conditions() -> None:
    text = """g (bool[2] c, float[n] x) => (y) {
        y = If (c) <then_branch = t () => (float[n] a) { a = Add(x, x) },
                    else_branch = e () => (float[n] b) { b = Neg(x) }>
    }"""
    with pytest.raises(sardonyx.InvalidModel, match="condition"):
        run(text, c=[True, False], x=randn(2))


LOOP = """g (int64 m, bool go, float[n] x) => (last, all, counts) {
    last, all, counts = Loop (m, go, x) <body = b (int64 i, bool c, float[n] s)
        => (bool more, float[n] t, float[n] u, int64 j) {
        f = CastLike(i, s)
        t = Add(s, f)
        u = Mul(t, t)
        limit = Constant<value = int64 {4}>()
        more = Less(i, limit)
        j = Identity(i)
    }>
}"""


@pytest.mark.parametrize(
    ("m", "go", "trips"), [(3, True, 3), (0, True, 0), (5, False, 0), (100, True, 5), (-1, True, 0)]
)
def test_loop_runs_until_count_or_condition(m: int, go: bool, trips: int) -> None:
    x = randn(4)
    states = [x]
    for i in range(trips):
        states.append(states[-1] + F(i))
    squares = np.array([s * s for s in states[1:]], F).reshape(trips, 4)
    expected = states[-1], squares, np.arange(trips)
    expect(run(LOOP, m=I64(m), go=B(go), x=x), *expected)


def test_loop_without_count_or_condition() -> None:
    text = """g (float[n] x) => (y) {
        y = Loop ("", "", x) <body = b (int64 i, bool c, float[n] s) => (bool more, float[n] t) {
            t = Add(s, s)
            limit = Constant<value = int64 {2}>()
            more = Less(i, limit)
        }>
    }"""
    x = randn(3)
    expect(run(text.replace('""', ""), x=x), x * 8)


@pytest.mark.parametrize("kind", ["int64[1]", "int64"])
def test_loop_counts_in_the_shape_its_body_declares(kind: str) -> None:
    # As ONNX Runtime does: old converters make bodies that squeeze the number of the iteration.
    text = f"""g (int64 m) => (n) {{
        n = Loop (m, ) <body = b ({kind} i, bool c) => (bool more, {kind} n) {{
            n = Neg(i)
            more = Identity(c)
        }}>
    }}"""
    shape = (3, 1) if "[1]" in kind else (3,)
    expect(run(text, m=I64(3)), np.array([0, -1, -2]).reshape(shape))


def test_if_does_not_look_at_a_branch_never_taken() -> None:
    # Exporters leave both ways of a choice in the model where only one fits the weights.
    text = """g (float[1, 1, 8, 8] x, float[4, 1, 3, 3] w) => (y) {
        no = Constant<value = bool {0}>()
        y = If (no) <then_branch = t () => (a) { a = Concat<axis = 0>(x, w) },
                     else_branch = e () => (b) { b = Conv(x, w) }>
    }"""
    x, w = randn(1, 1, 8, 8), np.ones((4, 1, 3, 3), F)
    windows = np.lib.stride_tricks.sliding_window_view(x[0, 0], (3, 3)).sum((2, 3))
    expect(run(text, x=x, w=w), np.broadcast_to(windows, (1, 4, 6, 6)))


def test_loop_state_grows() -> None:
    text = """g (int64 m, float[1] x) => (y, n) {
        y, n = Loop (m, , x) <body = b (int64 i, bool c, s) => (bool more, t, int64[k] n) {
            t = Concat<axis = 0>(s, s)
            more = Identity(c)
            n = Shape(s)
        }>
    }"""
    x = randn(1)
    expect(run(text, m=I64(5), x=x), np.repeat(x, 32), np.array([[1], [2], [4], [8], [16]]))
    expect(run(text, m=I64(0), x=x), x, np.zeros((0, 1), I64))


def test_loop_state_changes_rank() -> None:
    text = """g (int64 m, float[2] x) => (y) {
        y = Loop (m, , x) <body = b (int64 i, bool c, s) => (bool more, t) {
            axes = Constant<value = int64[1] {0}>()
            t = Unsqueeze(s, axes)
            more = Identity(c)
        }>
    }"""
    x = randn(2)
    expect(run(text, m=I64(3), x=x), x.reshape(1, 1, 1, 2))


def test_loop_carries_sequences() -> None:
    text = """g (int64 m, float[n] x) => (y, k) {
        s = SequenceEmpty()
        r = Loop (m, , s) <body = b (int64 i, bool c, seq(float[n]) s0)
            => (bool more, seq(float[n]) s1) {
            f = CastLike(i, x)
            v = Mul(x, f)
            s1 = SequenceInsert(s0, v)
            more = Identity(c)
        }>
        k = SequenceLength(r)
        y = ConcatFromSequence<axis = 0, new_axis = 1>(r)
    }"""
    x = randn(3)
    expect(run(text, m=I64(4), x=x), np.stack([x * F(i) for i in range(4)]), np.array(4))


def test_if_nested_in_loops_captures_through_levels() -> None:
    text = """g (int64 m, float[n] x, float scale) => (y) {
        outer = Neg(x)
        two = Constant<value = int64 {2}>()
        zero = Constant<value = int64 {0}>()
        y = Loop (m, , x) <body = b (int64 i, bool c, float[n] s) => (bool more, float[n] t) {
            inner = Mul(s, scale)
            t = Loop (two, , inner) <body = bb (int64 j, bool d, float[n] u)
                => (bool again, float[n] v) {
                sum = Add(i, j)
                odd = Mod(sum, two)
                even = Equal(odd, zero)
                v = If (even) <
                    then_branch = t0 () => (float[n] a) { a0 = Add(u, outer)  a = Add(a0, s) },
                    else_branch = e0 () => (float[n] a1) { a1 = Sub(u, inner) }>
                again = Identity(d)
            }>
            more = Identity(c)
        }>
    }"""
    x, scale = randn(4), F(0.5)
    state = x
    for i in range(3):
        inner = state * scale
        u = inner
        for j in range(2):
            u = u - x + state if (i + j) % 2 == 0 else u - inner
        state = u
    expect(run(text, m=I64(3), x=x, scale=scale), state)


def test_loop_scan_slices_must_agree() -> None:
    text = """g (int64 m) => (y) {
        y = Loop (m, ) <body = b (int64 i, bool c) => (bool more, z) {
            axes = Constant<value = int64[1] {0}>()
            n = Unsqueeze(i, axes)
            z = ConstantOfShape(n)
            more = Identity(c)
        }>
    }"""
    with pytest.raises(sardonyx.Error, match="iteration 1"):
        run(text, m=I64(3))


def test_loop_runs_from_many_threads() -> None:
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 18]>\n' + LOOP)
    loaded = sardonyx.load(model)
    x = randn(4)
    expected = loaded.run(None, {"m": np.array(6), "go": np.array(True), "x": x})
    results: list[Any] = [None] * 8

    def work(k: int) -> None:
        for _ in range(20):
            results[k] = loaded.run(None, {"m": np.array(6), "go": np.array(True), "x": x})

    in_threads(work, len(results))
    for result in results:
        compare(expected, result, "result")


SCAN = """g (float[n] s, float[t, n] x) => (last, all) {{
    last, all = Scan <num_scan_inputs = 1, {attrs} body = b (float[n] a, float[n] e)
        => (float[n] c, float[n] d) {{
        c = Add(a, e)
        d = Identity(c)
    }}> (s, x)
}}"""


@pytest.mark.parametrize(
    "attrs", ["", "scan_input_directions = [1],", "scan_output_directions = [1],"]
)
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_scan_directions(attrs: str, steps: int) -> None:
    s, x = randn(3), randn(steps, 3)
    ordered = x[::-1] if "input" in attrs else x
    sums = np.array([s + ordered[: i + 1].sum(0) for i in range(steps)], F).reshape(steps, 3)
    last = sums[-1] if steps else s
    all_ = sums[::-1] if "output" in attrs else sums
    expect(run(SCAN.format(attrs=attrs), opset=11, s=s, x=x), last, all_)


def test_scan_axes() -> None:
    text = """g (float[2, 4, 3] x, float[5, 3] y) => (z) {
        z = Scan <num_scan_inputs = 2, scan_input_axes = [-1, 1], scan_output_axes = [1],
            body = b (float[2, 4] a, float[5] e) => (float[2, 5] c) {
            one = Constant<value = int64[1] {1}>()
            sum = ReduceSum(a, one)
            c = Add(sum, e)
        }> (x, y)
    }"""
    x, y = randn(2, 4, 3), randn(5, 3)
    expected = np.stack([x[..., i].sum(1, keepdims=True) + y[:, i] for i in range(3)], axis=1)
    expect(run(text, opset=13, x=x, y=y), expected)


def test_scan_of_opset_8_has_a_batch() -> None:
    text = """g (int64[2] lens, float[2, 3] s, float[2, t, 3] x) => (last, all) {
        last, all = Scan <num_scan_inputs = 1, body = b (float[3] a, float[3] e)
            => (float[3] c, float[3] d) {
            c = Add(a, e)
            d = Identity(c)
        }> (lens, s, x)
    }"""
    s, x, lens = randn(2, 3), randn(2, 4, 3), np.array([4, 2])
    sums = np.stack([s + x[:, : i + 1].sum(1) for i in range(4)], axis=1)
    sums[1, 2:] = 0
    last = np.stack([s[b] + x[b, : lens[b]].sum(0) for b in range(2)])
    expect(run(text, opset=8, lens=lens, s=s, x=x), last, sums)
    with pytest.raises(sardonyx.Error, match="sequence length 5"):
        run(text, opset=8, lens=np.array([4, 5]), s=s, x=x)


def test_scan_refuses_lengths_that_differ() -> None:
    text = """g (float[n, 2] x, float[m, 2] y) => (z) {
        z = Scan <num_scan_inputs = 2, body = b (float[2] a, float[2] e) => (float[2] c) {
            c = Add(a, e)
        }> (x, y)
    }"""
    with pytest.raises(sardonyx.Error, match="sequence length"):
        run(text, x=randn(3, 2), y=randn(4, 2))


def test_deep_nesting_is_refused() -> None:
    head = '<ir_version: 8, opset_import: ["" : 18]>\n'
    body = "t = Neg(x)"
    for level in range(14):
        taken = f"then_branch = b{level} () => (t) {{ {body} }}"
        body = f"t = If (c) <{taken}, else_branch = e () => (u) {{ u = Abs(x) }}>"
    model = onnx.parser.parse_model(head + f"g (bool c, float[n] x) => (t) {{ {body} }}")
    with pytest.raises(sardonyx.Error, match="nested"):
        sardonyx.load(model)
