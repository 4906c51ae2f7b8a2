"""Hostile models in a program whose reader, passes, planner and runtime watch every access."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cpp_build import build_libraries, build_sanitized
from sanitized import builds_programs

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

from campaigns import CAMPAIGNS

CASES = {"bytes": 20000, "structure": 20000}
# Beyond the seeds that the tests of the fuzzers run.
FIRST = 10**6


@pytest.fixture(scope="module")
def program() -> Path:
    return build_sanitized(Path(__file__).parent, build_libraries())


def environment(leaks: bool) -> dict[str, str]:
    # Failed allocations are what the library promises to survive.
    options = "allocator_may_return_null=1:max_allocation_size_mb=4096"
    return os.environ | {
        "ASAN_OPTIONS": f"{options}:detect_leaks={int(leaks)}",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def leaks_can_be_found(program: Path, folder: Path) -> bool:
    """Not where a process may not trace itself, as in some containers."""
    nothing = folder / "nothing"
    nothing.touch()
    done = subprocess.run([program, nothing], env=environment(True), capture_output=True)
    return done.returncode == 0


@builds_programs
@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_hostile_models_under_sanitizers(kind: str, program: Path, tmp_path: Path) -> None:
    campaign = CAMPAIGNS[kind]()
    file = tmp_path / "models"
    with file.open("wb") as out:
        for seed in range(FIRST, FIRST + CASES[kind]):
            data = campaign.make(seed)[0]
            out.write(len(data).to_bytes(8, "little") + data)
    done = subprocess.run(
        [program, file],
        env=environment(leaks_can_be_found(program, tmp_path)),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=900,
    )
    lines = done.stderr.splitlines()
    numbers = [int(line) for line in lines if line.isdecimal()]
    assert done.returncode == 0, (
        f"python tests/fuzz {kind} --seed {FIRST + max(numbers, default=0)}\n"
        + "\n".join([line for line in lines if not line.isdecimal()][:60])
    )
    assert len(numbers) == CASES[kind]
