"""Sequences and optionals; what the ONNX backend suite leaves out."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest
from helpers import check_op, compare, expect_error, randn

import sardonyx

A, B, C = randn(2, 3), randn(1, 3), randn(4, 3)
TEXTS = [np.array(["a", "long enough to leave the small buffer"]), np.array(["b"])]


def test_construct_and_length() -> None:
    check_op("SequenceConstruct", A, B, C, ref=[A, B, C])
    check_op("SequenceConstruct", *TEXTS, ref=TEXTS)
    check_op("SequenceLength", [A, B, C], ref=np.array(3))


def test_at_and_erase() -> None:
    for position in (0, 2, -1, -3):
        check_op("SequenceAt", [A, B, C], np.array(position), ref=[A, B, C][position])
        rest = [A, B, C]
        del rest[position]
        check_op("SequenceErase", [A, B, C], np.array(position), ref=rest)
    check_op("SequenceErase", [A, B], ref=[A])
    check_op("SequenceAt", TEXTS, np.array(1), ref=TEXTS[1])
    for position in (3, -4, 2**62):
        expect_error("SequenceAt", [A, B, C], np.array(position), match="outside a sequence of 3")
        expect_error("SequenceErase", [A, B, C], np.array(position), match="outside a sequence")


def test_insert() -> None:
    check_op("SequenceInsert", [A, B], C, ref=[A, B, C])
    for position in (0, 1, 2, -1, -2):
        items = [A, B]
        items.insert(position, C)
        check_op("SequenceInsert", [A, B], C, np.array(position), ref=items)
    expect_error("SequenceInsert", [A, B], C, np.array(3), match="outside a sequence of 2")


def test_split_to_sequence() -> None:
    x = randn(5, 4)
    check_op("SplitToSequence", x, ref=[x[i : i + 1] for i in range(5)])
    check_op("SplitToSequence", x, ref=[x[i] for i in range(5)], keepdims=0)
    check_op("SplitToSequence", x, ref=[x[:, i] for i in range(4)], keepdims=0, axis=-1)
    check_op("SplitToSequence", x, np.array(2), ref=[x[:2], x[2:4], x[4:]])
    check_op("SplitToSequence", x, np.array([1, 0, 4]), ref=[x[:1], x[:0], x[1:]])
    check_op("SplitToSequence", x, np.array([3, 1]), ref=[x[:, :3], x[:, 3:]], axis=1)
    words = np.array([["a", "b"], ["c", "d"]])
    check_op("SplitToSequence", words, ref=[words[:, :1], words[:, 1:]], axis=1)
    expect_error("SplitToSequence", x, np.array([1, 1]), match="add up to 2")
    expect_error("SplitToSequence", x, np.array([-1, 6]), match="negative")
    expect_error("SplitToSequence", x, np.array(0), match="split is 0")


def test_concat_from_sequence() -> None:
    check_op("ConcatFromSequence", [A, B, C], ref=np.concatenate([A, B, C]), axis=0)
    check_op("ConcatFromSequence", [A, A], ref=np.concatenate([A, A], 1), axis=-1)
    check_op("ConcatFromSequence", [A, A], ref=np.stack([A, A], 2), axis=-1, new_axis=1)
    check_op("ConcatFromSequence", TEXTS, ref=np.concatenate(TEXTS), axis=0)
    expect_error("ConcatFromSequence", [A, B], match="shapes differ", axis=1)
    expect_error("ConcatFromSequence", [], match="empty", axis=0)


def test_optional_element() -> None:
    check_op("OptionalHasElement", A, ref=np.array(True))
    check_op("OptionalGetElement", A, ref=A)
    check_op("OptionalGetElement", [A, B], ref=[A, B])


def test_sequence_map_captures() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (seq(float[n, 3]) s, float[3] bias, float[m] t) => (y, z) {
            y, z = SequenceMap (s, t) <body = b (float[n, 3] x, float[m] u) => (v, w) {
                v = Add(x, bias)
                w = Identity(u)
            }>
        }"""
    )
    bias, t = randn(3), randn(2)
    loaded = sardonyx.load(model)
    for items in ([A, B, C], [A], []):
        results = loaded.run(None, {"s": items, "bias": bias, "t": t})
        compare([[x + bias for x in items], [t] * len(items)], results, "result")


def test_optional_without_value_needs_a_type() -> None:
    head = '<ir_version: 8, opset_import: ["" : 18]> '
    text = "g (float[2] x) => (bool y) { o = Optional(%s)  y = OptionalHasElement(o) }"
    given = sardonyx.load(onnx.parser.parse_model(head + text % "x"))
    compare([np.array(True)], given.run(None, {"x": randn(2)}), "result")
    with pytest.raises(sardonyx.InvalidModel, match="type"):
        sardonyx.load(onnx.parser.parse_model(head + text % ""))
