"""DFT, STFT, MelWeightMatrix and the windows."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randn, run_op
from onnx import helper

FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
# Primes, prime powers and products of small primes, up to lengths that need several stages.
LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 23, 30, 34, 49, 60, 64, 97, 121, 128,
           169, 210, 251, 360, 512, 1009, 1024, 2310, 4099]  # fmt: skip


def scalar(value, dtype=np.int64):
    return np.array(value, dtype)


def as_complex(x):
    return x[..., 0] if x.shape[-1] == 1 else x[..., 0] + 1j * x[..., 1]


def as_pairs(z):
    return np.stack([z.real, z.imag], -1)


def dft_np(x, length=None, axis=-2, *, inverse=0, onesided=0):
    z = as_complex(x.astype(np.float64))
    axis = axis + z.ndim + 1 if axis < 0 else axis
    n = None if length is None else int(length)
    if onesided and inverse:
        return np.fft.irfft(z, n, axis)[..., None].astype(x.dtype)
    if onesided:
        return as_pairs(np.fft.rfft(z, n, axis)).astype(x.dtype)
    return as_pairs((np.fft.ifft if inverse else np.fft.fft)(z, n, axis)).astype(x.dtype)


@pytest.mark.parametrize("length", LENGTHS)
def test_lengths(length):
    real, pairs = randn(2, length, 1, dtype=np.float64), randn(2, length, 2, dtype=np.float64)
    for x, inverse in itertools.product([real, pairs], [0, 1]):
        got = run_op("DFT", x, inverse=inverse)
        np.testing.assert_allclose(got, dft_np(x, inverse=inverse), rtol=0, atol=1e-12 * length)
    got = run_op("DFT", real, onesided=1)
    np.testing.assert_allclose(got, dft_np(real, onesided=1), rtol=0, atol=1e-12 * length)
    half = randn(2, length // 2 + 1, 2, dtype=np.float64)
    got = run_op("DFT", half, scalar(length), onesided=1, inverse=1)
    expected = dft_np(half, length, onesided=1, inverse=1)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("length", LENGTHS)
def test_lengths_in_float32(length):
    for width, inverse in itertools.product([1, 2], [0, 1]):
        x = randn(3, length, width)
        wide = dft_np(x.astype(np.float64), inverse=inverse)
        got = run_op("DFT", x, inverse=inverse)
        np.testing.assert_allclose(got, wide, rtol=0, atol=1e-6 * np.abs(wide).max())


def test_dft_axes_and_lengths():
    x, z = randn(3, 4, 10, 1), randn(3, 4, 10, 2)
    for value, axis, length in itertools.product([x, z], [0, 1, 2, -2, -4], [None, 4, 7, 16]):
        given = None if length is None else scalar(length)
        expected = dft_np(value, length, axis)
        check_op("DFT", value, given, scalar(axis), ref=expected, length=16)
    check_op("DFT", x, scalar(9, np.int32), ref=dft_np, length=16)
    check_op("DFT", x, opset=17, ref=dft_np(x, axis=1), length=16)
    check_op("DFT", z, scalar(5), axis=-2, inverse=1, opset=17, ref=dft_np(z, 5, inverse=1))
    check_op("DFT", z, onesided=1, inverse=1, ref=dft_np(z, onesided=1, inverse=1), length=16)
    check_op("DFT", x, scalar(6), scalar(0), onesided=1, ref=dft_np(x, 6, 0, onesided=1), length=16)
    check_op("DFT", np.zeros((0, 5, 1), np.float32), ref=np.zeros((0, 5, 2), np.float32))
    check_op("DFT", np.zeros((2, 0, 1), np.float32), scalar(3), ref=np.zeros((2, 3, 2), np.float32))


@pytest.mark.parametrize("dtype", FLOATS)
def test_types(dtype):
    x = randn(2, 12, 1, dtype=dtype)
    check_op("DFT", x, ref=dft_np, length=12)
    check_op("DFT", randn(2, 7, 2, dtype=dtype), onesided=1, inverse=1, ref=dft_np, length=12)
    check_op("STFT", x, scalar(4), None, scalar(6), ref=stft_np(x, 4, None, 6, 1), length=12)


def test_dft_refuses():
    x = randn(2, 8, 1)
    expect_error("DFT", randn(2, 8, 3), match="last axis has size 3")
    expect_error("DFT", x, None, scalar(2), match="real and imaginary parts")
    expect_error("DFT", x, scalar(0), match="dft_length of 0")
    expect_error("DFT", x, onesided=1, inverse=1, match="onesided transforms go from real")
    expect_error("DFT", randn(2, 8, 2), onesided=1, match="onesided transforms go from real")
    expect_error("DFT", randn(2, 1, 2), onesided=1, inverse=1, match="length 0")
    expect_error("DFT", np.zeros((2, 0, 1), np.float32), match="length 0")


def stft_np(x, step, window, length, onesided):
    z = as_complex(x.astype(np.float64))
    length = length or (len(window) if window is not None else z.shape[1])
    window = np.ones(length) if window is None else window.astype(np.float64)
    starts = range(0, z.shape[1] - length + 1, step)
    frames = np.stack([z[:, i : i + length] * window for i in starts], 1)
    return as_pairs((np.fft.rfft if onesided else np.fft.fft)(frames)).astype(x.dtype)


def test_stft():
    x, z, window = randn(2, 40, 1), randn(2, 40, 2), randn(16)
    for step, given, length in [(4, window, None), (3, None, 9), (5, window, 16), (1, None, None)]:
        options = {"length": 40}
        size = None if length is None else scalar(length)
        for onesided in [0, 1]:
            expected = stft_np(x, step, given, length, onesided)
            check_op(
                "STFT", x, scalar(step), given, size, onesided=onesided, ref=expected, **options
            )
        expected = stft_np(z, step, given, length, 0)
        size = None if length is None else scalar(length, np.int32)
        narrow = scalar(step, np.int32)
        check_op("STFT", z, narrow, given, size, onesided=0, ref=expected, **options)
    check_op("STFT", x, scalar(8), window, ref="ort", length=40)
    expect_error("STFT", x, scalar(0), window, match="frame_step of 0")
    expect_error("STFT", x, None, window, match="frame_step is missing")
    expect_error("STFT", x, scalar(4), window, scalar(8), match="window of size 16")
    expect_error("STFT", x, scalar(4), None, scalar(41), match="in a signal of 40")
    expect_error("STFT", z, scalar(4), window, match="not onesided")
    expect_error("STFT", x, scalar(4), window.astype(np.float64), match="with a window of")


def test_mel_weight_matrix():
    for bands, length, rate, low, high in [
        (8, 16, 8192, 0, 4096),
        (40, 512, 16000, 20, 7600),
        (3, 8, 1000, 0, 900),
        (12, 8, 8000, 0, 4000),
    ]:
        numbers = [scalar(bands), scalar(length), scalar(rate)]
        edges = [scalar(low, np.float32), scalar(high, np.float32)]
        check_op("MelWeightMatrix", *numbers, *edges, ref=mel_np(bands, length, rate, low, high))
    small = [scalar(v, np.int32) for v in (4, 16, 8192)]
    for dtype in [np.float16, np.float64]:
        edges = [scalar(0, dtype), scalar(4096, dtype)]
        for code in [1, 10, 11, 16, 2, 7]:
            kind = helper.tensor_dtype_to_np_dtype(code)
            expected = mel_np(4, 16, 8192, 0, 4096).astype(kind)
            check_op("MelWeightMatrix", *small, *edges, output_datatype=code, ref=expected)
    edges = [scalar(0.0, np.float32), scalar(10.0, np.float32)]
    bad = [scalar(4), scalar(16), scalar(0)]
    expect_error("MelWeightMatrix", *bad, *edges, match="sample_rate is 0")
    edges = [scalar(20.0, np.float32), scalar(10.0, np.float32)]
    good = [scalar(4), scalar(16), scalar(100)]
    expect_error("MelWeightMatrix", *good, *edges, match="edges of 20 and 10")


def mel_np(bands, length, rate, low, high):
    mel = np.linspace(2595 * np.log10(1 + low / 700), 2595 * np.log10(1 + high / 700), bands + 3)
    edges = np.floor((length + 1) * 700 * (10 ** (mel[:-1] / 2595) - 1) / rate).astype(int)
    result = np.zeros((length // 2 + 1, bands))
    for i, (left, center, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for k in range(len(result)):
            if k == center:
                result[k, i] = 1
            elif left <= k < center:
                result[k, i] = (k - left) / (center - left)
            elif center < k < right:
                result[k, i] = (right - k) / (right - center)
    return result.astype(np.float32)


@pytest.mark.parametrize("name", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_windows(name):
    for code in [1, 10, 11, 16, 2, 3, 4, 5, 6, 7, 12, 13]:
        kind = helper.tensor_dtype_to_np_dtype(code)
        for periodic, size in itertools.product([0, 1], [1, 10]):
            got = run_op(name, scalar(size), output_datatype=code, periodic=periodic)
            assert got.dtype == kind
        got = run_op(name, scalar(10, np.int32), output_datatype=11, periodic=0)
        terms = {"HannWindow": np.hanning, "HammingWindow": None, "BlackmanWindow": np.blackman}
        if terms[name]:
            np.testing.assert_allclose(got, terms[name](10), atol=1e-12)
