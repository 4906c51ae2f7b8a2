"""Other runtimes' interfaces over Sardonyx, for programs that are written against those.

`sardonyx.compat.onnxruntime` stands for the package onnxruntime. Programs that cannot be edited
find it under that name when the directory `path()` comes first on the import path.
"""

from __future__ import annotations

from pathlib import Path


def path() -> Path:
    """The directory that holds a package named onnxruntime; `sardonyx compat-path` prints it."""
    return Path(__file__).parent / "path"
