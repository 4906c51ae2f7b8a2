"""The command line: sardonyx demo, run, inspect, bench."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import sardonyx
from sardonyx import compat, demo
from sardonyx._core import NodeCount, Value
from sardonyx.model import Model, load

SHAPE = re.compile(r"\d+([x,]\d+)*|scalar")
SEED = 0
WARM_UP_SECONDS = 0.2
PROFILED_RUNS = 10


def _number(value: float, unit: str = "") -> str:
    """4.1 G, 25.6 M, 512."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.1f} {prefix}{unit}"
    return f"{value:.0f} {unit}".rstrip()


def _random(value: Value, shape: Sequence[int], rng: np.random.Generator) -> Any:
    """Values an input of this type could have; small integers, since many are indices."""
    if value.kind != "tensor" or value.dtype is None:
        raise sardonyx.InvalidArgument(
            f"input '{value.name}' ({value.type}) cannot be made up: run it from Python"
        )
    if value.dtype.kind == "O":
        return np.full(shape, "text", object)
    if value.dtype.kind == "b":
        return np.ones(shape, bool)
    if value.dtype == np.uint8:
        return rng.integers(0, 256, shape).astype(np.uint8)
    if value.dtype.kind in "iu":
        return rng.integers(0, 10, shape).astype(value.dtype)
    if value.dtype.kind in "fc" or value.dtype.name == "bfloat16":
        return rng.standard_normal(shape).astype(value.dtype)
    return rng.integers(0, 2, shape).astype(value.dtype)


def _given(model: Model, options: Sequence[str]) -> dict[str, str]:
    """What `--input` says by name; the name may be left out where there is one input."""
    known = {value.name: value for value in model.inputs}
    given = {}
    for option in options:
        name, separator, what = option.rpartition("=")
        if not separator and len(known) == 1:
            name = next(iter(known))
        if name not in known:
            names = ", ".join(known)
            raise sardonyx.InvalidArgument(
                f"--input {option}: expected NAME=FILE.npy or NAME=SHAPE, the inputs are: {names}"
            )
        given[name] = what
    return given


def _shape(text: str) -> list[int]:
    return [] if text == "scalar" else [int(dim) for dim in re.split("[x,]", text)]


def _feeds(model: Model, options: Sequence[str]) -> dict[str, Any]:
    """Arrays from files, random ones where a shape or nothing is given; unknown dims are 1."""
    given = _given(model, options)
    rng = np.random.default_rng(SEED)
    feeds = {}
    for value in model.inputs:
        what = given.get(value.name)
        if what is None and value.optional:
            continue
        if what is not None and not SHAPE.fullmatch(what):
            feeds[value.name] = np.load(what, allow_pickle=False)
            continue
        declared = [dim if isinstance(dim, int) else 1 for dim in value.shape or ()]
        feeds[value.name] = _random(value, declared if what is None else _shape(what), rng)
    return feeds


def _load(args: argparse.Namespace) -> Model:
    return load(args.model, threads=args.threads, precision=args.precision)


def _describe(name: str, result: Any) -> dict[str, Any]:
    if not isinstance(result, np.ndarray):
        return {"name": name, "type": type(result).__name__, "values": str(result)[:200]}
    flat = result.reshape(-1)[:10]
    narrow = flat if result.dtype.kind in "OiubfcUS" else flat.astype(np.float32)
    return {
        "name": name,
        "type": str(result.dtype),
        "shape": list(result.shape),
        "values": [str(v) if isinstance(v, complex) else v for v in narrow.tolist()],
    }


def _values(result: Any) -> str:
    if not isinstance(result, np.ndarray):
        return str(result)[:200]
    return np.array2string(result, threshold=12, edgeitems=2, precision=5, max_line_width=96)


def run(args: argparse.Namespace) -> Any:
    model = _load(args)
    feeds = _feeds(model, args.input)
    results = model.run(None, feeds)
    names = [value.name for value in model.outputs]
    named = dict(zip(names, results, strict=True))
    if args.save:
        arrays = {k: v for k, v in named.items() if isinstance(v, np.ndarray)}
        texts = {k: v.astype(str) for k, v in arrays.items() if v.dtype == object}
        savez: Any = np.savez
        savez(args.save, **(arrays | texts))
    if args.json:
        return {"outputs": [_describe(name, result) for name, result in named.items()]}
    lines = []
    for name, result in named.items():
        kind = f"{result.dtype} {list(result.shape)}" if isinstance(result, np.ndarray) else ""
        lines += [f"{name}  {kind}".rstrip(), _values(result), ""]
    return "\n".join(lines).rstrip()


def _operators(counts: Sequence[NodeCount]) -> str:
    return ", ".join(f"{count.op} {count.count}" for count in counts) or "none"


def inspect(args: argparse.Namespace) -> Any:
    model = _load(args)
    session = model._session
    if args.graph:
        return {"graph": session.graph_text()} if args.json else session.graph_text().rstrip()
    shapes = {}
    for name, what in _given(model, args.input).items():
        file_shape = None if SHAPE.fullmatch(what) else np.load(what, mmap_mode="r").shape
        shapes[name] = _shape(what) if file_shape is None else list(file_shape)
    summary, plan = session.summary(), model.plan(shapes)
    if args.json:
        return {
            "metadata": model.metadata,
            "inputs": [{"name": value.name, "type": value.type} for value in model.inputs],
            "outputs": [{"name": value.name, "type": value.type} for value in model.outputs],
            "operators": {count.op: count.count for count in summary.operators},
            "optimized_operators": {c.op: c.count for c in summary.optimized_operators},
            "parameters": summary.parameters,
            "parameter_bytes": summary.parameter_bytes,
            "flops": plan.flops,
            "arena_bytes": plan.arena_bytes,
            "value_bytes": plan.value_bytes,
            "steps": plan.steps,
            "dynamic_steps": plan.dynamic_steps,
        }
    width = max(len(value.name) for value in [*model.inputs, *model.outputs])
    rows = [("file", ", ".join(f"{k} {v}" for k, v in model.metadata.items() if v)[:300])]
    rows += [("input", f"{value.name:<{width}}  {value.type}") for value in model.inputs]
    rows += [("output", f"{value.name:<{width}}  {value.type}") for value in model.outputs]
    rows += [
        ("operators", _operators(summary.operators)),
        ("optimised", _operators(summary.optimized_operators)),
        (
            "parameters",
            f"{_number(summary.parameters)}, {_number(summary.parameter_bytes, 'B')}",
        ),
        ("work", f"{_number(plan.flops, 'FLOP')} in {plan.steps} steps"),
        (
            "memory",
            f"{_number(plan.arena_bytes, 'B')} arena, scratch included; "
            f"{_number(plan.value_bytes, 'B')} of values without sharing",
        ),
    ]
    if plan.dynamic_steps:
        rows.append(("dynamic", f"{plan.dynamic_steps} steps have shapes that depend on data"))
    text = "\n".join(f"{key:<12}{value}" for key, value in rows)
    return f"{text}\n\n{plan.text.rstrip()}" if args.plan else text


def bench(args: argparse.Namespace) -> Any:
    model = _load(args)
    feeds = _feeds(model, args.input)
    times: list[int] = []
    for seconds in (WARM_UP_SECONDS, args.seconds):
        times.clear()
        end = time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            start = time.perf_counter_ns()
            model.run(None, feeds)
            times.append(time.perf_counter_ns() - start)
    low, median, high, worst = (float(v) / 1e3 for v in np.percentile(times, [5, 50, 95, 99]))
    peaks = sardonyx.measure_peaks(model.threads) if args.explain else None
    profile = model.profile(feeds, runs=PROFILED_RUNS, peaks=peaks)
    if args.trace:
        profile.save_trace(args.trace)
    if args.json:
        return {
            "runs": len(times),
            "threads": model.threads,
            "microseconds": {"p5": low, "median": median, "p95": high, "p99": worst},
            "peaks": {"gflops": peaks.gflops, "gbytes": peaks.gbytes} if peaks else None,
            "roof": profile.roof,
            "operators": profile.by_operator(),
            "steps": profile.rows(),
        }
    explained = f"profiled: {profile.summary()}\n" if args.explain else ""
    return f"""\
median {median:.1f} us, 5 % below {low:.1f}, 95 % below {high:.1f}, 99 % below {worst:.1f}
{len(times)} runs, {1e6 / median:.1f} a second, threads: {model.threads}
{explained}
{profile.operators()}

{profile.table(args.top)}"""


def show_compat_path(args: argparse.Namespace) -> Any:
    return {"path": str(compat.path())} if args.json else compat.path()


def show_demo(args: argparse.Namespace) -> Any:
    found = demo.measure(args.seconds)
    return demo.as_json(found) if args.json else demo.as_text(found)


def _threads(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sardonyx", description="Runs ONNX models.")
    parser.add_argument("--version", action="version", version=sardonyx.__version__)
    prefix, text = os.path.dirname(__file__), "print where CMake finds the C and C++ library"
    parser.add_argument("--cmake-dir", action="version", version=prefix, help=text)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, action: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(action=action)
        made.add_argument("--json", action="store_true", help="print JSON")
        if action in (show_demo, show_compat_path):
            return made
        made.add_argument("model", metavar="MODEL", help="a file in the ONNX format")
        made.add_argument(
            "--input",
            action="append",
            default=[],
            metavar="NAME=FILE.npy|SHAPE",
            help="an input from a file, or random of this shape (1x3x224x224)",
        )
        made.add_argument("--threads", type=_threads, help="at most so many (default: all)")
        made.add_argument("--precision", choices=["strict", "float32", "fast"], default="float32")
        return made

    made = command("demo", show_demo, "read handwritten digits with a small network")
    made.add_argument("--seconds", type=float, default=0.5, help=argparse.SUPPRESS)
    made = command("run", run, "run a model; inputs not given are random, with a fixed seed")
    made.add_argument("--save", metavar="OUT.npz", help="write the outputs to this file")
    made = command("inspect", inspect, "show what a model consists of and what it needs")
    made.add_argument("--graph", action="store_true", help="print the optimised graph as text")
    made.add_argument("--plan", action="store_true", help="print the memory plan as well")
    made = command("bench", bench, "measure how long a model takes, and which steps take it")
    made.add_argument("--seconds", type=float, default=3.0, help="how long to measure")
    made.add_argument("--top", type=int, default=10, help="how many steps to list")
    made.add_argument(
        "--explain", action="store_true", help="hold every step against what the machine can do"
    )
    made.add_argument("--trace", metavar="FILE.json", help="write a run for ui.perfetto.dev")
    command(
        "compat-path",
        show_compat_path,
        "print a directory for PYTHONPATH in which the package onnxruntime is Sardonyx",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns the exit code; errors are one line."""
    args = _parser().parse_args(argv)
    try:
        answer = args.action(args)
        print(json.dumps(answer, indent=2) if args.json else answer, flush=True)
    except BrokenPipeError:  # as `| head` leaves it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    except (sardonyx.Error, OSError, ValueError, MemoryError) as error:
        print(f"sardonyx: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    return 0
