"""The zoo's models with their inputs and recorded outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
DEFAULT_FOLDER = ROOT.parent / "shared" / "zoo" / "models"


@dataclass(frozen=True)
class Case:
    name: str
    model: Path
    data: Path

    def arrays(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Feeds and recorded outputs by name."""
        with np.load(self.data) as data:
            arrays = {key: data[key] for key in data.files}
        feeds = {key[3:]: value for key, value in arrays.items() if key.startswith("in:")}
        return feeds, {key[4:]: value for key, value in arrays.items() if key.startswith("out:")}


def find_cases(folder: Path, only: list[str]) -> list[Case]:
    """All cases below `folder` whose name contains one of the words, or all without words."""
    cases = []
    for data in sorted(folder.glob("*__*.npz")):
        model = folder / f"{data.stem.split('__')[0]}.onnx"
        if model.exists() and (not only or any(word in data.stem for word in only)):
            cases.append(Case(data.stem, model, data))
    return cases
