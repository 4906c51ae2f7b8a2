"""Results as text: a table, a summary, a comparison with an earlier run, a page in Markdown."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterable
from typing import Any

from engines import ENGINES, OURS

Row = dict[str, Any]

# A change counts from here, or from so many times the series' own noise.
FLOOR = 0.03
NOISES = 4.0


def _peers(row: Row) -> dict[str, float]:
    """Ratios of the engines that compute what the file says, by name."""
    return {
        name: entry["ratio"]
        for name, entry in row["engines"].items()
        if "ratio" in entry and not ENGINES[name].approximate
    }


def better_peer(row: Row) -> tuple[str, float] | None:
    """The fastest other engine, and its time by ours."""
    peers = _peers(row)
    return min(peers.items(), key=lambda item: item[1]) if peers else None


def _milliseconds(seconds: float) -> str:
    value = seconds * 1e3
    return f"{value:.4f}" if value < 0.1 else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def heading(results: Row) -> str:
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    lines = [f"{machine['processor']}, {machine['cpus']} processors; {versions}"]
    for threads, peak in results["peaks"].items():
        word = "thread" if int(threads) == 1 else "threads"
        lines.append(
            f"at most, {threads} {word}: {peak['gflops']:.0f} GFLOP/s, {peak['gbytes']:.1f} GB/s"
        )
    return "\n".join(lines) + (
        f"\n\n{'case':<28} {'th':>2}  {'engine':<17} {'ms':>9} {'x ours':>7} {'error':>8} "
        f"{'by f64':>8} {'load ms':>8} {'peak MB':>8}  of peak, of roof"
    )


def lines(row: Row, *, explain: bool) -> str:
    """A case on some threads: a line for each engine."""
    text = []
    for name, entry in row["engines"].items():
        start = f"{row['case']:<28} {row['threads']:>2}  {name:<17}"
        if "failed" in entry:
            text.append(f"{start} {entry['failed'][:80]}")
            continue
        ratio = f"{entry['ratio']:.2f}" if "ratio" in entry else ""
        load = f"{entry['load_s'] * 1e3:.0f}" if "load_s" in entry else ""
        peak = f"{entry['peak_mb']:.0f}" if "peak_mb" in entry else ""
        roof = ""
        if name == OURS and "profile" in row:
            roof = f"  {row['of_peak']:.0%}, {row['profile']['roof'] or 0:.0%}"
        text.append(
            f"{start} {_milliseconds(entry['median_s']):>9} {ratio:>7} "
            f"{_error(entry.get('error')):>8} {_error(entry.get('error64')):>8} "
            f"{load:>8} {peak:>8}{roof}".rstrip()
        )
    if explain and "profile" in row:
        text.append(_explained(row["profile"]["operators"]))
    return "\n".join(text)


def _explained(operators: list[Row], limit: int = 8) -> str:
    shown = [
        f"    {op['seconds'] * 1e3:>9.3f} ms {op['share']:>6.1%}  {op['gflops']:>7.1f} GFLOP/s "
        f"{op['gbytes']:>6.1f} GB/s  {op['roof'] or 0:>4.0%} of roof  "
        f"{op['calls']:>4} x {op['op'].removeprefix('sardonyx::')}"
        for op in operators[:limit]
    ]
    return "\n".join(shown)


def geometric_mean(values: Iterable[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def summary(rows: list[Row]) -> str:
    """Geometric means and the worst row, by number of threads."""
    text = []
    for threads in sorted({row["threads"] for row in rows}):
        chosen = [row for row in rows if row["threads"] == threads and better_peer(row)]
        if not chosen:
            continue
        best = {row["case"]: better_peer(row) or ("", 1.0) for row in chosen}
        worst = min(best, key=lambda case: best[case][1])
        behind = sum(ratio < 1 for _, ratio in best.values())
        mean = geometric_mean(ratio for _, ratio in best.values())
        word = "thread" if threads == 1 else "threads"
        text.append(
            f"{threads} {word}: {mean:.2f} times the better peer of each row in the geometric "
            f"mean of {len(best)}; behind it in {behind}; worst {worst}, "
            f"{best[worst][1]:.2f} of {best[worst][0]}"
        )
        for name in dict.fromkeys(name for row in chosen for name in _peers(row)):
            ratios = [row["engines"][name]["ratio"] for row in chosen if name in _peers(row)]
            mean = geometric_mean(ratios)
            text.append(f"    {name:<17} {mean:.2f} in {len(ratios)}, from {min(ratios):.2f}")
    return "\n" + "\n".join(text)


def _threshold(*noises: float) -> float:
    return max(FLOOR, NOISES * math.hypot(*noises))


def compare(old: list[Row], new: list[Row]) -> str:
    """What is faster or slower than before, beyond each series' noise.

    Our time is compared by way of the peers', which ran in the same rounds: a machine that is
    slower today is slower for all. Without peers in common it is the plain time.
    """
    before = {(row["case"], row["threads"]): row for row in old}
    text = []
    for row in new:
        was = before.get((row["case"], row["threads"]))
        if was is None:
            continue
        gain, limit, by = _gain(was, row)
        if gain is None or abs(gain - 1) <= limit:
            continue
        word = "faster" if gain > 1 else "SLOWER"
        text.append(
            f"{row['case']:<28} {row['threads']:>2}  {word} by {abs(gain - 1):.1%} "
            f"(counts from {limit:.1%}; by {by})"
        )
    return "\nsince then: " + ("\n" + "\n".join(text) if text else "nothing beyond noise")


def _gain(was: Row, now: Row) -> tuple[float | None, float, str]:
    gains, noises, names = [], [], []
    for name in _peers(now):
        if name not in _peers(was):
            continue
        a, b = was["engines"][name], now["engines"][name]
        gains.append(b["ratio"] / a["ratio"])
        noises.append(_threshold(a.get("ratio_noise", 0.0), b.get("ratio_noise", 0.0)))
        names.append(name)
    if gains:
        return statistics.median(gains), max(noises), ", ".join(names)
    a, b = was["engines"].get(OURS, {}), now["engines"].get(OURS, {})
    if "median_s" not in a or "median_s" not in b:
        return None, 0.0, ""
    return a["median_s"] / b["median_s"], _threshold(a["noise"], b["noise"]), "plain time"


def markdown(results: Row) -> str:
    """The page of results that is kept with the code."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    peaks = "; ".join(
        f"{peak['gflops']:.0f} GFLOP/s and {peak['gbytes']:.1f} GB/s on {threads} thread"
        + ("s" if int(threads) > 1 else "")
        for threads, peak in results["peaks"].items()
    )
    names = list(dict.fromkeys(n for row in results["cases"] for n in row["engines"] if n != OURS))
    text = [
        "# Results",
        "",
        f"Made by `python benchmarks/models.py {' '.join(_repeatable(sys.argv[1:]))}`".rstrip("` ")
        + "`.",
        "",
        f"- Machine: {machine['processor']}, {machine['cpus']} processors, {machine['system']}.",
        f"- Measured at most: {peaks}.",
        f"- Versions: {versions}.",
        "",
        "Columns of engines are their time by ours: above 1 Sardonyx is faster. Errors are the",
        'largest of float outputs, relative to the largest value, by a float64 evaluation. "of',
        'peak" is arithmetic by the peak of multiply-adds; "of roof" counts bytes as well. Load',
        "time and peak memory are of fresh processes: ours, then the engines' in order.",
        "",
        "```",
        summary(results["cases"]).strip(),
        "```",
    ]
    for threads in sorted({row["threads"] for row in results["cases"]}):
        word = "thread" if threads == 1 else "threads"
        columns = ["model", "ms", *names, "error", *(f"{n}'s" for n in names)]
        columns += ["of peak", "of roof", "load ms", "peak MB"]
        text += ["", f"## {threads} {word}", "", f"| {' | '.join(columns)} |"]
        text.append("|---|" + "---:|" * (len(columns) - 1))
        rows = [row for row in results["cases"] if row["threads"] == threads]
        text += [f"| {' | '.join(_cells(row, names))} |" for row in rows]
    return "\n".join(text) + "\n"


def _repeatable(arguments: list[str]) -> list[str]:
    """The command without the folders and files of whoever ran it."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if not skip and argument not in ("--models", "--json", "--html", "--markdown", "--compare"):
            kept.append(argument)
        skip = not skip and argument.startswith("--") and argument not in kept
    return kept


def _cells(row: Row, names: list[str]) -> list[str]:
    ours = row["engines"].get(OURS, {})
    entries = [row["engines"].get(name, {}) for name in names]
    best = better_peer(row)

    def ratio(name: str, entry: Row) -> str:
        if "ratio" not in entry:
            return "fails" if "failed" in entry else ""
        return f"**{entry['ratio']:.2f}**" if best and name == best[0] else f"{entry['ratio']:.2f}"

    def error(entry: Row) -> str:
        return _error(entry.get("error64", entry.get("error")))

    def all_of(key: str, scale: float) -> str:
        found = [f"{e[key] * scale:.0f}" if key in e else "-" for e in (ours, *entries)]
        return " / ".join(found) if key in ours else ""

    shares = ["", ""]
    if "profile" in row:
        shares = [f"{row['of_peak']:.0%}", f"{row['profile']['roof'] or 0:.0%}"]
    return [
        row["case"],
        _milliseconds(ours["median_s"]) if "median_s" in ours else ours.get("failed", "")[:40],
        *(ratio(name, entry) for name, entry in zip(names, entries, strict=True)),
        error(ours),
        *map(error, entries),
        *shares,
        all_of("load_s", 1e3),
        all_of("peak_mb", 1.0),
    ]
