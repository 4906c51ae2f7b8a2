"""Small models to try things on."""

from __future__ import annotations

from pathlib import Path


def get_example(name: str) -> str:
    """The path of 'mul_1.onnx', 'sigmoid.onnx' or 'logreg_iris.onnx'."""
    path = Path(__file__).parent / name
    if not path.exists():
        raise FileNotFoundError(f"Unable to find example '{name}'")
    return str(path)
