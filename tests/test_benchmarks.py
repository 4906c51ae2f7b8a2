"""What the benchmarks make of their measurements."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import chart  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402


def _row(case: str, ratio: float, noise: float = 0.0, threads: int = 1) -> dict[str, Any]:
    peer = {"median_s": ratio / 1e3, "ratio": ratio, "ratio_noise": noise, "error": 1e-6}
    ours = {"median_s": 1e-3, "noise": noise, "error": 1e-6}
    coarse = {"median_s": 1e-4, "ratio": 0.1, "ratio_noise": 0.0, "error": 1e-2}
    engines = {"sardonyx": ours, "onnxruntime": peer, "openvino-default": coarse}
    return {"case": case, "threads": threads, "engines": engines}


def test_the_summary_leaves_out_coarser_formats() -> None:
    text = report.summary([_row("a", 2.0), _row("b", 0.5)])
    assert "1.00 times the better peer" in text
    assert "behind it in 1; worst b, 0.50 of onnxruntime" in text
    assert "default" not in text


def test_changes_count_beyond_noise_only() -> None:
    before = [_row("steady", 1.0), _row("noisy", 1.0, 0.1), _row("better", 1.0, 0.01)]
    after = [_row("steady", 1.02), _row("noisy", 1.3, 0.1), _row("better", 1.3, 0.01)]
    text = report.compare(before, after)
    assert "better" in text
    assert "faster by 30.0%" in text
    assert "steady" not in text
    assert "noisy" not in text
    assert "SLOWER" in report.compare(after, before)
    assert "nothing beyond noise" in report.compare(before, before)


def test_errors_are_of_floats_and_of_labels() -> None:
    ones = np.ones(4, np.float32)
    assert measure.worst_error([ones * 1.5], [ones]) == pytest.approx(0.5)
    assert measure.worst_error([np.array([1, 2])], [np.array([1, 3])]) == 0.5
    assert measure.worst_error([np.ones((2, 2))], [ones]) is None
    assert measure.noise([1.0, 1.0, 1.1]) == 0
    assert measure.noise([1.0, 2.0, 3.0]) == 0.5


def test_pages_are_whole() -> None:
    results = {
        "machine": {"processor": "a <b>", "cpus": 2, "system": "s", "versions": {"x": "1"}},
        "peaks": {1: {"gflops": 100.0, "gbytes": 10.0}},
        "cases": [_row("a__b1", 2.0), _row("c__b1", 0.7)],
    }
    page = chart.page(results)
    start = page.index("<html")
    ET.fromstring(page[start:].replace('<meta charset="utf-8">', "").replace("&nbsp;", " "))
    assert "a &lt;b&gt;" in page
    assert "<script" not in page
    assert "| a__b1 |" in report.markdown(results)
    curves = chart.curves("t", "ms", [("one", [(1, 2.0), (2, 3.0)]), ("other", [(1, 1.0)])])
    ET.fromstring(f"<div>{curves}</div>".replace("&nbsp;", " "))


@pytest.mark.slow
def test_the_smallest_model_is_built_and_right(tmp_path: Path) -> None:
    for package in ("torch", "transformers", "skl2onnx", "onnxscript"):
        pytest.importorskip(package)
    import sardonyx
    import zoo
    from cases import find_cases
    from reference import widened

    assert not zoo.build(tmp_path, ["mlp3"])
    (case,) = find_cases(tmp_path, ["mlp"])
    feeds, recorded = case.arrays()
    results = sardonyx.load(case.model).run(None, feeds)
    assert (measure.worst_error(results, list(recorded.values())) or 0) < 1e-6
    wide = {name: value.astype(np.float64) for name, value in feeds.items()}
    (exact,) = sardonyx.load(widened(case.model)).run(None, wide)
    assert exact.dtype == np.float64
    assert (measure.worst_error(results, [exact]) or 0) < 1e-6
