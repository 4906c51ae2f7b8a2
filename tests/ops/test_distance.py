"""CDist against SciPy's definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import check_op, expect_error, randn

CONTRIB: dict[str, Any] = {"domain": "com.microsoft"}


def cdist(a: np.ndarray, b: np.ndarray, metric: str = "sqeuclidean") -> np.ndarray:
    squares = np.square(a.astype(np.float64)[:, None] - b.astype(np.float64)[None]).sum(-1)
    return (np.sqrt(squares) if metric == "euclidean" else squares).astype(a.dtype)


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_cdist(metric: str) -> None:
    for rows, others, columns in [
        (3, 4, 5),
        (1, 1, 1),
        (40, 7, 64),
        (0, 3, 2),
        (3, 0, 2),
        (2, 3, 0),
    ]:
        for dtype in (np.float32, np.float64):
            a, b = randn(rows, columns, dtype=dtype), randn(others, columns, dtype=dtype, seed=1)
            check_op("CDist", a, b, metric=metric, ref=cdist, **CONTRIB)


def test_rows_that_lie_close_together_keep_their_digits() -> None:
    a = np.full((1, 4), 1000, np.float32)
    check_op(
        "CDist", a, np.nextafter(a, np.float32(2000)), metric="euclidean", ref=cdist, **CONTRIB
    )


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0, 3])
def test_powers(p: float) -> None:
    # scikit-learn's converter writes these; ONNX Runtime has no kernel for them.
    def minkowski(a: np.ndarray, b: np.ndarray, **_: Any) -> np.ndarray:
        sums = (np.abs(a.astype(np.float64)[:, None] - b.astype(np.float64)[None]) ** p).sum(-1)
        return (sums ** (1 / p)).astype(a.dtype)

    a, b = randn(6, 5), randn(4, 5, seed=1)
    check_op("CDist", a, b, metric="minkowski", p=p, ref=minkowski, **CONTRIB)


def test_refusals() -> None:
    expect_error(
        "CDist", randn(2, 3), randn(2, 3), metric="minkowski", p=0.0, match="p is 0", **CONTRIB
    )
    expect_error("CDist", randn(2, 3), randn(2, 4), match="as many columns", **CONTRIB)
    expect_error("CDist", randn(2, 3), randn(2, 3), metric="cosine", match="cosine", **CONTRIB)
