"""Makes tests/ops/helpers.py importable as `helpers` and prints what the run is about."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "ops"))


def pytest_report_header(config: pytest.Config) -> str:
    import sardonyx

    return f"sardonyx {sardonyx.__version__} ({sardonyx.instruction_set()})"
