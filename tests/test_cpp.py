"""Builds the C++ tests and runs them."""

from __future__ import annotations

import os
import platform
import subprocess

import pytest

from cpp_build import build_tests
from sanitized import builds_programs

TIERS = ["", "baseline"]
if platform.machine() in ("x86_64", "AMD64"):
    TIERS += ["avx2", "avx512"]


@builds_programs
@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier or "host")
def test_cpp(tier: str) -> None:
    environment = os.environ | ({"SDX_ISA": tier} if tier else {})
    binary, _ = build_tests()
    done = subprocess.run([binary], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
