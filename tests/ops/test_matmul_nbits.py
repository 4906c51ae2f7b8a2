"""com.microsoft MatMulNBits: products with weights of a few bits in blocks."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn


def pack(codes, bits):
    """Codes along the last axis, low bits first, the last byte filled up with zeros."""
    per_byte = 8 // bits
    pad = -codes.shape[-1] % per_byte
    codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, pad)])
    parts = codes.reshape(*codes.shape[:-1], -1, per_byte).astype(np.uint16)
    return (parts << np.arange(per_byte) * bits).sum(-1).astype(np.uint8)


class Weights:
    def __init__(self, k, n, bits, block, *, dtype=np.float32):
        blocks = -(-k // block)
        self.codes = randint(0, 1 << bits, n, blocks, block)
        self.b = pack(self.codes, bits)
        self.scales = (np.abs(randn(n, blocks)) * 0.1 + 0.01).astype(dtype)
        self.zeros = randint(0, 1 << bits, n, blocks, seed=1)
        self.packed_zeros = pack(self.zeros, bits)
        self.float_zeros = (randn(n, blocks, seed=2) * 3).astype(dtype)
        self.bias = randn(n, dtype=dtype)
        self.attrs = {"K": k, "N": n, "bits": bits, "block_size": block}

    def product(self, x, zeros=None, bias=None):
        middle = float(1 << (self.attrs["bits"] - 1))
        zeros = np.full(self.scales.shape, middle) if zeros is None else zeros
        scales = self.scales.astype(np.float64)[..., None]
        wide = (self.codes - zeros.astype(np.float64)[..., None]) * scales
        k = self.attrs["K"]
        y = x.astype(np.float64) @ wide.reshape(len(wide), -1)[:, :k].T
        return (y if bias is None else y + bias.astype(np.float64)).astype(x.dtype)


CASES = [
    (64, 8, 4, 32),
    (32, 17, 4, 16),
    (256, 70, 4, 64),
    (100, 33, 4, 32),
    (77, 65, 4, 16),
    (300, 130, 4, 128),
    (513, 40, 4, 256),
    (1024, 9, 4, 1024),
    (64, 12, 8, 32),
    (75, 33, 8, 16),
    (1030, 40, 8, 512),
    (300, 70, 8, 128),
    (300, 70, 2, 128),
    (64, 12, 2, 32),
    (75, 33, 2, 16),
    (1, 1, 4, 16),
]


@pytest.mark.parametrize(("k", "n", "bits", "block"), CASES)
def test_products(k, n, bits, block):
    w = Weights(k, n, bits, block)
    options = w.attrs | {"domain": "com.microsoft", "length": k}
    for rows in [(1,), (3,), (2, 5), (40,), (0,)]:
        x = randn(*rows, k)
        inputs = (x, w.b, w.scales.ravel())
        check_op("MatMulNBits", *inputs, ref=w.product(x), **options)
        expected = w.product(x, w.zeros)
        check_op("MatMulNBits", *inputs, w.packed_zeros.ravel(), ref=expected, **options)
        expected = w.product(x, w.float_zeros, w.bias)
        check_op("MatMulNBits", *inputs, w.float_zeros.ravel(), None, w.bias,
                 ref=expected, **options)  # fmt: skip
        check_op("MatMulNBits", *inputs, None, None, w.bias,
                 ref=w.product(x, bias=w.bias), **options)  # fmt: skip


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("groups", ["as they are", "mixed", "uneven"])
def test_groups(bits, groups):
    """Which group of scales each depth belongs to, as exporters of GPTQ with reordering say."""
    k, n, block = 96, 20, 32
    w = Weights(k, n, bits, block)
    g_idx = np.arange(k, dtype=np.int32) // block
    if groups == "mixed":
        g_idx = g_idx[np.random.default_rng(0).permutation(k)]
    elif groups == "uneven":
        g_idx = randint(0, k // block, k, dtype=np.int32)
    codes = w.codes.reshape(n, -1)
    for zeros in (None, w.zeros):
        middle = np.full(w.scales.shape, 1 << (bits - 1)) if zeros is None else zeros
        wide = (codes - middle[:, g_idx].astype(np.float64)) * w.scales[:, g_idx]
        given = None if zeros is None else w.packed_zeros.ravel()
        for rows in (1, 5, 30):
            x = randn(rows, k)
            expected = (x.astype(np.float64) @ wide.T).astype(np.float32)
            inputs = (x, w.b, w.scales.ravel(), given, g_idx)
            options = w.attrs | {"domain": "com.microsoft", "length": k}
            check_op("MatMulNBits", *inputs, ref=expected, **options)
            if bits == 4 and zeros is None:  # ONNX Runtime leaves packed zero points out
                check_op("MatMulNBits", *inputs, ref="ort", **options)
    g_idx[3] = k // block
    expect_error("MatMulNBits", x, w.b, w.scales.ravel(), None, g_idx, match="g_idx holds",
                 **options)  # fmt: skip


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_against_onnxruntime(bits):
    w = Weights(128, 24, bits, 32)
    options = w.attrs | {"domain": "com.microsoft", "length": 128}
    x = randn(5, 128)
    inputs = (x, w.b, w.scales.ravel())
    check_op("MatMulNBits", *inputs, ref="ort", **options)
    check_op("MatMulNBits", *inputs, w.packed_zeros.ravel(), ref="ort", **options)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_float16(bits):
    w = Weights(96, 40, bits, 32, dtype=np.float16)
    options = w.attrs | {"domain": "com.microsoft"}
    for rows in (1, 20):
        x = randn(rows, 96, dtype=np.float16)
        inputs = (x, w.b, w.scales.ravel())
        check_op("MatMulNBits", *inputs, ref=w.product(x), **options)
        check_op("MatMulNBits", *inputs, w.packed_zeros.ravel(), None, w.bias,
                 ref=w.product(x, w.zeros, w.bias), **options)  # fmt: skip
        check_op("MatMulNBits", *inputs, w.float_zeros.ravel(),
                 ref=w.product(x, w.float_zeros), **options)  # fmt: skip


def test_refusals():
    w = Weights(64, 8, 4, 32)
    x, scales = randn(2, 64), w.scales.ravel()

    def refuse(*inputs, match, **attrs):
        options = w.attrs | attrs
        expect_error("MatMulNBits", *inputs, match=match, domain="com.microsoft", **options)

    refuse(randn(2, 63), w.b, scales, match="K is 64")
    refuse(x, w.b[:, :1].copy(), scales, match="B has 128 elements, not 256")
    refuse(x, w.b, scales[1:].copy(), match="scales has 15 elements, not 16")
    refuse(x, w.b, scales, w.packed_zeros.ravel()[1:].copy(), match="zero_points has 7 elements")
    refuse(x, w.b, scales, w.zeros.ravel().astype(np.int32), match="zero_points are int32")
    refuse(x, w.b, scales, None, None, randn(7), match="bias has 7 elements, not 8")
    refuse(x, w.b, scales, None, None, randint(0, 9, 8), match="bias is int64")
    refuse(x, w.b, scales, None, np.zeros(63, np.int32), match="g_idx has 63")
    refuse(x, w.b, scales, match="bits is 3", bits=3)
    refuse(x, w.b, scales, match="block_size is 24", block_size=24)
    refuse(x, w.b, scales, match="N is -8", N=-8)
    refuse(x, w.b, scales, match="large|overflow", K=2**40, N=2**40)
