"""What the steps of a run took, as rows, as text, and as a trace for Perfetto."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sardonyx._core import Peaks, StepProfile

SHAPES_WIDTH = 44
NODES_WIDTH = 40
MICRO = 1e6


class Profile:
    """What the steps of one run took; prints as a table, slowest first.

    With `peaks` (see `measure_peaks`) every step is held against its roof: the time that its
    arithmetic takes at the peak rate, or its bytes at the rate of the cache they fit into,
    whichever is longer. Constants count as coming from where all of the model's constants fit.
    """

    def __init__(
        self, steps: Sequence[StepProfile], *, threads: int = 1, peaks: Peaks | None = None
    ) -> None:
        self.steps = list(steps)
        self.seconds = sum(step.seconds for step in self.steps)
        self.flops = sum(step.flops * step.calls for step in self.steps)
        self.threads = threads
        self.peaks = peaks
        self._constant_bytes = sum(step.constant_bytes for step in self.steps)

    def __iter__(self) -> Iterator[StepProfile]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def roof_seconds(self, step: StepProfile) -> float:
        """The least time the machine could take for a step, by its peaks."""
        if self.peaks is None:
            return 0.0
        values = step.value_bytes / self.peaks.gbytes_at(step.value_bytes / self.threads)
        constants = step.constant_bytes / self.peaks.gbytes_at(self._constant_bytes / self.threads)
        return step.calls * max(step.flops / self.peaks.gflops, values + constants) / 1e9

    @property
    def roof(self) -> float | None:
        """The share of the run's time that the machine needs at its peaks."""
        if self.peaks is None or not self.seconds:
            return None
        return sum(map(self.roof_seconds, self.steps)) / self.seconds

    def rows(self) -> list[dict[str, Any]]:
        """The steps in order of execution as plain values."""
        return [self._row(step) for step in self.steps]

    def _row(self, step: StepProfile) -> dict[str, Any]:
        seconds = step.seconds
        moved = (step.value_bytes + step.constant_bytes) * step.calls
        return {
            "node": step.node,
            "nodes": step.nodes,
            "op": step.op,
            "shapes": step.shapes,
            "calls": step.calls,
            "begin": step.begin,
            "seconds": seconds,
            "share": seconds / self.seconds if self.seconds else 0.0,
            "flops": step.flops * step.calls,
            "bytes": moved,
            "gflops": step.flops * step.calls / seconds / 1e9 if seconds else 0.0,
            "gbytes": moved / seconds / 1e9 if seconds else 0.0,
            "roof": self.roof_seconds(step) / seconds if self.peaks and seconds else None,
        }

    def by_operator(self) -> list[dict[str, Any]]:
        """Time, share, rates and share of the roof summed by operator, slowest first."""
        totals: dict[str, dict[str, Any]] = {}
        for row in self.rows():
            total = totals.setdefault(
                row["op"],
                dict.fromkeys(("calls", "seconds", "share", "flops", "bytes", "ideal"), 0),
            )
            for key in ("calls", "seconds", "share", "flops", "bytes"):
                total[key] += row[key]
            total["ideal"] += (row["roof"] or 0.0) * row["seconds"]
        found = []
        for op, total in sorted(totals.items(), key=lambda item: -item[1]["seconds"]):
            seconds, ideal = total["seconds"], total.pop("ideal")
            total["gflops"] = total["flops"] / seconds / 1e9 if seconds else 0.0
            total["gbytes"] = total["bytes"] / seconds / 1e9 if seconds else 0.0
            total["roof"] = ideal / seconds if self.peaks and seconds else None
            found.append({"op": op, **total})
        return found

    def summary(self) -> str:
        """The run in a line: time, rate, and how far from the roof."""
        text = f"{self.seconds * MICRO:.1f} us in {len(self)} steps"
        if self.flops and self.seconds:
            text += f", {self.flops / self.seconds / 1e9:.1f} GFLOP/s"
        if self.peaks is not None:
            text += f" of {self.peaks.gflops:.0f} at most; {self.roof or 0.0:.0%} of the roof"
        return text

    def operators(self) -> str:
        """The operators as text, slowest first."""
        rows = self.by_operator()
        lines = [f"{_heading()} {'calls':>6}  operator"]
        lines += [f"{_numbers(row)} {row['calls']:>6}  {_short(row['op'])}" for row in rows]
        return "\n".join(lines)

    def table(self, limit: int | None = None, *, shapes: bool = True) -> str:
        """The slowest steps as text, with the nodes of the file that each stands for."""
        rows = sorted(self.rows(), key=lambda row: -row["seconds"])
        shown = rows[:limit]
        width = max((len(_short(row["op"])) for row in shown), default=0)
        lines = [f"{_heading()}  step"]
        for row in shown:
            text = f"{_numbers(row)}  {_short(row['op']):<{width}}"
            if shapes:
                text += f"  {_fit(_shapes(row['shapes']), SHAPES_WIDTH):<{SHAPES_WIDTH}}"
            lines.append(f"{text}  {_nodes(row)}".rstrip())
        if len(shown) < len(rows):
            rest = sum(row["seconds"] for row in rows[len(shown) :])
            share = rest / self.seconds if self.seconds else 0.0
            lines.append(
                f"{rest * MICRO:>10.1f} {share:>6.1%}  {len(rows) - len(shown)} other steps"
            )
        lines.append(f"{self.seconds * MICRO:>10.1f} {'':>6}  in all")
        return "\n".join(lines)

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the run for ui.perfetto.dev or chrome://tracing, in the Chrome trace format."""
        events: list[dict[str, Any]] = [
            {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "sardonyx"}},
            {"ph": "M", "pid": 1, "tid": 1, "name": "thread_name", "args": {"name": "steps"}},
        ]
        for row in self.rows():
            details = {key: row[key] for key in ("nodes", "shapes", "gflops", "gbytes", "roof")}
            events.append(
                {
                    "ph": "X",
                    "pid": 1,
                    "tid": 1,
                    "name": _short(row["op"]),
                    "cat": row["op"],
                    "ts": row["begin"] * MICRO,
                    "dur": row["seconds"] * MICRO,
                    "args": details,
                }
            )
        import json  # not for those who never ask for a trace

        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}))

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Profile of {len(self)} steps, {self.seconds * MICRO:.1f} us>"


def _heading() -> str:
    return f"{'us':>10} {'share':>6} {'GFLOP/s':>8} {'GB/s':>6} {'roof':>5}"


def _numbers(row: dict[str, Any]) -> str:
    gflops = f"{row['gflops']:.1f}" if row["gflops"] else "-"
    roof = "-" if row["roof"] is None else f"{row['roof']:.0%}"
    return (
        f"{row['seconds'] * MICRO:>10.1f} {row['share']:>6.1%} {gflops:>8} "
        f"{row['gbytes']:>6.1f} {roof:>5}"
    )


def _short(op: str) -> str:
    return op.removeprefix("sardonyx::")


def _shapes(text: str) -> str:
    """[1, 64, 56] as 1x64x56."""
    return re.sub(r"\[([^\]]*)\]", lambda m: m[1].replace(", ", "x") or "scalar", text)


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _nodes(row: dict[str, Any]) -> str:
    """One node by name; of several the first and the last."""
    nodes = row["nodes"] or [row["node"]]
    if len(nodes) == 1:
        return _tail(nodes[0], NODES_WIDTH)
    if len(nodes) == 2:
        return f"{_tail(nodes[0], NODES_WIDTH)} + {_tail(nodes[1], NODES_WIDTH)}"
    first, last = _tail(nodes[0], NODES_WIDTH), _tail(nodes[-1], NODES_WIDTH)
    return f"{first} … {last} ({len(nodes)} nodes)"


def _tail(name: str, width: int) -> str:
    """The end of a long name: paths differ there."""
    return name if len(name) <= width else "…" + name[1 - width :]
