"""The models that benchmarks run, with their inputs and recorded outputs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import zoo

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sardonyx"


@dataclass(frozen=True)
class Case:
    """NAME.onnx and NAME__CASE.npz, as a folder of models holds them."""

    model: Path
    data: Path

    @property
    def name(self) -> str:
        return self.data.stem

    def arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Feeds and recorded outputs by name."""
        with np.load(self.data) as data:
            arrays = {key: data[key] for key in data.files}
        feeds = {key[3:]: value for key, value in arrays.items() if key.startswith("in:")}
        return feeds, {key[4:]: value for key, value in arrays.items() if key.startswith("out:")}


def find_cases(folder: Path, words: Iterable[str]) -> list[Case]:
    """All cases in `folder` whose name contains one of the words, or all without words."""
    wanted = [word for word in words if word]
    cases = []
    for data in sorted(folder.glob("*__*.npz")):
        model = folder / f"{data.stem.split('__')[0]}.onnx"
        if model.exists() and (not wanted or any(word in data.stem for word in wanted)):
            cases.append(Case(model, data))
    return cases


def zoo_cases(words: Iterable[str], *, more: bool = False) -> list[Case]:
    """Cases of the zoo, built where they are not there yet; `more` than the main ones."""
    folder = CACHE / "zoo"
    wanted = [word.split("__")[0] for word in words if word]
    names = [
        name
        for name, recipe in zoo.recipes().items()
        if (any(word in name for word in wanted) if wanted else more or recipe.main)
    ]
    zoo.build(folder, names)
    return [case for case in find_cases(folder, words) if case.model.stem in names]
