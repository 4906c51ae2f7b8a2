"""How the cost of an item changes with the batch, the length of the text, the image, the threads.

    python benchmarks/scaling.py [--only batch,sequence] [--html FILE] [--json FILE]

Models of the zoo are fed random inputs of their own types at growing sizes. "linear" says how the
cost of an item at the largest size compares with that at the smallest: 1 is the same cost.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import chart
from cases import CACHE, Case, zoo_cases
from engines import ENGINES, Feeds, Run
from measure import burst, load, noise

BATCHES = (1, 2, 4, 8, 16, 32)
LENGTHS = (16, 32, 64, 128, 256, 512, 1024)
SIDES = (128, 224, 320, 512, 768, 1024)
ROUNDS = 3


@dataclass(frozen=True)
class Sweep:
    """Sizes of one axis of a model's inputs; `items` is what a run's cost is divided by."""

    name: str
    model: str
    axis: str
    sizes: tuple[int, ...]
    unit: str

    def feeds(self, size: int) -> Feeds:
        rng = np.random.default_rng(0)
        if self.axis == "batch" and self.model == "mobilenet_v2":
            return {"input": rng.standard_normal((size, 3, 224, 224), dtype=np.float32)}
        if self.axis == "image":
            return {"images": rng.random((1, 3, size, size), dtype=np.float32)}
        batch, length = (size, 32) if self.axis == "batch" else (1, size)
        shape = (batch, length)
        return {
            "input_ids": rng.integers(0, 30000, shape),
            "attention_mask": np.ones(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }

    def items(self, size: int) -> float:
        return size * size / 1e4 if self.axis == "image" else float(size)


SWEEPS = (
    Sweep("images", "mobilenet_v2", "batch", BATCHES, "ms an image"),
    Sweep("sentences", "minilm_l6", "batch", BATCHES, "ms a sentence of 32 tokens"),
    # Positions end at 512 in this family of models.
    Sweep("tokens", "minilm_l6", "sequence", LENGTHS[:-1], "ms a token"),
    Sweep("pixels", "segmenter", "image", SIDES, "ms for 10 000 pixels"),
)


def _segmenter(folder: Path) -> Case:
    """A small network of convolutions that takes images of any size."""
    import torch
    from torch import nn

    from zoo.recipe import Writer
    from zoo.torch_export import export, seeded
    from zoo.vision import UNet

    out = Writer(folder, "segmenter")
    if not out.model.exists():
        folder.mkdir(parents=True, exist_ok=True)
        seeded(191)
        network: nn.Module = UNet(width=16)
        cases = {"s128": {"images": torch.rand(1, 3, 128, 128)}}
        axes = {"images": {2: "height", 3: "width"}}
        export(out, network, cases, ["mask"], axes=axes, exporter="torchscript", opset=17)
    return Case(out.model, folder / "segmenter__s128.npz")


def _case(sweep: Sweep) -> Case:
    if sweep.model == "segmenter":
        return _segmenter(CACHE / "scaling")
    return zoo_cases([sweep.model])[0]


def measured(sweep: Sweep, engines: list[str], threads: int) -> Iterator[dict[str, Any]]:
    case = _case(sweep)
    for size in sweep.sizes:
        feeds = sweep.feeds(size)
        runs: dict[str, Run] = {}
        for name in engines:
            try:
                runs[name] = load(ENGINES[name], case, threads, feeds)
                runs[name](feeds)
            except Exception as failure:  # a gap in its curve
                runs.pop(name, None)
                print(f"{name}, {sweep.name} {size}: {str(failure).splitlines()[:1]}")
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                times[name].append(burst(run, feeds, 0.05))
                time.sleep(ENGINES[name].settle_seconds)
        for name, series in times.items():
            yield {
                "sweep": sweep.name,
                "engine": name,
                "threads": threads,
                "size": size,
                "cost_ms": 1e3 * min(series) / sweep.items(size),
                "noise": noise(series),
            }


def curves_of(sweep: Sweep, rows: list[dict[str, Any]]) -> list[chart.Curve]:
    keys = dict.fromkeys((row["engine"], row["threads"]) for row in rows)
    found = []
    for engine, threads in keys:
        points = [
            (float(row["size"]), row["cost_ms"])
            for row in rows
            if (row["engine"], row["threads"]) == (engine, threads) and row["sweep"] == sweep.name
        ]
        if points:
            found.append((f"{engine}, {threads} thread{'s' if threads > 1 else ''}", points))
    return found


def text(sweep: Sweep, rows: list[dict[str, Any]]) -> str:
    lines = [f"\n{sweep.model} by {sweep.axis}: {sweep.unit}"]
    lines.append(f"{'':<22}" + "".join(f"{size:>10}" for size in sweep.sizes) + "    linear")
    for name, points in curves_of(sweep, rows):
        costs = dict(points)
        cells = "".join(
            f"{costs[size]:>10.4f}" if size in costs else f"{'-':>10}" for size in sweep.sizes
        )
        lines.append(f"{name:<22}{cells} {points[-1][1] / points[0][1]:>9.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="batch, sequence, image; with commas")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--engines", default="sardonyx,onnxruntime,openvino")
    parser.add_argument("--html", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    wanted = [word for word in args.only.split(",") if word]
    engines = [name for name in args.engines.split(",") if ENGINES[name].installed()]
    rows: list[dict[str, Any]] = []
    chosen = [sweep for sweep in SWEEPS if not wanted or sweep.axis in wanted]
    for sweep in chosen:
        for threads in map(int, args.threads.split(",")):
            rows += measured(sweep, engines, threads)
        print(text(sweep, rows), flush=True)
    if args.html:
        charts = [
            chart.curves(f"{s.model} by {s.axis}", s.unit, curves_of(s, rows)) for s in chosen
        ]
        note = "The cost of an item as there are more of them: a level line costs the same for all."
        args.html.write_text(chart.curves_page("How Sardonyx scales", note, charts))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
