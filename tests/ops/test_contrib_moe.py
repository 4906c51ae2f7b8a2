"""MoE and QMoE of com.microsoft."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

MS = {"domain": "com.microsoft"}


def packed(codes, bits):
    per = 8 // bits
    width = -(-codes.shape[-1] // per) * per
    room = np.zeros((*codes.shape[:-1], width), np.uint8)
    room[..., : codes.shape[-1]] = codes
    shifted = room.reshape(*room.shape[:-1], -1, per) << (np.arange(per, dtype=np.uint8) * bits)
    return shifted.sum(-1).astype(np.uint8)


def activated(name, a, b, fusion=0, alpha=1.0, beta=0.0, limit=np.inf):
    if name == "swiglu":
        half = a.shape[-1] // 2
        if fusion == 1:
            a, b = a[..., ::2], a[..., 1::2]
        elif fusion == 2:
            a, b = a[..., :half], a[..., half:]
        a, b = np.minimum(a, limit), np.clip(b, -limit, limit)
        return a / (1 + np.exp(-alpha * a)) * (b + beta)
    if name == "relu":
        a = np.maximum(a, 0)
    elif name == "gelu":
        a = 0.5 * a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3)))
    elif name == "silu":
        a = a / (1 + np.exp(-a))
    return a if b is None else a * b


def mixture(x, router, w1, b1, w2, b2, w3=None, b3=None, *, k, all_experts=True, normalised=0,
            mixing=None, **kind):  # fmt: skip
    """What the experts say, in float64."""
    rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
    y = np.zeros_like(rows)
    for t, row in enumerate(rows):
        logits = router[t].astype(np.float64)
        best = np.argsort(-logits, kind="stable")[:k]
        share = np.exp(logits - logits.max())
        if all_experts and not normalised:
            share /= share.sum()
        else:
            share /= share[best].sum()
        if mixing is not None:
            share = mixing[t] / (mixing[t][best].sum() if normalised else 1)
        for e in best:
            a = w1[e] @ row + (0 if b1 is None else b1[e])
            b = None if w3 is None else w3[e] @ row + (0 if b3 is None else b3[e])
            h = activated(kind.get("activation_type", "relu"), a, b, kind.get("swiglu_fusion", 0),
                          kind.get("activation_alpha", 1.0), kind.get("activation_beta", 0.0),
                          kind.get("swiglu_limit", np.inf))  # fmt: skip
            y[t] += share[e] * (w2[e] @ h + (0 if b2 is None else b2[e]))
    return y.reshape(x.shape)


def small(*shape, seed=0, dtype=np.float32):
    return (randn(*shape, seed=seed) * np.float32(0.2)).astype(dtype)


@pytest.mark.parametrize("normalised", [0, 1])
@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("kind", ["relu", "gelu", "silu", "identity", "swiglu"])
@pytest.mark.parametrize("tokens", [(1,), (2, 9), (70,)])
def test_like_onnxruntime(tokens, kind, k, normalised):
    experts, hidden, inner = 5, 24, 36
    fused = 2 if kind == "swiglu" else 1
    options = {"activation_type": kind, "k": k, "normalize_routing_weights": normalised}
    if kind == "swiglu":
        options |= {"swiglu_fusion": 1, "activation_alpha": 1.7, "activation_beta": 1.0,
                    "swiglu_limit": 0.9}  # fmt: skip
    x, count = randn(*tokens, hidden), int(np.prod(tokens))
    router = randn(count, experts)
    w1, w2 = small(experts, fused * inner, hidden), small(experts, hidden, inner, seed=1)
    b1, b2 = small(experts, fused * inner), small(experts, hidden)
    for biases in ((b1, b2), (None, None)):
        inputs = (x, router, w1, biases[0], w2, biases[1])
        check_op("MoE", *inputs, ref="ort", length=hidden * inner, **options, **MS)
        expected = mixture(*inputs, **(options | {"normalised": normalised}))
        check_op("MoE", *inputs, ref=expected, length=hidden * inner, **options, **MS)


@pytest.mark.parametrize("fusion", [0, 2])
def test_other_gates(fusion):
    experts, hidden, inner = 4, 16, 20
    x, router = randn(7, hidden), randn(7, experts)
    w1, w3 = small(experts, (2 if fusion else 1) * inner, hidden), small(experts, inner, hidden)
    w2, b3 = small(experts, hidden, inner), small(experts, inner)
    options = {"activation_type": "swiglu", "swiglu_fusion": fusion, "k": 2, "swiglu_limit": 0.7,
               "activation_alpha": 1.5, "activation_beta": 0.5}  # fmt: skip
    inputs = (x, router, w1, None, w2, None) + (() if fusion else (w3, b3))
    check_op("MoE", *inputs, ref=mixture(*inputs, **options), length=320, **options, **MS)
    if not fusion:
        options = {"activation_type": "silu", "k": 2}
        check_op("MoE", *inputs, ref=mixture(*inputs, **options), length=320, **options, **MS)


def test_types():
    experts, hidden, inner = 4, 16, 20
    for dtype in (np.float16,):
        inputs = [randn(7, hidden), randn(7, experts), small(experts, inner, hidden),
                  small(experts, inner), small(experts, hidden, inner), None]  # fmt: skip
        narrow = [None if each is None else each.astype(dtype) for each in inputs]
        wide = [None if each is None else each.astype(np.float64) for each in narrow]
        expected = mixture(*wide, k=2).astype(dtype)
        check_op("MoE", *narrow, ref=expected, k=2, **MS)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("block", [0, 16, 32])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("tokens", [1, 6, 90])
def test_quantised(tokens, bits, block, zeros):
    experts, hidden, inner, k = 6, 64, 96, 2
    x, router = randn(tokens, hidden), randn(tokens, experts)
    codes, scales, points, wide = [], [], [], []
    for i, (n, depth) in enumerate([(2 * inner, hidden), (hidden, inner)]):
        code = randint(0, 1 << bits, experts, n, depth, dtype=np.uint8, seed=i)
        shape = (experts, n, depth // block) if block else (experts, n)
        scale = (np.abs(randn(*shape, seed=i)) + 0.5) * 0.3 / (1 << bits)
        scale = scale.astype(np.float32)
        zero = randint(0, 1 << bits, *shape, dtype=np.uint8, seed=i)
        codes.append(packed(code, bits))
        scales.append(scale)
        points.append(packed(zero, bits) if zeros else None)
        middle = zero if zeros else np.full(shape, 1 << (bits - 1))
        spread = np.repeat(scale, block, -1) if block else scale[..., None]
        at = np.repeat(middle, block, -1) if block else middle[..., None]
        wide.append((code.astype(np.float64) - at) * spread)
    b1, b2 = small(experts, 2 * inner), small(experts, hidden)
    options = {"activation_type": "swiglu", "swiglu_fusion": 1, "k": k, "expert_weight_bits": bits,
               "activation_alpha": 1.702, "activation_beta": 1.0, "swiglu_limit": 7.0}  # fmt: skip
    if block:
        options["block_size"] = block
    inputs = [x, router, codes[0], scales[0], b1, codes[1], scales[1], b2, *[None] * 3, *points]
    about = options | {"all_experts": False}
    expected = mixture(x, router, wide[0], b1, wide[1], b2, **about)
    check_op("QMoE", *inputs, ref=expected, length=hidden * inner, **options, **MS)
    if bits == 4 and tokens != 6:
        # Some of its 8-bit products round activations, so only these are close.
        check_op("QMoE", *inputs, ref="ort", length=64 * hidden * inner, **options, **MS)
    mixing = np.abs(small(tokens, experts, seed=3)) + np.float32(0.1)
    inputs += [None] * (14 - len(inputs)) + [mixing]
    expected = mixture(x, router, wide[0], b1, wide[1], b2, mixing=mixing, **about)
    check_op("QMoE", *inputs, ref=expected, length=hidden * inner, **options, **MS)


def test_refusals():
    x, router, w1, w2 = randn(3, 8), randn(3, 4), randn(4, 6, 8), randn(4, 8, 6)
    op = "MoE"
    expect_error(op, x, router, w1, None, w2, match="k is 5 of 4", k=5, **MS)
    expect_error(op, x, randn(2, 4), w1, None, w2, match="for 3 tokens", **MS)
    expect_error(op, x, router, w1, None, randn(4, 8, 5), match="weights do not fit", **MS)
    expect_error(op, x, router, w1, None, None, match="input 4 is missing", **MS)
    expect_error(op, x, router, w1, None, w2, match="needs a third", activation_type="swiglu", **MS)
    expect_error(op, x, router, w1, None, w2, match="activation_type", activation_type="x", **MS)
