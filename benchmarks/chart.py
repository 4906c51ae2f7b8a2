"""Results as one self-contained page: bars of ratios, lines of scaling, in SVG without scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from engines import OURS

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --faint: #8a93a3; --rule: #d9dee6; --back: #fff;
  --s0: #2f6fb2; --s1: #c2702c; --s2: #4f8a5b; --s3: #8b62a8; --s4: #a34a55; --s5: #5d6b7d; }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe5ee; --faint: #8d97a8; --rule: #38404d;
  --back: #14181f; --s0: #6ea8e6; --s1: #e09a5b; --s2: #7dbb8a; --s3: #b592d1; --s4: #d37f89;
  --s5: #9aa7b8; } }
body { background: var(--back); color: var(--ink); margin: 2.5rem auto; max-width: 60rem;
  padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; font-weight: 600; } h2 { font-size: 1.1rem; margin-top: 2.5rem; }
p, li { max-width: 44rem; } .note { color: var(--faint); font-size: 13px; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--ink); font-size: 12px; }
svg .faint { fill: var(--faint); font-size: 11px; } svg line { stroke: var(--rule); }
svg .even { stroke: var(--ink); stroke-dasharray: 3 3; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child, td:first-child { text-align: left; }
"""

WIDTH = 900
LABELS = 190
BAR, GAP = 9, 10


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n{body}\n"
        "</body></html>\n"
    )


def _legend(names: Sequence[str]) -> str:
    parts = [
        f'<span style="color:var(--s{i % 6})">■</span> {escape(name)}'
        for i, name in enumerate(names)
    ]
    return f"<p>{' &nbsp; '.join(parts)}</p>"


def _text(x: float, y: float, words: str, *, anchor: str = "start", faint: bool = False) -> str:
    kind = ' class="faint"' if faint else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"{named}/>'


def bars(rows: list[dict[str, Any]], names: list[str]) -> str:
    """A bar for each engine's time by ours, from the line where both take as long."""
    ratios = [row["engines"][n]["ratio"] for row in rows for n in names if _has(row, n)]
    if not ratios:
        return ""
    low, high = min(0.5, min(ratios) * 0.9), max(2.0, max(ratios) * 1.05)

    def at(ratio: float) -> float:
        span = math.log(high) - math.log(low)
        return LABELS + (WIDTH - LABELS - 60) * (math.log(ratio) - math.log(low)) / span

    step = BAR * len(names) + GAP
    height = 28 + step * len(rows)
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img">']
    for tick in (0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12):
        if low <= tick <= high:
            kind = "even" if tick == 1 else ""
            parts.append(_line(at(tick), 18, at(tick), height, kind))
            parts.append(_text(at(tick), 12, f"{tick:g}", anchor="middle", faint=True))
    for i, row in enumerate(rows):
        y = 24 + i * step
        middle = y + BAR * len(names) / 2 + 4
        parts.append(_text(LABELS - 10, middle, row["case"].replace("__", " "), anchor="end"))
        for j, name in enumerate(names):
            if not _has(row, name):
                continue
            ratio = row["engines"][name]["ratio"]
            x1, x2 = sorted((at(1), at(ratio)))
            top = y + j * BAR
            parts.append(
                f'<rect x="{x1:.1f}" y="{top}" width="{max(x2 - x1, 1):.1f}" height="{BAR - 2}" '
                f'fill="var(--s{j % 6})"><title>{escape(name)}: {ratio:.2f}</title></rect>'
            )
            end, anchor = (x2 + 4, "start") if ratio >= 1 else (x1 - 4, "end")
            parts.append(_text(end, top + 7, f"{ratio:.2f}", anchor=anchor, faint=True))
    return "\n".join([*parts, "</svg>"])


def _has(row: dict[str, Any], name: str) -> bool:
    return "ratio" in row["engines"].get(name, {})


def page(results: dict[str, Any]) -> str:
    """The ratios of all cases, and what share of the machine each uses."""
    rows = results["cases"]
    names = list(dict.fromkeys(n for row in rows for n in row["engines"] if n != OURS))
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    body = [
        f"<p>{escape(machine['processor'])}, {machine['cpus']} processors. {escape(versions)}.</p>",
        "<p>Bars are an engine's time by Sardonyx's, on a logarithmic scale: to the right of the "
        "dashed line Sardonyx is faster. Engines took turns; a ratio is the median of rounds.</p>",
    ]
    for threads in sorted({row["threads"] for row in rows}):
        chosen = [row for row in rows if row["threads"] == threads]
        word = "thread" if threads == 1 else "threads"
        peak = results["peaks"].get(threads) or results["peaks"].get(str(threads))
        body += [f"<h2>{threads} {word}</h2>", _legend(names), bars(chosen, names)]
        body += [
            f'<p class="note">Measured at most: {peak["gflops"]:.0f} GFLOP/s, '
            f"{peak['gbytes']:.1f} GB/s.</p>",
            _table(chosen),
        ]
    return _document("Sardonyx beside other engines", "\n".join(body))


def _table(rows: list[dict[str, Any]]) -> str:
    heads = ["model", "ms", "GFLOP/s", "of peak", "of roof"]
    lines = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    for row in rows:
        if "profile" not in row:
            continue
        cells = [
            row["case"].replace("__", " "),
            f"{row['engines'][OURS]['median_s'] * 1e3:.3f}",
            f"{row['gflops']:.1f}",
            f"{row['of_peak']:.0%}",
            f"{row['profile']['roof'] or 0:.0%}",
        ]
        lines.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


Curve = tuple[str, list[tuple[float, float]]]  # a name, and points


def curves(title: str, unit: str, lines: list[Curve]) -> str:
    """Curves over a logarithmic axis, the vertical one from nought."""
    points = [point for _, line in lines for point in line]
    if not points:
        return ""
    xs = sorted({x for x, _ in points})
    low, high, top = math.log(xs[0]), math.log(xs[-1]) or 1.0, max(y for _, y in points) * 1.1
    left, bottom, height = 70, 250, 280

    def place(x: float, y: float) -> tuple[float, float]:
        share = (math.log(x) - low) / ((high - low) or 1.0)
        return left + (WIDTH - left - 30) * share, bottom - (bottom - 20) * y / top

    parts = [f"<h2>{escape(title)}</h2>", _legend([name for name, _ in lines])]
    parts.append(f'<svg viewBox="0 0 {WIDTH} {height}" role="img">')
    for x in xs:
        at, _ = place(x, 0)
        parts.append(_line(at, 20, at, bottom))
        parts.append(_text(at, bottom + 18, f"{x:g}", anchor="middle", faint=True))
    for part in range(5):
        value = top * part / 4
        _, at = place(xs[0], value)
        parts.append(_line(left, at, WIDTH - 30, at))
        parts.append(_text(left - 8, at + 4, f"{value:.3g}", anchor="end", faint=True))
    parts.append(_text(4, 14, unit, faint=True))
    for i, (name, line) in enumerate(lines):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in sorted(line)))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="var(--s{i % 6})" stroke-width="2">'
            f"<title>{escape(name)}</title></polyline>"
        )
    return "\n".join([*parts, "</svg>"])


def curves_page(title: str, note: str, charts: list[str]) -> str:
    return _document(title, "\n".join([f"<p>{escape(note)}</p>", *charts]))
