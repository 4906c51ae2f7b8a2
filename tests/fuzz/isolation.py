"""Runs cases in a forked process under limits of memory and time, and says what became of each."""

from __future__ import annotations

import collections
import faulthandler
import multiprocessing
import os
import re
import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sanitized import SANITIZER

Case = tuple[bytes, dict[str, Any], list[str]]
# A case makes itself from its seed; `check` runs it and says what came out, as one word.
Make = Callable[[int], Case]
Check = Callable[[Case], str]

MEMORY = 3 << 30
PATIENCE = 25.0
MOST_OF_A_KIND = 3


class Finding(AssertionError):
    """What a case should not have done."""


@dataclass
class Report:
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return sum(self.outcomes.values())

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        lines = [f"{self.cases} cases: {outcomes}"]
        shown: collections.Counter[str] = collections.Counter()
        for seed, what in self.findings:
            kind = re.sub(r"\d+", "0", what)[:60]
            shown[kind] += 1
            if shown[kind] <= MOST_OF_A_KIND:
                lines.append(f"seed {seed}: {what}")
        return "\n".join([*lines, f"{len(self.findings)} findings"])


def _limit_memory() -> None:
    if SANITIZER:
        return  # they map terabytes
    taken = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


def _work(seeds: Iterable[int], make: Make, check: Check, pipe: Connection, log: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory()
    with open(log, "w") as errors:
        os.dup2(errors.fileno(), 2)
        faulthandler.enable(errors)
        for seed in seeds:
            pipe.send(("begin", seed, ""))
            try:
                pipe.send(("end", seed, check(make(seed))))
            except Finding as finding:
                pipe.send(("finding", seed, str(finding)))
    pipe.send(("done", 0, ""))
    pipe.close()
    os._exit(0)


def _last_words(log: str) -> str:
    lines = [line for line in Path(log).read_text(errors="replace").splitlines() if line.strip()]
    reports = [line for line in lines if "ERROR: " in line or "runtime error" in line]
    frames = [line.strip() for line in lines if line.strip().startswith("#")][:12]
    return "; ".join([*reports[:3], *frames] or lines[:6])


def run_isolated(
    seeds: Iterable[int], make: Make, check: Check, folder: Path, seconds: float = float("inf")
) -> Report:
    """Goes on after a crash with the next seed; stops when the time is over."""
    context = multiprocessing.get_context("fork")
    report, rest = Report(), list(seeds)
    end, log = time.monotonic() + seconds, str(folder / "stderr.txt")
    while rest and time.monotonic() < end:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(rest, make, check, theirs, log))
        process.start()
        theirs.close()
        at, over = rest[0], False
        while not over:
            try:
                if not ours.poll(PATIENCE):
                    report.findings.append((at, f"hangs: no answer for {PATIENCE:.0f} seconds"))
                    report.outcomes["hang"] += 1
                    break
                word, seed, what = ours.recv()
            except (EOFError, ConnectionResetError):
                process.join()
                report.findings.append((at, f"crash {process.exitcode}: {_last_words(log)}"))
                report.outcomes["crash"] += 1
                break
            at = seed if word == "begin" else at
            if word == "end":
                report.outcomes[what] += 1
            elif word == "finding":
                report.findings.append((seed, what))
                report.outcomes["finding"] += 1
            over = word == "done" or (word != "begin" and time.monotonic() > end)
        process.kill()
        process.join()
        ours.close()
        rest = [] if over else rest[rest.index(at) + 1 :]
    report.findings = [(seed, f"{make(seed)[2]} {what}") for seed, what in report.findings]
    return report
