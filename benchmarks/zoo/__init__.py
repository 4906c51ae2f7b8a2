"""The zoo: models of many kinds, with made-up or quickly trained weights.

Nothing is downloaded, every seed is fixed; `build` leaves NAME.onnx and NAME__CASE.npz in a folder.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

from zoo.recipe import RECIPES, Recipe, Writer

FAMILIES = ("vision", "vision_more", "text", "decoders", "audio", "tabular", "quantized", "contrib")


def recipes() -> dict[str, Recipe]:
    """All recipes by name."""
    if not RECIPES:
        for family in FAMILIES:
            importlib.import_module(f"zoo.{family}")
    return RECIPES


def build(folder: Path, names: Iterable[str], *, force: bool = False) -> dict[str, str]:
    """Builds what is not there yet; says by name what went wrong."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    failures: dict[str, str] = {}
    for name in names:
        found = recipes()[name]
        if not force and found.done(folder):
            continue
        if found.needs:
            failures |= build(folder, [found.needs])
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.write(Writer(folder, name))
        except Exception as error:  # one model that cannot be built leaves the others
            lines = str(error).splitlines() or [""]
            failures[name] = f"{type(error).__name__}: {lines[0][:200]}"
        took = time.perf_counter() - start
        print(f"built {name}: {failures.get(name, f'{took:.1f} s')}", flush=True)
    return failures
