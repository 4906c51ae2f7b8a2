"""How a model of the zoo is written down: a recipe by name, and the files it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


class Writer:
    """Puts NAME.onnx and NAME__CASE.npz into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.model = folder / f"{name}.onnx"

    def case(self, case: str, feeds: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Inputs as `in:NAME`, recorded outputs as `out:NAME`."""
        arrays: dict[str, Any] = {f"in:{name}": np.asarray(value) for name, value in feeds.items()}
        arrays |= {f"out:{name}": np.asarray(value) for name, value in outputs.items()}
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"{self.name}, case {case}: {name} is not finite")
        np.savez(self.folder / f"{self.name}__{case}.npz", **arrays)

    def cases_of(self, name: str) -> dict[str, dict[str, Any]]:
        """What another recipe left, as it lies in the files."""
        found = {}
        for path in sorted(self.folder.glob(f"{name}__*.npz")):
            with np.load(path) as data:
                found[path.stem.split("__")[1]] = {key: data[key] for key in data.files}
        return found


@dataclass(frozen=True)
class Recipe:
    name: str
    group: str
    needs: str | None  # a recipe whose files this one reads
    main: bool  # one of the models that are always measured
    write: Callable[[Writer], None]

    def done(self, folder: Path) -> bool:
        return (folder / f"{self.name}.onnx").exists() and any(folder.glob(f"{self.name}__*.npz"))


RECIPES: dict[str, Recipe] = {}


def recipe(
    group: str, *, needs: str | None = None, main: bool = True
) -> Callable[[Callable[[Writer], None]], Callable[[Writer], None]]:
    """Registers a function under its name."""

    def register(write: Callable[[Writer], None]) -> Callable[[Writer], None]:
        name = write.__name__
        RECIPES[name] = Recipe(name, group, needs, main, write)
        return write

    return register
