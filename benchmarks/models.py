"""Compares whole models between engines on this machine, in one run.

    python benchmarks/models.py --models DIR [--only resnet50,bert] [--threads 1,2] [--json FILE]

Engines take turns in rounds (A B A B); a ratio is the median over rounds of the peer's time by ours
within the round, so that drift of the machine cancels. Load time and peak memory come from fresh
processes.
"""

from __future__ import annotations

import argparse
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

from cases import DEFAULT_FOLDER, Case, find_cases
from engines import ENGINES, SECONDS_TO_SETTLE, Run

OURS = "sardonyx"
BURST_SECONDS = 0.15
LEAST_RUNS = 2


def burst(run: Run, feeds: dict[str, Any], seconds: float) -> float:
    """Seconds of one run: the median of a burst."""
    times = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        run(feeds)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def worst_error(results: list[Any], expected: list[Any]) -> float | None:
    """Of float outputs, relative to the reference's largest value."""
    errors = []
    for actual, wanted in zip(results, expected, strict=False):
        if isinstance(wanted, np.ndarray) and wanted.dtype.kind == "f" and wanted.size:
            difference = np.abs(np.asarray(actual, np.float64) - wanted).max()
            errors.append(float(difference / max(np.abs(wanted).max(), 1e-30)))
    return max(errors, default=None)


def interleaved(
    case: Case, engines: list[str], threads: int, rounds: int
) -> dict[str, dict[str, Any]]:
    feeds, recorded = case.arrays()
    runs: dict[str, Run] = {}
    found: dict[str, dict[str, Any]] = {}
    for engine in engines:
        try:
            run = ENGINES[engine](case.model, threads)
            results = run(feeds)
        except Exception as error:
            found[engine] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
            continue
        runs[engine] = run
        found[engine] = {"times": [], "error": worst_error(results, list(recorded.values()))}
    for engine, run in runs.items():
        burst(run, feeds, BURST_SECONDS)
        time.sleep(SECONDS_TO_SETTLE.get(engine, 0))
    for _ in range(rounds):
        for engine, run in runs.items():
            found[engine]["times"].append(burst(run, feeds, BURST_SECONDS))
            time.sleep(SECONDS_TO_SETTLE.get(engine, 0))
    for engine, entry in found.items():
        if engine not in runs:
            continue
        entry["median_s"] = statistics.median(entry["times"])
        if engine != OURS and OURS in runs:
            pairs = zip(entry["times"], found[OURS]["times"], strict=True)
            entry["ratio"] = statistics.median(theirs / ours for theirs, ours in pairs)
    return found


def in_fresh_process(case: Case, engine: str, threads: int, repeats: int = 3) -> dict[str, float]:
    script = Path(__file__).with_name("fresh.py")
    command = [sys.executable, script, engine, case.model, case.data, str(threads)]
    answers = []
    for _ in range(repeats):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode:
            return {}
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: statistics.median(answer[key] for answer in answers) for key in answers[0]}


def row(case: str, threads: int, engine: str, entry: dict[str, Any]) -> str:
    start = f"{case:<30} {threads:>2}  {engine:<17}"
    if "failed" in entry:
        return f"{start} {entry['failed'][:70]}"
    ratio = f"{entry['ratio']:>7.2f}" if "ratio" in entry else f"{'':>7}"
    error = f"{entry['error']:>9.1e}" if entry.get("error") is not None else f"{'':>9}"
    fresh = ""
    if "peak_mb" in entry:
        fresh = f"{entry['load_s'] * 1e3:>9.1f} {entry['peak_mb']:>8.1f}"
    return f"{start} {entry['median_s'] * 1e3:>9.3f} {ratio} {error} {fresh}".rstrip()


def machine() -> dict[str, Any]:
    names = ["onnxruntime", "openvino", "sardonyx", "numpy"]
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except ImportError:
            continue
    return {"processor": platform.processor(), "cpus": os.cpu_count(), "versions": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=DEFAULT_FOLDER, metavar="DIR")
    parser.add_argument("--only", default="", help="words of the cases' names, with commas")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--engines", default="sardonyx,onnxruntime,openvino")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-fresh", action="store_true", help="leave out load time and memory")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    engines = args.engines.split(",")
    cases = find_cases(args.models, [word for word in args.only.split(",") if word])
    if not cases:
        parser.error(f"no cases in {args.models}: build them with make_zoo.py")
    print(
        f"{'case':<30} {'th':>2}  {'engine':<17} {'ms':>9} {'x ours':>7} {'error':>9} "
        f"{'load ms':>9} {'peak MB':>8}"
    )
    report = []
    for case in cases:
        for threads in map(int, args.threads.split(",")):
            found = interleaved(case, engines, threads, args.rounds)
            for engine, entry in found.items():
                if "failed" not in entry and not args.no_fresh:
                    entry |= in_fresh_process(case, engine, threads)
                print(row(case.name, threads, engine, entry), flush=True)
            report.append({"case": case.name, "threads": threads, "engines": found})
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"machine": machine(), "cases": report}, indent=1))


if __name__ == "__main__":
    main()
