"""A file is short enough to read in one sitting."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 800
LONGEST_PACKAGE = 1000
TEXT = {".h", ".cpp", ".inl", ".py", ".pyi", ".cmake"}


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_file_is_too_long() -> None:
    folders = ("cpp", "python", "tests", "benchmarks")
    files = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.suffix in TEXT]
    assert files
    assert not [f"{p.relative_to(ROOT)}: {n} lines" for p in files if (n := _lines(p)) > LONGEST]


def test_the_package_stays_thin() -> None:
    files = (ROOT / "python" / "sardonyx").glob("*.py*")
    assert sum(_lines(p) for p in files if p.suffix in TEXT) <= LONGEST_PACKAGE
