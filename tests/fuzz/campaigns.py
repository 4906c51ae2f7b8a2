"""The kinds of fuzzing: what makes a case from a seed, and what is asked of it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checks import is_the_same_everywhere, loads_and_runs
from corpus import corpus
from isolation import Case, Check, Make
from mutations import mutated
from schemas import SCHEMAS, random_model

DEFAULT_RECORD = Path(tempfile.gettempdir()) / "sardonyx_fuzz_corpus.pickle"


@dataclass
class Campaign:
    make: Make
    check: Check


def structure(recorded: Path | None = None) -> Campaign:
    """Valid models, mutated."""
    samples = corpus(recorded)

    def make(seed: int) -> Case:
        rng = random.Random(f"structure {seed}")
        sample = rng.choice(samples)
        data, feeds, done = mutated(sample, rng)
        return data, feeds, [sample.name, *done]

    return Campaign(make, loads_and_runs)


def operators(recorded: Path | None = None) -> Campaign:
    """Every version of every operator, over and over, from its schema alone."""

    def make(seed: int) -> Case:
        rng = random.Random(f"operators {seed}")
        return random_model(SCHEMAS[seed % len(SCHEMAS)], rng)

    return Campaign(make, loads_and_runs)


def bytes_(recorded: Path | None = None) -> Campaign:
    """Valid files with bytes changed, cut out and doubled."""
    samples = corpus(recorded)

    def make(seed: int) -> Case:
        rng = random.Random(f"bytes {seed}")
        sample = rng.choice(samples)
        data = bytearray(sample.model)
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            at = rng.randrange(len(data) + 1)
            piece = rng.choice((b"", rng.randbytes(1), rng.randbytes(4), data[at : at + 16]))
            data[at : at + rng.choice((0, 1, 1, 2, 8))] = piece
            data = data or bytearray(b"\0")
        return bytes(data), dict(sample.feeds), [sample.name]

    return Campaign(make, loads_and_runs)


def differential(recorded: Path | None = None) -> Campaign:
    """Valid random graphs, which compute the same however they are run."""
    from graphs import random_graph
    from quantized import quantized_graph

    def make(seed: int) -> Case:
        # Beyond the seeds that the tests run.
        maker = (quantized_graph if seed % 3 == 0 else random_graph)(5000 + seed)
        return maker.model().SerializeToString(), maker.feeds, [f"graph {seed}", str(maker.terms)]

    return Campaign(make, is_the_same_everywhere)


CAMPAIGNS: dict[str, Callable[..., Campaign]] = {
    "bytes": bytes_,
    "structure": structure,
    "operators": operators,
    "differential": differential,
}
