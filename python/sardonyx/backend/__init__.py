"""The interface onnx.backend, as the ONNX test suite calls it. Needs the package onnx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend import base

from sardonyx._core import Unsupported
from sardonyx.model import Model, load


def _plain(value: Any) -> Any:
    """Protobuf values as arrays, lists and None."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, onnx.SequenceProto):
        return numpy_helper.to_list(value)
    if isinstance(value, onnx.OptionalProto):
        return numpy_helper.to_optional(value)
    if isinstance(value, onnx.MapProto):
        return numpy_helper.to_dict(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


class SardonyxRep(base.BackendRep):
    """A model made ready by `prepare`."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        """Runs on a list in the order of the model's inputs, one array, or a dict by name."""
        if isinstance(inputs, Mapping):
            feeds = dict(inputs)
        else:
            values = inputs if isinstance(inputs, list | tuple) else [inputs]
            names = [value.name for value in self.model.inputs]
            if len(values) > len(names):
                raise ValueError(f"the model has {len(names)} inputs, got {len(values)}")
            feeds = dict(zip(names, values, strict=False))
        return tuple(self.model.run(None, {k: _plain(value) for k, value in feeds.items()}))


class SardonyxBackend(base.Backend):
    """Sardonyx as an onnx.backend: every method of the base class, on the CPU."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> bool:
        """Whether every operator of the model is implemented."""
        if not cls.supports_device(device):
            return False
        try:
            load(model)
        except Unsupported:
            return False
        return True

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> SardonyxRep:
        """Loads the model; options are those of `sardonyx.load`."""
        if not cls.supports_device(device):
            raise ValueError(f"device {device!r} is not supported, only 'CPU'")
        return SardonyxRep(load(model, **options))

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **options: Any
    ) -> tuple[Any, ...]:
        return cls.prepare(model, device, **options).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Sequence[Any],
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **options: Any,
    ) -> tuple[Any, ...]:
        """Runs one node, of the newest opset unless `opset_version` says otherwise."""
        version = options.pop("opset_version", onnx.defs.onnx_opset_version())
        names = [name for name in node.input if name]
        arrays = [np.asarray(_plain(value)) for value in inputs]
        infos = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in zip(names, arrays, strict=True)
        ]
        results = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = helper.make_graph([node], "node", infos, results)
        imports = [helper.make_opsetid("", version)]
        if node.domain not in ("", "ai.onnx"):
            imports.append(helper.make_opsetid(node.domain, 1))
        model = helper.make_model(graph, opset_imports=imports)
        return cls.run_model(model, dict(zip(names, arrays, strict=True)), device, **options)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device.split(":")[0].upper() == "CPU"


is_compatible = SardonyxBackend.is_compatible
prepare = SardonyxBackend.prepare
run_model = run = SardonyxBackend.run_model
run_node = SardonyxBackend.run_node
supports_device = SardonyxBackend.supports_device
