"""Not part of this package: importing it says so."""

from sardonyx.compat.onnxruntime.refused import refuse_module

raise refuse_module("tools", "use ONNX Runtime's tools and run the model here")
