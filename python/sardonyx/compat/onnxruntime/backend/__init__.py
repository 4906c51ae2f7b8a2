"""The interface onnx.backend under ONNX Runtime's names."""

from sardonyx.compat.onnxruntime.backend.backend import (
    is_compatible,
    prepare,
    run,
    supports_device,
)

__all__ = ["is_compatible", "prepare", "run", "supports_device"]
