"""MatMulBnb4 and MatMulFpQ4 of com.microsoft."""

import numpy as np
import onnxruntime
import pytest
from helpers import check_op, expect_error, make_model, randint, randn, run_op

import sardonyx

MS = {"domain": "com.microsoft"}


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(("k", "n", "block"), [(64, 24, 32), (48, 70, 16), (32, 130, 128)])
def test_tables(k, n, block, kind):
    codes = randint(0, 256, (n * k + 1) // 2, dtype=np.uint8)
    scales = np.abs(randn((n * k + block - 1) // block))
    options = MS | {"K": k, "N": n, "block_size": block, "quant_type": kind, "length": k}
    for rows in [(1,), (2, 9), (0,)]:
        check_op("MatMulBnb4", randn(*rows, k), codes, scales, ref="ort", **options)
    # The weights themselves, and their transposition.
    eye = np.eye(k, dtype=np.float32)
    weights = run_op("MatMulBnb4", eye, codes, scales, **{**options, "length": None})
    x = randn(5, n)
    check_op("MatMulBnb4", x, codes, scales, ref=x @ weights.T, transB=0, **options | {"length": n})


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_blobs(kind):
    block, zero = (64 if kind == 2 else 32), kind == 1
    for k, n in ((64, 8), (100, 70)):
        blocks = -(-k // block)
        codes = randint(0, 16, n, blocks, block, dtype=np.uint8)
        scales = np.abs(randn(n, blocks))
        zeros = randint(0, 16, n, blocks, dtype=np.uint8) if zero else np.full((n, blocks), 8)
        halves = codes.reshape(n, blocks, -1, 2, 16)
        data = (halves[..., 0, :] | halves[..., 1, :] << 4).reshape(n, blocks, -1)
        parts = [scales[..., None].view(np.uint8), data.astype(np.uint8)]
        if zero:
            parts.insert(1, zeros[..., None].astype(np.uint8))
        blob = np.concatenate(parts, -1).ravel()
        wide = (codes.astype(np.float64) - zeros[..., None]) * scales[..., None]
        weights = wide.reshape(n, -1)[:, :k].T
        inputs = (randn(5, k), blob, np.array([k, n]))
        model = make_model("MatMulFpQ4", inputs, constants=(1, 2), attrs={"blk_quant_type": kind},
                           **MS)  # fmt: skip
        y = sardonyx.load(model).run(None, {"x0": inputs[0]})[0]
        limits = {"rtol": 1e-5, "atol": 1e-4}
        np.testing.assert_allclose(y, inputs[0].astype(np.float64) @ weights, **limits)
        if kind == 2:  # refused by ONNX Runtime's own inference of shapes
            continue
        try:
            theirs = onnxruntime.InferenceSession(model.SerializeToString())
        except Exception as error:  # which it raises where the processor has no AVX-512
            if "not yet supported on this hardware" not in str(error):
                raise
            continue
        np.testing.assert_allclose(y, theirs.run(None, {"x0": inputs[0]})[0], **limits)


def test_refusals():
    x, codes, scales = randn(2, 32), randint(0, 256, 64, dtype=np.uint8), randn(4)
    options = MS | {"K": 32, "N": 4, "block_size": 32, "quant_type": 0}
    expect_error("MatMulBnb4", x, codes[1:].copy(), scales, match="B has 63", **options)
    expect_error("MatMulBnb4", x, codes, randn(5), match="absmax has 5", **options)
    expect_error("MatMulBnb4", randn(2, 31), codes, scales, match="rows of 32", **options)
    expect_error("MatMulBnb4", x, codes, scales, match="quant_type is 2",
                 **(options | {"quant_type": 2}))  # fmt: skip
