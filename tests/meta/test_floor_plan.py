"""Includes go down the floor plan, never up or sideways."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAY_INCLUDE: dict[str, set[str]] = {
    "base": set(),
    "kernels": set(),
    "codecs": {"base"},
    "ir": {"base"},
    "onnx": {"base", "ir"},
    "ops": {"base", "ir", "kernels"},
    "passes": {"base", "ir", "ops"},
    "plan": {"base", "ir"},
    "runtime": {"base", "plan"},
    "api": {"base", "codecs", "ir", "onnx", "ops", "passes", "plan", "runtime"},
    "capi": {"base", "api"},
    "bindings": {"base", "api"},
    "include": set(),  # what programs include: the C header and the C++ one over it
    "examples": set(),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"(\w+)/', re.M)


def test_includes_follow_the_floor_plan() -> None:
    wrong = []
    for path in (ROOT / "cpp").rglob("*"):
        if path.suffix not in (".h", ".cpp", ".inl"):
            continue
        room = path.relative_to(ROOT / "cpp").parts[0]
        for seen in INCLUDE.findall(path.read_text()):
            if seen != room and seen not in MAY_INCLUDE[room]:
                wrong.append(f"{path.relative_to(ROOT)} includes {seen}/")
    assert not wrong
