"""Random choices, and the table of operators that are tried with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FLOATS = (np.float32, np.float64, np.float16)
INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
NUMBERS = FLOATS + INTEGERS
SIZES = (0, 1, 2, 3, 5, 8, 17)
SIZE_CHANCES = (0.04, 0.2, 0.24, 0.22, 0.16, 0.09, 0.05)


@dataclass
class Case:
    """One node: its inputs (None leaves one out), attributes and number of outputs."""

    op: str
    inputs: list[Any]
    attrs: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    terms: int = 1  # what one result sums up

    def __str__(self) -> str:
        inputs = [None if x is None else f"{x.dtype}{list(x.shape)}" for x in self.inputs]
        small = [f"{x.tolist()}" for x in self.inputs if x is not None and x.size <= 8 and x.ndim]
        return f"{self.op}({inputs}, {self.attrs}) {' '.join(small)}"


class Draw:
    """Random choices that depend on the seed alone."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one(self, choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def number(self, low: int, high: int) -> int:
        """low <= number <= high."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def size(self, low: int = 0) -> int:
        while True:
            size = int(self.rng.choice(SIZES, p=SIZE_CHANCES))
            if size >= low:
                return size

    def shape(self, low: int = 0, high: int = 4, least: int = 0) -> tuple[int, ...]:
        return tuple(self.size(least) for _ in range(self.number(low, high)))

    def broadcastable(self, count: int, high: int = 4) -> list[tuple[int, ...]]:
        """Shapes that broadcast with each other."""
        full = self.shape(0, high)
        shapes = []
        for _ in range(count):
            start = self.number(0, len(full)) if self.chance(0.4) else 0
            shapes.append(tuple(1 if self.chance(0.25) else n for n in full[start:]))
        return shapes

    def array(self, dtype: Any, shape: tuple[int, ...], spread: float = 3.0) -> np.ndarray:
        dtype = np.dtype(dtype)
        if dtype.kind == "b":
            return self.rng.random(shape) < 0.5
        if dtype.kind == "f":
            return np.asarray(self.rng.standard_normal(shape) * spread).astype(dtype)
        low = 0 if dtype.kind == "u" else -9
        return np.asarray(self.rng.integers(low, 10, shape)).astype(dtype)

    def axis(self, rank: int) -> int:
        return self.number(-rank, rank - 1)

    def axes(self, rank: int, least: int = 0) -> list[int]:
        picked = self.rng.permutation(rank)[: self.number(min(least, rank), rank)]
        return [int(a) - rank if self.chance(0.3) else int(a) for a in picked]

    def integers(self, *values: int, dtype: Any = np.int64) -> np.ndarray:
        return np.array(values, dtype)


Maker = Callable[[Draw], Case]
CASES: dict[str, Maker] = {}


def case(*names: str) -> Callable[[Callable[..., Case]], Callable[..., Case]]:
    """Registers a maker for operators that share their form; it is given the name."""

    def register(make: Callable[..., Case]) -> Callable[..., Case]:
        for name in names:
            CASES[name] = lambda draw, name=name: make(draw, name)
        return make

    return register


def draw_case(op: str, seed: int) -> Case:
    return CASES[op](Draw(seed))
