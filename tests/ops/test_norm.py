"""Normalisations, against their formulas in float64."""

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

f32 = lambda value: float(np.float32(value))  # noqa: E731 - attributes are float32
FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]


def layer_norm(x, scale=None, bias=None, axis=-1, epsilon=1e-5, **_):
    wide = x.astype(np.float64)
    axes = tuple(range(axis % x.ndim, x.ndim))
    mean = wide.mean(axes, keepdims=True)
    inv_std = 1 / np.sqrt(wide.var(axes, keepdims=True) + f32(epsilon))
    y = (wide - mean) * inv_std
    y = y if scale is None else y * scale.astype(np.float64)
    y = y if bias is None else y + bias.astype(np.float64)
    return y, mean.astype(np.float32), inv_std.astype(np.float32)


def rms_norm(x, scale, axis=-1, epsilon=1e-5, **_):
    wide = x.astype(np.float64)
    axes = tuple(range(axis % x.ndim, x.ndim))
    inv_std = 1 / np.sqrt((wide**2).mean(axes, keepdims=True) + f32(epsilon))
    return wide * inv_std * scale.astype(np.float64), inv_std.astype(np.float32)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((4, 7), -1),
        ((2, 3, 768), 2),
        ((2, 3, 5, 4), 1),
        ((3, 5), 0),
        ((0, 4), -1),
        ((2, 3, 65), -2),
    ],
)
def test_layer_norm(shape, axis, dtype):
    x = (randn(*shape) + 2).astype(dtype)
    tail = shape[axis % len(shape) :]
    scale, bias = randn(*tail, dtype=dtype), randn(*tail, dtype=dtype, seed=1)
    last = lambda *a, **k: layer_norm(*a, **k)[0]  # noqa: E731
    check_op("LayerNormalization", x, scale, bias, ref=last, axis=axis)
    check_op("LayerNormalization", x, scale, ref=last, axis=axis, epsilon=0.1)
    check_op("LayerNormalization", x, scale, bias, ref=layer_norm, axis=axis, outputs=3)
    check_op("LayerNormalization", x, scale, bias, ref=last, axis=axis, opset=11)
    last_rms = lambda *a, **k: rms_norm(*a, **k)[0]  # noqa: E731
    check_op("RMSNormalization", x, scale, ref=last_rms, axis=axis)
    check_op("SimplifiedLayerNormalization", x, scale, ref=rms_norm, axis=axis, outputs=2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layer_norm_factors_broadcast(dtype):
    x = randn(2, 3, 4, dtype=dtype)
    last = lambda *a, **k: layer_norm(*a, **k)[0]  # noqa: E731
    for scale, bias in [((1,), (4,)), ((3, 4), (3, 1)), ((2, 1, 1), (1, 1, 4))]:
        factors = randn(*scale, dtype=dtype), randn(*bias, dtype=dtype)
        check_op("LayerNormalization", x, *factors, ref=last, axis=-1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("skip", [(2, 5, 16), (1, 5, 16), (5, 16)])
def test_skip_norms(skip, dtype):
    x, skip = randn(2, 5, 16, dtype=dtype), randn(*skip, dtype=dtype, seed=3)
    gamma, beta, bias = (randn(16, dtype=dtype, seed=i) for i in range(3))
    ms = {"domain": "com.microsoft"}

    def total(*parts):
        return sum(p.astype(np.float64) for p in parts)

    summed = total(x, skip, bias)
    y, mean, inv_std = layer_norm(summed, gamma, beta, epsilon=1e-12)
    check_op(
        "SkipLayerNormalization",
        x,
        skip,
        gamma,
        beta,
        bias,
        ref=(y, mean, inv_std, summed),
        outputs=4,
        **ms,
    )
    check_op(
        "SkipLayerNormalization",
        x,
        skip,
        gamma,
        beta,
        ref=layer_norm(total(x, skip), gamma, beta, epsilon=1e-12)[0],
        **ms,
    )
    check_op(
        "SkipLayerNormalization",
        x,
        skip,
        gamma,
        None,
        bias,
        ref=layer_norm(summed, gamma, epsilon=0.1)[0],
        epsilon=0.1,
        **ms,
    )
    check_op(
        "SkipSimplifiedLayerNormalization",
        x,
        skip,
        gamma,
        bias,
        outputs=["y", "", "", "sum"],
        ref=(rms_norm(summed, gamma, epsilon=1e-6)[0], summed),
        epsilon=1e-6,
        **ms,
    )


def test_skip_norms_of_small_rows():
    """What epsilon is where no attribute says: 1e-12 in both."""
    x, gamma = randn(4, 8) * np.float32(1e-5), randn(8)
    for op in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"):
        check_op(op, x, x, gamma, domain="com.microsoft", ref="ort")


def test_embed_layer_norm():
    ids, segments = randint(0, 9, 2, 5, dtype=np.int32), randint(0, 2, 2, 5, dtype=np.int32)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    tables = [randn(9, 8), randn(6, 8), randn(2, 8)]
    factors = [randn(8), randn(8, seed=1)]
    positions = np.array([[4, 3, 2, 1, 0]], np.int32)
    ms = {"domain": "com.microsoft", "ref": "ort"}
    op = "EmbedLayerNormalization"
    check_op(op, ids, segments, *tables, *factors, mask, outputs=2, **ms)
    check_op(op, ids, segments, *tables, *factors, mask, positions, outputs=3, **ms)
    check_op(op, ids, None, *tables[:2], None, *factors, outputs=2, **ms)
    check_op(op, ids, None, *tables, *factors, outputs=2, **ms)  # all of the first segment
    bad = ids.copy()
    bad[1, 1] = 9
    expect_error(
        op,
        bad,
        segments,
        *tables,
        *factors,
        mask,
        outputs=2,
        domain="com.microsoft",
        match=r"word 9 is outside \[0, 9\)",
    )


def channels(v, ndim):
    return v.astype(np.float64).reshape(-1, *[1] * (ndim - 2))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(2, 3), (2, 6, 5), (2, 4, 5, 6), (1, 2, 3, 4, 5)])
def test_image_norms(shape, dtype):
    x = randn(*shape, dtype=dtype)
    scale, bias, mean = (randn(shape[1], dtype=dtype, seed=i) for i in range(3))
    var = np.abs(randn(shape[1], dtype=dtype, seed=4)) + dtype(0.5)
    wide, n = x.astype(np.float64), x.ndim
    y = (wide - channels(mean, n)) / np.sqrt(channels(var, n) + f32(1e-5))
    expected = y * channels(scale, n) + channels(bias, n)
    check_op("BatchNormalization", x, scale, bias, mean, var, ref=expected, length=4)
    check_op("BatchNormalization", x, scale, bias, mean, var, ref=expected, opset=7, length=4)
    if n == 2:
        return
    axes = tuple(range(2, n))
    y = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + f32(1e-5))
    expected = y * channels(scale, n) + channels(bias, n)
    check_op("InstanceNormalization", x, scale, bias, ref=expected, length=4)
    groups = shape[1] // 2
    by_group = wide.reshape(shape[0], groups, -1)
    y = (by_group - by_group.mean(2, keepdims=True)) / np.sqrt(
        by_group.var(2, keepdims=True) + f32(0.1)
    )
    expected = y.reshape(shape) * channels(scale, n) + channels(bias, n)
    check_op(
        "GroupNormalization", x, scale, bias, ref=expected, num_groups=groups, epsilon=0.1, length=4
    )
    few = randn(groups, dtype=dtype), randn(groups, dtype=dtype, seed=1)
    expected = y * few[0].astype(np.float64)[:, None] + few[1].astype(np.float64)[:, None]
    check_op(
        "GroupNormalization",
        x,
        *few,
        ref=expected.reshape(shape),
        num_groups=groups,
        epsilon=0.1,
        opset=18,
        length=4,
    )


@pytest.mark.parametrize("pixels", [(1,), (1, 1), (4, 5), (33, 33)])
def test_norms_of_what_is_equal(pixels):
    """The bias is all that is left, though the root of epsilon divides what is rounded."""
    x = (100 * randn(2, 6, *([1] * len(pixels)))).repeat(np.prod(pixels), 2).reshape(2, 6, *pixels)
    scale, bias = 3 * randn(6), randn(6, seed=1)
    wide = bias.reshape(6, *([1] * len(pixels)))
    check_op("InstanceNormalization", x, scale, bias, ref=wide + np.zeros_like(x))
    check_op("GroupNormalization", x, scale, bias, num_groups=6, ref=wide + np.zeros_like(x))


def test_batch_norm_in_training():
    x, scale, bias = randn(4, 3, 5, 5), randn(3), randn(3, seed=1)
    mean, var = randn(3, seed=2), np.abs(randn(3, seed=3))
    wide = x.astype(np.float64)
    now, spread = wide.mean((0, 2, 3)), wide.var((0, 2, 3))
    y = (wide - channels(now, 4)) / np.sqrt(channels(spread, 4) + f32(1e-5))
    y = y * channels(scale, 4) + channels(bias, 4)
    check_op(
        "BatchNormalization",
        x,
        scale,
        bias,
        mean,
        var,
        outputs=3,
        training_mode=1,
        momentum=0.8,
        ref=(y, mean * 0.8 + now * 0.2, var * 0.8 + spread * 0.2),
    )


@pytest.mark.parametrize("opset", [1, 6, 7, 9])
def test_old_batch_norm_in_training(opset):
    """Before opset 14 more outputs than one ask for training; the last two are the batch's own."""
    x, scale, bias = randn(4, 3, 5, 5), randn(3), randn(3, seed=1)
    mean, var = randn(3, seed=2), np.abs(randn(3, seed=3))
    wide = x.astype(np.float64)
    now, spread = wide.mean((0, 2, 3)), wide.var((0, 2, 3))
    y = (wide - channels(now, 4)) / np.sqrt(channels(spread, 4) + f32(1e-5))
    y = y * channels(scale, 4) + channels(bias, 4)
    running = mean * 0.8 + now * 0.2, var * 0.8 + spread * 0.2
    inputs = x, scale, bias, mean, var
    options = {"opset": opset, "momentum": 0.8}
    check_op("BatchNormalization", *inputs, outputs=5, ref=(y, *running, now, spread), **options)
    if opset < 7:
        y = (wide - channels(mean, 4)) / np.sqrt(channels(var, 4) + f32(1e-5))
        y = y * channels(scale, 4) + channels(bias, 4)
        check_op("BatchNormalization", *inputs, ref=y, is_test=1, **options)


def test_batch_norm_by_element():
    x = randn(2, 3, 4)
    parts = [np.abs(randn(3, 4, seed=i)).reshape(-1) for i in range(4)]
    scale, bias, mean, var = (p.reshape(3, 4).astype(np.float64) for p in parts)
    expected = (x - mean) / np.sqrt(var + f32(1e-5)) * scale + bias
    check_op("BatchNormalization", x, *parts, ref=expected, opset=7, spatial=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_lrn(dtype):
    x = randn(2, 7, 5, 6, dtype=dtype)
    for size in (1, 2, 3, 5, 20):
        squares = x.astype(np.float64) ** 2
        total = np.stack(
            [squares[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1].sum(1) for c in range(7)],
            1,
        )
        for beta in (0.6, 0.75):
            expected = x / (2.0 + f32(0.1) / size * total) ** f32(beta)
            check_op("LRN", x, ref=expected, size=size, alpha=0.1, beta=beta, bias=2.0)


def test_mean_variance_norm():
    x = randn(3, 4, 5, 6) + 2
    wide = x.astype(np.float64)
    for axes in ((0, 2, 3), (1,), (-1, 1)):
        mean, deviation = wide.mean(axes, keepdims=True), wide.std(axes, keepdims=True)
        expected = (wide - mean) / (deviation + 1e-9)
        check_op("MeanVarianceNormalization", x, ref=expected, axes=list(axes))


def test_norms_that_do_not_fit():
    x = randn(2, 4, 5)
    expect_error("LayerNormalization", x, randn(5), match="axis", axis=3)
    expect_error("InstanceNormalization", x, randn(3), randn(4), match=r"shape \[3\], expected")
    expect_error("GroupNormalization", x, randn(4), randn(4), match="in 3 groups", num_groups=3)
    expect_error("GroupNormalization", x, randn(4), randn(4), match="num_groups is 0", num_groups=0)
    expect_error("LRN", x, match="size is 0", size=0)


@pytest.mark.parametrize("across", [0, 1])
@pytest.mark.parametrize("divide", [0, 1])
def test_experimental_mean_variance_norm(across, divide):
    """Before opset 9 attributes chose the axes and whether to divide."""
    x = randn(2, 3, 4, 5)
    axes = (1, 2, 3) if across else (0, 2, 3)
    centred = x - x.mean(axes, keepdims=True)
    expected = centred / (x.std(axes, keepdims=True) + 1e-9) if divide else centred
    check_op(
        "MeanVarianceNormalization",
        x,
        ref=expected,
        opset=8,
        across_channels=across,
        normalize_variance=divide,
    )


def test_rms_normalization_of_mixed_types():
    for x_type, scale_type in [(np.float64, np.float32), (np.float32, np.float64),
                               (np.float64, np.float16)]:  # fmt: skip
        x, scale = randn(3, 8).astype(x_type), randn(8).astype(scale_type)
        wide = x.astype(np.float64)
        expected = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-5) * scale
        check_op("RMSNormalization", x, scale, ref=expected.astype(scale_type), length=8)
