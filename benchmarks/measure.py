"""Measuring engines side by side: in turns, so that drift of the machine cancels in ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cases import Case
from engines import ENGINES, OURS, Engine, Feeds, Run

LEAST_RUNS = 2


def burst(run: Run, feeds: Feeds, seconds: float) -> float:
    """Seconds of one run: the median of a burst."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        run(feeds)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def worst_error(results: list[Any], expected: list[Any]) -> float | None:
    """Of floats relative to the reference's largest value; of labels the share that differs."""
    errors = []
    for actual, wanted in zip(results, expected, strict=False):
        if isinstance(wanted, np.ndarray) and wanted.dtype.kind in "iU" and wanted.size:
            labels = np.asarray(actual).astype(str)
            if labels.shape != wanted.shape:
                return None
            errors.append(float((labels != wanted.astype(str)).mean()))
        if isinstance(wanted, np.ndarray) and wanted.dtype.kind == "f" and wanted.size:
            found = np.asarray(actual, np.float64)
            if found.shape != wanted.shape:
                return None
            errors.append(float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30)))
    return max(errors, default=None)


def load(engine: Engine, case: Case, threads: int, feeds: Feeds) -> Run:
    given = feeds
    if engine.name == "onnxruntime":  # takes text as objects only
        given = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in feeds.items()}
    run = engine.load(case.model, threads, given)
    return lambda _: run(given)


def side_by_side(
    case: Case,
    engines: list[str],
    threads: int,
    *,
    rounds: int,
    seconds: float,
    exact: list[Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Times by engine, A B A B; each ratio is the median over rounds of the engine's time by ours.

    Errors are against what was recorded with the case and, where given, against `exact` results.
    """
    feeds, recorded = case.arrays()
    runs: dict[str, Run] = {}
    found: dict[str, dict[str, Any]] = {}
    for name in engines:
        try:
            run = load(ENGINES[name], case, threads, feeds)
            results = run(feeds)
            error = worst_error(results, list(recorded.values()))
            if ENGINES[name].converts and (error is None or error > 1e-2):
                raise ValueError(f"its conversion gives other results ({error})")
        except Exception as failure:
            lines = str(failure).splitlines() or [""]
            found[name] = {"failed": f"{type(failure).__name__}: {lines[0][:200]}"}
            continue
        runs[name] = run
        found[name] = {"times": [], "error": error}
        if exact is not None:
            found[name]["error64"] = worst_error(results, exact)
    for turn in range(-1, rounds):  # the first one warms up
        for name, run in runs.items():
            taken = burst(run, feeds, seconds)
            time.sleep(ENGINES[name].settle_seconds)
            if turn >= 0:
                found[name]["times"].append(taken)
    for name in runs:
        entry = found[name]
        entry["median_s"] = statistics.median(entry["times"])
        entry["noise"] = noise(entry["times"])
        if name != OURS and OURS in runs:
            pairs = zip(entry["times"], found[OURS]["times"], strict=True)
            ratios = [theirs / ours for theirs, ours in pairs]
            entry["ratio"] = statistics.median(ratios)
            entry["ratio_noise"] = noise(ratios)
    return found


def noise(series: list[float]) -> float:
    """The median distance from the median, relative to it."""
    middle = statistics.median(series)
    return statistics.median(abs(value - middle) for value in series) / middle if middle else 0.0


def in_fresh_process(case: Case, engine: str, threads: int, repeats: int) -> dict[str, float]:
    """Load time, time of the first run and peak memory; empty where it fails."""
    script = Path(__file__).with_name("fresh.py")
    command = [sys.executable, script, engine, case.model, case.data, threads]
    answers = []
    for _ in range(repeats):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            return {}
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: statistics.median(answer[key] for answer in answers) for key in answers[0]}


def processor() -> str:
    """The processor's name as the kernel tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine(engines: list[str]) -> dict[str, Any]:
    """What a result depends on, besides the code."""
    versions = {}
    for package in ("sardonyx", *dict.fromkeys(ENGINES[name].module for name in engines), "numpy"):
        try:
            versions[package] = version(package)
        except ImportError:
            continue
    return {
        "processor": processor(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": versions,
    }
