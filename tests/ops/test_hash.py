"""MurmurHash3 against scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import check_op, expect_error, randn

CONTRIB: dict[str, Any] = {"domain": "com.microsoft"}
WORDS = np.array(
    ["", "a", "ab", "abc", "abcd", "abcde", "\u00e9t\u00e9", "\U0001f600 " * 9], object
)


def murmur(x: np.ndarray, positive: int = 1, seed: int = 0) -> np.ndarray:
    utils = pytest.importorskip("sklearn.utils")
    items = [v.encode() if isinstance(v, str) else v.tobytes() for v in x.reshape(-1)]
    hashes = [utils.murmurhash3_32(item, seed=seed, positive=bool(positive)) for item in items]
    return np.array(hashes, np.uint32 if positive else np.int32).reshape(x.shape)


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("seed", [0, 42])
def test_murmurhash3(positive: int, seed: int) -> None:
    numbers = np.array([[0, 1, 2, 3], [7, 100, 10**6, 2**31 - 1]])
    for x in (
        WORDS,
        WORDS.reshape(2, 4),
        randn(3, 4),
        randn(5, dtype=np.float64),
        np.zeros((0, 2), np.int32),
        *(numbers.astype(t) for t in (np.int32, np.uint32, np.int64, np.uint64)),
    ):
        check_op("MurmurHash3", x, positive=positive, seed=seed, ref=murmur, **CONTRIB)


def test_refuses_narrow_types() -> None:
    expect_error("MurmurHash3", np.zeros(3, np.int8), match="int8", **CONTRIB)
