"""What a model says in float64: the yardstick for every engine's float32.

The file is rewritten, constants and declared types alike, and runs in Sardonyx, whose float64 has
kernels of its own: nothing is fused there and no convolution is transformed.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from cases import CACHE, Case


def _widen_type(proto: Any) -> None:
    if proto.HasField("tensor_type") and proto.tensor_type.elem_type == TensorProto.FLOAT:
        proto.tensor_type.elem_type = TensorProto.DOUBLE


def _widen_tensor(tensor: Any) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        array = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _widen_graph(graph: Any) -> None:
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        _widen_type(value.type)
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"{node.domain}::{node.op_type} knows no float64")
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE
            if attribute.name == "stash_type":
                attribute.i = TensorProto.DOUBLE
            if attribute.HasField("t"):
                _widen_tensor(attribute.t)
            if attribute.HasField("g"):
                _widen_graph(attribute.g)


def widened(path: Path) -> Any:
    """The model with float64 where it had float32."""
    model = onnx.load(path)
    _widen_graph(model.graph)
    return model


def _evaluate(case: Case) -> list[Any]:
    import sardonyx

    feeds, _ = case.arrays()
    wide = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in feeds.items()}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "wide.onnx"
        onnx.save(widened(case.model), path, save_as_external_data=True, location="wide.data")
        return sardonyx.load(path, level=0).run(None, wide)


def exact_results(case: Case) -> list[Any] | None:
    """Results in float64, kept from run to run; None where the model is not one of plain floats."""
    stamp = f"{case.model.resolve()} {case.model.stat().st_mtime_ns} {case.data.stat().st_mtime_ns}"
    kept = CACHE / "float64" / f"{hashlib.sha256(stamp.encode()).hexdigest()[:24]}.npz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            results = _evaluate(case)
            plain = all(isinstance(r, np.ndarray) and r.dtype != object for r in results)
            # Not at all where no float comes out of it, and not where float32 stayed in it.
            exact = plain and any(r.dtype == np.float64 for r in results)
        except Exception:  # of whatever kind: there is no yardstick, and the table says so
            exact = False
        np.savez(kept, *(results if exact else []))
    with np.load(kept) as data:
        return [data[key] for key in data.files] or None
