"""A short part of each kind of fuzzing, the same every time; see `python tests/fuzz --help`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from campaigns import CAMPAIGNS
from isolation import run_isolated

CASES = {"bytes": 1500, "structure": 3000, "operators": 6000, "differential": 60}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_hostile_models_run_or_are_refused(kind: str, tmp_path: Path) -> None:
    campaign = CAMPAIGNS[kind]()
    report = run_isolated(range(CASES[kind]), campaign.make, campaign.check, tmp_path)
    assert not report.findings, str(report)
    assert report.cases == CASES[kind]
