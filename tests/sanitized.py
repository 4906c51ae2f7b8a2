"""Whether a sanitizer is built into what is tested, and what tests cannot ask of it then."""

from __future__ import annotations

import os

import pytest

_PRELOADED = os.environ.get("LD_PRELOAD", "")
SANITIZER = next((name for name in ("address", "thread") if f"lib{name[0]}san" in _PRELOADED), None)

# Every access of memory is looked at: what is promised to end within a time may take so many times
# as long. Work is cut into pieces by what the fast kernels of an ordinary build need for it.
SLOWER = {None: 1, "address": 20, "thread": 60}[SANITIZER]

builds_programs = pytest.mark.skipif(
    SANITIZER is not None, reason="what this compiles has no sanitizer in it, the library has"
)
