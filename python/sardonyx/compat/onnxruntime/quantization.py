"""Not part of this package: importing it says so."""

from sardonyx.compat.onnxruntime.refused import refuse_module

raise refuse_module("quantization", "quantise with ONNX Runtime and run the model here")
