"""LinearAttentionGate and MRotaryEmbedding of com.microsoft."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

ORT = {"domain": "com.microsoft", "ref": "ort"}
MS = {"domain": "com.microsoft"}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_gate(dtype):
    a, b = randn(2, 5, 4, dtype=dtype), randn(2, 5, 4, dtype=dtype, seed=1)
    bias, scale = randn(4), -np.abs(randn(4, seed=1))
    check_op("LinearAttentionGate", a, bias, scale, **ORT)
    check_op("LinearAttentionGate", a, bias, scale, b, outputs=2, **ORT)
    expect_error("LinearAttentionGate", a, bias, scale, match="needs input 3", outputs=2, **MS)


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rotation(dtype, layout, interleaved):
    batch, rows, heads, width = 2, 5, 3, 16
    angles = randn(20, width // 2)
    cos, sin = np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)
    positions = randint(0, 20, 3, batch, rows)
    options = ORT | {"mrope_layout": layout, "interleaved": interleaved, "num_heads": heads}
    x = randn(batch, rows, heads * width, dtype=dtype)
    for section in ([4, 2, 2], [2, 3, 3], [8, 0, 0]):
        check_op("MRotaryEmbedding", x, positions, cos, sin, mrope_section=section, **options)
    heads_first = randn(batch, heads, rows, width, dtype=dtype)
    options["mrope_section"] = [4, 2, 2]
    check_op("MRotaryEmbedding", heads_first, positions, cos, sin, **options)
    part = np.ascontiguousarray(cos[:, :4]), np.ascontiguousarray(sin[:, :4])
    options |= {"mrope_section": [2, 1, 1], "rotary_embedding_dim": 8}
    check_op("MRotaryEmbedding", x, positions, *part, **options)


def test_rotation_refusals():
    x, positions, table = randn(1, 2, 8), np.zeros((3, 1, 2), np.int64), randn(4, 4)
    args = ("MRotaryEmbedding", x, positions, table, table)
    expect_error(*args, match="3 entries|expected 3", mrope_section=[2, 2], **MS)
    expect_error(*args, match="5 pairs|do not broadcast", mrope_section=[2, 2, 1], **MS)
    expect_error("MRotaryEmbedding", x, positions + 9, table, table, match="out of range",
                 mrope_section=[2, 1, 1], **MS)  # fmt: skip
