"""Makes modules that tests share importable by name, and says what is tested."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "ops"), str(HERE / "differential"), str(HERE / "compat")]


def pytest_report_header(config: pytest.Config) -> str:
    import sardonyx

    return f"sardonyx {sardonyx.__version__} ({sardonyx.instruction_set()})"
