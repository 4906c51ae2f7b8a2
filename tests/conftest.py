"""Makes tests/ops/helpers.py importable as `helpers`, and says what is tested."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "ops")]


def pytest_report_header(config: pytest.Config) -> str:
    import sardonyx

    return f"sardonyx {sardonyx.__version__} ({sardonyx.instruction_set()})"
