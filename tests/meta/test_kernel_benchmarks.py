"""Every kernel has a line in the kernel benchmark."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DECLARED = re.compile(r"extern const Kernel<[^;]*?>\s+(\w+);")


def test_every_kernel_is_measured() -> None:
    headers = (ROOT / "cpp" / "kernels").glob("*.h")
    kernels = [name for header in headers for name in DECLARED.findall(header.read_text())]
    assert len(kernels) > 50
    sources = (ROOT / "benchmarks" / "kernels").glob("*.cpp")
    words = {word for source in sources for word in re.findall(r"\w+", source.read_text())}
    assert not [name for name in kernels if name not in words]
