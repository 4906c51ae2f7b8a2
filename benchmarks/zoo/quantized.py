"""Models of other recipes with 8-bit weights, as onnxruntime's tools make them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from zoo.recipe import Writer, recipe

CALIBRATION_IMAGES = 4


def _take_over_cases(out: Writer, source: str) -> None:
    """The source's inputs and outputs: what a perfect quantisation would give."""
    for case, arrays in out.cases_of(source).items():
        np.savez(out.folder / f"{out.name}__{case}.npz", **arrays)


@recipe("quantized", needs="resnet50")
def resnet50_int8(out: Writer) -> None:
    """Statically: QuantizeLinear and DequantizeLinear around every operator."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            shape = (CALIBRATION_IMAGES, 1, 3, 224, 224)
            self.left = list(rng.standard_normal(shape, dtype=np.float32))

        def get_next(self) -> dict[str, Any] | None:
            return {"input": self.left.pop()} if self.left else None

    with tempfile.TemporaryDirectory() as scratch:
        whole, ready = Path(scratch) / "whole.onnx", Path(scratch) / "ready.onnx"
        onnx.save(onnx.load(out.folder / "resnet50.onnx"), whole)  # with its weights inside
        quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(out.model),
            Images(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    _take_over_cases(out, "resnet50")


@recipe("quantized", needs="bert_base")
def bert_base_dynint8(out: Writer) -> None:
    """Weights only; activations are quantised as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source = str(out.folder / "bert_base.onnx")
    quantize_dynamic(source, str(out.model), weight_type=QuantType.QInt8, per_channel=True)
    _take_over_cases(out, "bert_base")
