"""Not part of this package: importing it says so."""

from sardonyx.compat.onnxruntime.refused import refuse_module

raise refuse_module("transformers", "models run as they are exported, fused while loading")
