"""A short part of each kind of fuzzing, the same every time; see `python tests/fuzz --help`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import checks
import tiers
from campaigns import CAMPAIGNS
from isolation import Finding, run_isolated

import sardonyx

CASES = {"bytes": 1500, "structure": 3000, "operators": 6000, "differential": 60}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_hostile_models_run_or_are_refused(kind: str, tmp_path: Path) -> None:
    campaign = CAMPAIGNS[kind]()
    report = run_isolated(range(CASES[kind]), campaign.make, campaign.check, tmp_path)
    assert not report.findings, str(report)
    assert report.cases == CASES[kind]


class Shifted:
    """An instruction set under which every result is off by so much."""

    def __init__(self, off: float) -> None:
        self.off = np.float32(off)

    def run(self, model: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [y + self.off for y in sardonyx.load(model, level=0).run(None, feeds)]


# Two norms in a row over channels that hardly differ: errors grow a thousandfold.
ILL_CONDITIONED, USUAL = 44020820, 1


@pytest.mark.parametrize(
    ("seed", "off", "defect"),
    [(ILL_CONDITIONED, 1e-5, False), (ILL_CONDITIONED, 1e-3, True), (USUAL, 1e-4, True)],
)
def test_graphs_that_multiply_rounding_are_told_from_defects(
    seed: int, off: float, defect: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in tiers.NAMES:
        monkeypatch.setitem(checks.TIERS, name, Shifted(off))
    case = CAMPAIGNS["differential"]().make(seed)
    if not defect:
        assert checks.is_the_same_everywhere(case) == "multiplies rounding"
        return
    with pytest.raises(Finding, match="level 0 and baseline"):
        checks.is_the_same_everywhere(case)
