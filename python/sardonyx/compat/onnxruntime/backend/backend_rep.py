"""A session as onnx.backend wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnx.backend.base import BackendRep

from sardonyx.compat.onnxruntime.options import RunOptions
from sardonyx.compat.onnxruntime.session import InferenceSession


class OnnxRuntimeBackendRep(BackendRep):
    """Runs on a list in the order of the model's inputs, a dict by name, or one value."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session

    def run(self, inputs: Any, **options: Any) -> Any:
        run_options = RunOptions()
        for name, value in options.items():
            if hasattr(run_options, name):
                setattr(run_options, name, value)
        names = [arg.name for arg in self._session.get_inputs()]
        if isinstance(inputs, Mapping) and inputs.keys() <= set(names):
            return self._session.run(None, inputs, run_options)
        if not isinstance(inputs, list):
            inputs = [inputs]
        if len(inputs) > len(names):
            raise RuntimeError(f"Model expect {len(names)} inputs, got {len(inputs)}")
        return self._session.run(None, dict(zip(names, inputs, strict=False)), run_options)
