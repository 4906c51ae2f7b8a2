"""RNN, GRU and LSTM, against onnxruntime and, in other layouts, against themselves."""

import numpy as np
import pytest
from helpers import check_op, expect_error, make_model, randn, run_op

import sardonyx

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def inputs(op, steps=6, batch=3, size=5, hidden=7, directions=1, dtype=np.float32):
    """All inputs but the lengths, which stay out."""
    n = GATES[op] * hidden
    x = randn(steps, batch, size, dtype=dtype)
    w, r = randn(directions, n, size, dtype=dtype), randn(directions, n, hidden, dtype=dtype)
    state = [randn(directions, batch, hidden, dtype=dtype, seed=i) for i in range(2)]
    state = state if op == "LSTM" else state[:1]
    r = (r / np.sqrt(hidden)).astype(dtype)  # larger ones make networks chaotic
    return [x, w * dtype(0.4), r, randn(directions, 2 * n, dtype=dtype), None, *state]


def outputs(op):
    return 3 if op == "LSTM" else 2


def check(op, given, hidden=7, **attrs):
    check_op(
        op, *given, ref="ort", opset=14, outputs=outputs(op), length=64, hidden_size=hidden, **attrs
    )


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_directions(op, direction):
    directions = 2 if direction == "bidirectional" else 1
    given = inputs(op, directions=directions)
    check(op, given, direction=direction)
    check(op, given[:3], direction=direction)
    given[4] = np.array([6, 2, 4], np.int32)
    check(op, given, direction=direction)


@pytest.mark.parametrize("op", GATES)
def test_sizes(op):
    for steps, batch, size, hidden in [
        (1, 1, 1, 1),
        (9, 1, 40, 65),
        (3, 37, 12, 16),
        (5, 4, 3, 130),
        (3, 70, 6, 330),
    ]:
        check(op, inputs(op, steps, batch, size, hidden), hidden)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize(("batch", "hidden"), [(1, 300), (8, 136), (9, 520), (40, 600)])
def test_as_many_threads_give_the_same_bits(op, batch, hidden):
    given = inputs(op, 3, batch, 20, hidden)
    model = make_model(op, given, attrs={"hidden_size": hidden}, outputs=outputs(op))
    feeds = {f"x{i}": value for i, value in enumerate(given) if value is not None}
    alone, *others = [sardonyx.load(model, threads=n).run(None, feeds) for n in (1, 2, 3, 5)]
    for each in others:
        for x, y in zip(alone, each, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("op", ["GRU", "LSTM"])
def test_steps_that_are_done_in_pieces(op):
    """By weights of many numbers: the products of a step, with and without a fused cell."""
    given = inputs(op, 2, 64, 3, 1000)
    attrs = {"opset": 14, "outputs": outputs(op), "length": 1000, "hidden_size": 1000}
    check_op(op, *given, ref="ort", **attrs)
    check_op(op, *given, ref="ort", clip=2.0, **attrs)


def test_doubles_that_are_multiplied_in_pieces():
    x, w, r, b, _, start = inputs("RNN", 3, 5, 2100, 1100, dtype=np.float64)
    h, w, y = start, w / 20, []
    for t in range(3):
        h = np.tanh(x[t] @ w[0].T + h @ r[0].T + b[0, :1100] + b[0, 1100:])
        y.append(h)
    expected = (np.stack(y), h)
    check_op("RNN", x, w, r, b, None, start, ref=expected, hidden_size=1100, outputs=2, length=3200)


def test_gru_reset_after_the_product():
    for directions, direction in [(1, "forward"), (2, "bidirectional")]:
        given = inputs("GRU", directions=directions)
        check("GRU", given, linear_before_reset=1, direction=direction)
        check("GRU", given[:3], linear_before_reset=1, direction=direction)


def test_lstm_peepholes_and_coupled_gates():
    for directions, direction in [(1, "forward"), (2, "bidirectional")]:
        given = [*inputs("LSTM", directions=directions), randn(directions, 21)]
        check("LSTM", given, direction=direction)
        check("LSTM", given, direction=direction, input_forget=1)
        check("LSTM", given, direction=direction, clip=0.5)


@pytest.mark.parametrize("op", GATES)
def test_clip(op):
    check(op, inputs(op), clip=0.3)


@pytest.mark.parametrize(
    ("names", "constants"),
    [
        (["Relu"], {}),
        (["Affine"], {"activation_alpha": [0.5], "activation_beta": [0.1]}),
        (["LeakyRelu"], {"activation_alpha": [0.2]}),
        (["ThresholdedRelu"], {"activation_alpha": [0.3]}),
        (["ScaledTanh"], {"activation_alpha": [0.9], "activation_beta": [0.7]}),
        (["HardSigmoid"], {"activation_alpha": [0.3], "activation_beta": [0.4]}),
        (["Elu"], {"activation_alpha": [0.8]}),
        (["Softsign"], {}),
        (["Softplus"], {}),
    ],
)
def test_activations(names, constants):
    check("RNN", inputs("RNN"), activations=names, **constants)


def test_activations_of_all_gates():
    check(
        "LSTM",
        inputs("LSTM"),
        activations=["HardSigmoid", "Relu", "Softsign"],
        activation_alpha=[0.3],
        activation_beta=[0.4],
    )
    check(
        "GRU",
        inputs("GRU"),
        activations=["HardSigmoid", "LeakyRelu"],
        activation_alpha=[0.3, 0.2],
        activation_beta=[0.4],
    )


@pytest.mark.parametrize("op", GATES)
def test_batch_first(op):
    given = inputs(op, directions=2)
    attrs = {"direction": "bidirectional", "hidden_size": 7, "outputs": outputs(op)}
    y, *states = run_op(op, *given, **attrs)
    turned = [np.moveaxis(y, 2, 0), *(np.swapaxes(s, 0, 1) for s in states)]
    first = [None if v is None else v for v in given]
    for i in (0, 5, 6):
        if i < len(first):
            first[i] = np.ascontiguousarray(np.swapaxes(first[i], 0, 1))
    check_op(op, *first, ref=tuple(turned), layout=1, **attrs)


@pytest.mark.parametrize("op", GATES)
def test_other_types(op):
    wide = inputs(op, directions=2, dtype=np.float64)
    narrow = [None if v is None else v.astype(np.float32) for v in wide]
    wide = [None if v is None else v.astype(np.float64) for v in narrow]
    attrs = {"direction": "bidirectional", "hidden_size": 7, "outputs": outputs(op)}
    exact = run_op(op, *wide, **attrs)
    check_op(op, *narrow, ref=exact, length=64, **attrs)
    halves = [None if v is None else v.astype(np.float16) for v in narrow]
    floats = [None if v is None else v.astype(np.float32) for v in halves]
    expected = tuple(v.astype(np.float16) for v in run_op(op, *floats, **attrs))
    check_op(op, *halves, ref=expected, **attrs)


def test_networks_that_do_not_fit():
    x, w, r, b, _, h = inputs("GRU")
    expect_error("GRU", x, w[:, :20], r, match=r"input 1 has shape \[1, 20, 5\]", hidden_size=7)
    expect_error("GRU", x, w, r, b[:, :20], match="input 3 has shape", hidden_size=7)
    expect_error("GRU", x, w, r, match="direction is 'up'", direction="up", hidden_size=7)
    expect_error("GRU", x, w, r, match="activation 'Sine'", activations=["Sine", "Tanh"])
    expect_error("GRU", x, w, r, match="activations has 1 entries", activations=["Tanh"])
    lengths = np.array([6, 7, 2], np.int32)
    expect_error("GRU", x, w, r, b, lengths, h, match="sequence_lens holds 7", hidden_size=7)


@pytest.mark.parametrize(("op", "gates"), [("RNN", 1), ("GRU", 3)])
def test_only_lstm_has_cells(op, gates):
    x, w, r = randn(2, 3, 5), randn(1, 7 * gates, 5), randn(1, 7 * gates, 7)
    wrong = [x, w, r, None, None, None, randn(1, 14)]
    expect_error(op, *wrong, match="only LSTM", hidden_size=7)
