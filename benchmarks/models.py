"""Compares whole models between engines on this machine, in one run.

    python benchmarks/models.py                       # the zoo's main models, built where need be
    python benchmarks/models.py --models DIR          # NAME.onnx and NAME__CASE.npz of a folder
    python benchmarks/models.py --only bert,resnet50 --threads 1 --explain
    python benchmarks/models.py --json new.json --compare old.json

Engines take turns in rounds (A B A B); a ratio is the median over rounds of the peer's time by ours
within the round, so that drift of the machine cancels. Load time and peak memory come from fresh
processes. benchmarks/README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chart
import report
import sardonyx
from cases import Case, find_cases, zoo_cases
from engines import ENGINES, OURS
from measure import in_fresh_process, machine, side_by_side
from reference import exact_results

PROFILED_RUNS = 5


def profile(case: Case, peaks: sardonyx.Peaks, threads: int) -> dict[str, Any]:
    """What the steps of our engine take, beside what the machine's peaks allow."""
    feeds, _ = case.arrays()
    model = sardonyx.load(case.model, threads=threads)
    model.run(None, feeds)
    found = model.profile(feeds, runs=PROFILED_RUNS, peaks=peaks)
    return {"flops": found.flops, "roof": found.roof, "operators": found.by_operator()}


def measured(
    case: Case, threads: int, peaks: sardonyx.Peaks, args: argparse.Namespace
) -> dict[str, Any]:
    exact = None if args.no_exact else exact_results(case)
    engines = side_by_side(
        case, args.engines, threads, rounds=args.rounds, seconds=args.seconds, exact=exact
    )
    row: dict[str, Any] = {"case": case.name, "threads": threads, "engines": engines}
    ours = engines.get(OURS, {})
    if "median_s" in ours:
        row["profile"] = profile(case, peaks, threads)
        row["gflops"] = row["profile"]["flops"] / ours["median_s"] / 1e9
        row["of_peak"] = row["gflops"] / peaks.gflops
    return row


def _list(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _engines(text: str) -> list[str]:
    names = _list(text)
    for name in names:
        if name not in ENGINES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(ENGINES)}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="models built before")
    parser.add_argument("--only", type=_list, default=[], metavar="WORDS", help="of cases' names")
    parser.add_argument("--more", action="store_true", help="the zoo's other models as well")
    parser.add_argument("--threads", type=_list, default=["1", "2"], metavar="N,...")
    parser.add_argument(
        "--engines",
        type=_engines,
        default=[name for name in ENGINES if not ENGINES[name].approximate],
        metavar="NAMES",
        help=f"of {', '.join(ENGINES)}; those not installed are left out",
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15, help="of an engine in a round")
    parser.add_argument(
        "--fresh", type=int, default=1, metavar="N", help="processes for load time and memory"
    )
    parser.add_argument("--no-fresh", action="store_const", const=0, dest="fresh")
    parser.add_argument("--no-exact", action="store_true", help="leave out the error by float64")
    parser.add_argument("--explain", action="store_true", help="time and roof by operator")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--html", type=Path, metavar="FILE", help="a picture of the ratios")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="a page of results")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="what changed since")
    args = parser.parse_args()
    args.engines = [name for name in args.engines if ENGINES[name].installed()]
    args.cases = (
        find_cases(args.models, args.only) if args.models else zoo_cases(args.only, more=args.more)
    )
    if not args.cases:
        parser.error("there are no such cases")
    return args


def main() -> None:
    args = _arguments()
    start = time.perf_counter()
    counts = [int(text) for text in args.threads]
    peaks = {threads: sardonyx.measure_peaks(threads) for threads in counts}
    results: dict[str, Any] = {
        "machine": machine(args.engines),
        "peaks": {n: {"gflops": p.gflops, "gbytes": p.gbytes} for n, p in peaks.items()},
        "cases": [],
    }
    print(report.heading(results))
    loaded: set[Path] = set()
    for case in args.cases:
        for threads in counts:
            row = measured(case, threads, peaks[threads], args)
            for name, entry in row["engines"].items():
                if args.fresh and case.model not in loaded and "median_s" in entry:
                    entry |= in_fresh_process(case, name, threads, args.fresh)
            loaded.add(case.model)
            results["cases"].append(row)
            print(report.lines(row, explain=args.explain), flush=True)
    results["seconds"] = time.perf_counter() - start
    print(report.summary(results["cases"]))
    if args.compare:
        print(report.compare(json.loads(args.compare.read_text())["cases"], results["cases"]))
    pages: dict[Path | None, Callable[[], str]] = {
        args.json: lambda: json.dumps(results, indent=1),
        args.html: lambda: chart.page(results),
        args.markdown: lambda: report.markdown(results),
    }
    for path, text in pages.items():
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text())


if __name__ == "__main__":
    main()
