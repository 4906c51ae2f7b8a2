"""What is built for one instruction-set tier stays in that tier's namespace: the linker may keep
any copy of a shared weak symbol, and one with wide instructions would crash weaker hosts."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from cpp_build import build_tests
from sanitized import builds_programs

WEAK = set("VvWwu")


@builds_programs
@pytest.mark.slow
def test_weak_symbols_belong_to_their_tier() -> None:
    if shutil.which("nm") is None:
        pytest.skip("needs nm (binutils)")
    _, folder = build_tests()
    objects = sorted(folder.glob("CMakeFiles/sdx_kernels_*.dir/**/*.o"))
    assert objects
    wrong = []
    for path in objects:
        tier = next(part for part in path.parts if part.startswith("sdx_kernels_"))
        tier = tier.removeprefix("sdx_kernels_").removesuffix(".dir")
        if tier == "baseline":
            continue
        listing = subprocess.run(
            ["nm", "--demangle", "--defined-only", path], capture_output=True, text=True, check=True
        ).stdout
        for line in listing.splitlines():
            _, kind, name = line.split(maxsplit=2)
            if kind in WEAK and f"::{tier}::" not in name:
                wrong.append(f"{path.name} ({tier}): {name}")
    assert not wrong
