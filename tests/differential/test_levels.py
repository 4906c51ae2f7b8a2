"""Random graphs: every level, thread count and instruction set computes what the file says."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx.printer
import pytest
from graphs import random_graph
from helpers import compare, tolerance
from maker import Maker
from quantized import quantized_graph

import sardonyx

SEEDS = range(90)
LARGE_SEEDS = range(1000, 1008)
QUANTIZED_SEEDS = range(40)
TIERS = ["baseline"] + (["avx2", "avx512"] if platform.machine() in ("x86_64", "AMD64") else [])


def describe(seed: int, maker: Maker) -> str:
    return f"seed {seed}:\n{onnx.printer.to_text(maker.model())}"


def run(maker: Maker, **options: object) -> list[np.ndarray]:
    return sardonyx.load(maker.model(), **options).run(None, maker.feeds)


def by_reference(maker: Maker) -> tuple[list[np.ndarray], float]:
    """The outputs, and the largest number on the way to them: errors arise at its scale."""
    model = maker.model(maker.values())
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        values = ReferenceEvaluator(model).run(None, maker.feeds)
    else:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        values = session.run(None, maker.feeds)
    largest = max(float(np.abs(v).max()) for v in values if v.dtype == np.float32 and v.size)
    return values[: len(maker.outputs)], largest


def agree(expected: list, actual: list, maker: Maker, largest: float, where: str) -> None:
    assert len(expected) == len(actual), where
    relative, scaled = tolerance(np.dtype(np.float32), maker.terms)
    for i, (e, a) in enumerate(zip(expected, actual, strict=True)):
        compare(e, a, f"output {i}, {where}", limits=(relative, scaled * largest))


@pytest.mark.parametrize("seed", SEEDS)
def test_levels(seed: int) -> None:
    maker = random_graph(seed)
    where = describe(seed, maker)
    expected, largest = by_reference(maker)
    for level in (0, 1, 2):
        agree(expected, run(maker, level=level), maker, largest, f"level {level}, {where}")


@pytest.mark.parametrize("seed", QUANTIZED_SEEDS)
def test_quantized(seed: int) -> None:
    maker = quantized_graph(seed)
    where = describe(seed, maker)
    expected = run(maker, level=0)
    for options in ({"level": 1}, {"level": 2}, {"level": 2, "threads": 1}):
        for e, a in zip(expected, run(maker, **options), strict=True):
            np.testing.assert_array_equal(a, e, err_msg=f"{options}, {where}")
    reference, largest = by_reference(maker)
    agree(reference, expected, maker, largest, f"level 0, {where}")


@pytest.mark.parametrize("seed", LARGE_SEEDS)
def test_threads(seed: int) -> None:
    maker = random_graph(seed, large=True)
    alone, together = run(maker, threads=1), run(maker, threads=2)
    for a, b in zip(alone, together, strict=True):
        assert a.tobytes() == b.tobytes(), describe(seed, maker)


@pytest.mark.parametrize("tier", TIERS)
def test_instruction_sets(tier: str, tmp_path: Path) -> None:
    file = tmp_path / "results.npz"
    environment = os.environ | {"SDX_ISA": tier, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, __file__, file], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(file) as results:
        for seed in SEEDS:
            maker = random_graph(seed)
            expected, largest = by_reference(maker)
            actual = [results[f"{seed}_{i}"] for i in range(len(expected))]
            agree(expected, actual, maker, largest, f"tier {tier}, {describe(seed, maker)}")


def main(file: str) -> None:
    """Runs every graph under the instruction set of the environment and keeps the results."""
    results = {}
    for seed in SEEDS:
        for i, array in enumerate(run(random_graph(seed))):
            results[f"{seed}_{i}"] = array
    np.savez(file, **results)


if __name__ == "__main__":
    main(sys.argv[1])
