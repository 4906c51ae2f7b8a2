"""What programs that only run models take from ONNX Runtime's tools for transformers."""

from __future__ import annotations

from typing import NoReturn

from sardonyx.compat.onnxruntime.refused import refuse_module


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise refuse_module(
        f"transformers.{name}", "models run as they are exported, fused while loading"
    )
