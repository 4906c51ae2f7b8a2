"""One engine in a fresh process: how long it loads and how much memory it takes; prints JSON.

python benchmarks/fresh.py ENGINE MODEL.onnx DATA.npz THREADS
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

from cases import Case
from engines import ENGINES
from measure import load


def _status(field: str) -> float:
    """Megabytes, from what the kernel keeps about this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(field + ":"))
    return int(line.split()[1]) / 1024


def main() -> None:
    engine, model, data, threads = sys.argv[1:]
    case = Case(Path(model), Path(data))
    importlib.import_module(ENGINES[engine].module)
    feeds, _ = case.arrays()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    start = time.perf_counter()
    run = load(ENGINES[engine], case, int(threads), feeds)
    loaded = time.perf_counter()
    run(feeds)
    first = time.perf_counter()
    peak = _status("VmHWM") - before
    print(json.dumps({"load_s": loaded - start, "first_run_s": first - loaded, "peak_mb": peak}))


if __name__ == "__main__":
    main()
