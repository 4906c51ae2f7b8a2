"""Adagrad, Adam, Momentum against the pseudo code of the standard."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randn, run_op

DOMAIN = "ai.onnx.preview.training"
R, T = np.float32(0.1), np.int64(3)


def adagrad(r, t, *tensors, norm_coefficient=0.0, decay_factor=0.0, epsilon=1e-6):
    n = len(tensors) // 3
    xs, hs = [], []
    for x, g, h in zip(tensors[:n], tensors[n : 2 * n], tensors[2 * n :], strict=True):
        g = norm_coefficient * x + g
        hs.append(h + g * g)
        xs.append(x - r / (1 + t * decay_factor) * g / (np.sqrt(hs[-1]) + epsilon))
    return tuple(a.astype(tensors[0].dtype) for a in (*xs, *hs))


def adam(
    r,
    t,
    *tensors,
    alpha=0.9,
    beta=0.999,
    epsilon=1e-6,
    norm_coefficient=0.0,
    norm_coefficient_post=0.0,
):
    n = len(tensors) // 4
    results = [[], [], []]
    for i in range(n):
        x, g, v, h = (tensors[k * n + i].astype(np.float64) for k in range(4))
        g = norm_coefficient * x + g
        v = alpha * v + (1 - alpha) * g
        h = beta * h + (1 - beta) * g * g
        if t > 0:
            r = r * np.sqrt(1 - beta**t) / (1 - alpha**t)
        x = x - r * v / (np.sqrt(h) + epsilon)
        for kept, value in zip(results, ((1 - norm_coefficient_post) * x, v, h), strict=True):
            kept.append(value.astype(tensors[0].dtype))
        r = R
    return tuple(value for kept in results for value in kept)


def momentum(r, t, x, g, v, *, mode, norm_coefficient, alpha, beta):
    g = norm_coefficient * x + g
    v = alpha * v + (beta if t > 0 else 1) * g
    x = x - r * (v if mode == "standard" else g + alpha * v)
    return x.astype(v.dtype), v


def tensors(*groups, dtype=np.float32):
    return [np.abs(randn(*s, dtype=dtype, seed=i)) for i, s in enumerate(groups)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("steps", [0, 3])
def test_each(dtype, steps):
    t, shape = np.int64(steps), (3, 7)
    three = tensors(shape, shape, shape, dtype=dtype)
    rate = dtype(0.1)
    options = {"domain": DOMAIN, "norm_coefficient": 0.5}
    # Attributes are float32: the reference must see the same numbers.
    decay = float(np.float32(0.1))
    check_op(
        "Adagrad",
        rate,
        t,
        *three,
        ref=adagrad,
        outputs=2,
        decay_factor=decay,
        epsilon=0.5,
        **options,
    )
    check_op(
        "Adam", rate, t, *three, three[0], ref=adam, outputs=3, alpha=0.5, beta=0.75,
        epsilon=0.25, norm_coefficient_post=0.25, **options,
    )  # fmt: skip
    for mode in ("standard", "nesterov"):
        check_op(
            "Momentum",
            rate,
            t,
            *three,
            ref=momentum,
            outputs=2,
            mode=mode,
            alpha=0.5,
            beta=0.25,
            **options,
        )


def test_many_tensors():
    shapes = [(2,), (3, 4), (5000,)]
    check_op("Adagrad", R, T, *tensors(*shapes * 3), ref=adagrad, outputs=6, domain=DOMAIN,
             epsilon=0.5)  # fmt: skip
    check_op("Adam", R, T, *tensors(*shapes * 4), ref=adam, outputs=9, domain=DOMAIN,
             alpha=0.5, beta=0.75, epsilon=0.5)  # fmt: skip


def test_outputs_left_out():
    three = tensors((4,), (4,), (4,))
    full = run_op("Adagrad", R, T, *three, outputs=2, domain=DOMAIN)
    np.testing.assert_array_equal(
        run_op("Adagrad", R, T, *three, outputs=["", "h"], domain=DOMAIN), full[1]
    )
    np.testing.assert_array_equal(
        run_op("Adagrad", R, T, *three, outputs=["x"], domain=DOMAIN), full[0]
    )


def test_errors():
    x = randn(3)
    options = {"domain": DOMAIN, "outputs": 2}
    expect_error("Adagrad", R, T, x, x, match="3 inputs for each tensor", **options)
    expect_error("Adagrad", R, T, x, x, randn(4), match="shapes differ", **options)
    expect_error("Adagrad", R, np.int32(1), x, x, x, match="step count is int32", **options)
    expect_error("Adagrad", x, T, x, x, x, match="expected one element", **options)
    expect_error("Momentum", R, T, x, x, x, match="'mode' is missing", **options)
    expect_error(
        "Momentum",
        R,
        T,
        x,
        x,
        x,
        match="mode is 'heavy'",
        mode="heavy",
        alpha=1.0,
        beta=1.0,
        norm_coefficient=0.0,
        **options,
    )
