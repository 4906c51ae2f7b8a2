"""OnnxRuntimeBackend: prepare, run_model, run_node. Needs the package onnx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx.backend.base import Backend

from sardonyx.backend import SardonyxBackend
from sardonyx.compat.onnxruntime.backend.backend_rep import OnnxRuntimeBackendRep
from sardonyx.compat.onnxruntime.environment import get_device
from sardonyx.compat.onnxruntime.options import SessionOptions
from sardonyx.compat.onnxruntime.session import InferenceSession


class OnnxRuntimeBackend(Backend):
    """Sessions behind the methods of onnx.backend."""

    @classmethod
    def is_compatible(cls, model: Any, device: str | None = None, **_: Any) -> bool:
        return cls.supports_device(device or get_device())

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device.split(":")[0] == get_device()

    @classmethod
    def prepare(cls, model: Any, device: str | None = None, **options: Any) -> Any:
        """From a path, bytes, a ModelProto, a session, or what this made before."""
        if isinstance(model, OnnxRuntimeBackendRep):
            return model
        if device is not None and not cls.supports_device(device):
            raise RuntimeError(f"Incompatible device expected '{device}', got '{get_device()}'")
        if isinstance(model, InferenceSession):
            return OnnxRuntimeBackendRep(model)
        if isinstance(model, onnx.ModelProto):
            model = model.SerializeToString()
        session_options = SessionOptions()
        for name, value in options.items():
            if hasattr(session_options, name):
                setattr(session_options, name, value)
        return OnnxRuntimeBackendRep(InferenceSession(model, session_options))

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str | None = None, **options: Any) -> Any:
        return cls.prepare(model, device, **options).run(inputs, **options)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Sequence[Any],
        device: str | None = None,
        outputs_info: Any = None,
        **options: Any,
    ) -> Any:
        return SardonyxBackend.run_node(node, inputs, device or "CPU", outputs_info, **options)


is_compatible = OnnxRuntimeBackend.is_compatible
prepare = OnnxRuntimeBackend.prepare
run = OnnxRuntimeBackend.run_model
supports_device = OnnxRuntimeBackend.supports_device
