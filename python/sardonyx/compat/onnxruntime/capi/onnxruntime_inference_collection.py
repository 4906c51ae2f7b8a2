"""Sessions, values and bindings, under the name of the module that ONNX Runtime has them in."""

from sardonyx.compat.onnxruntime.binding import IOBinding
from sardonyx.compat.onnxruntime.devices import OrtDevice
from sardonyx.compat.onnxruntime.enums import OrtDeviceVendorId
from sardonyx.compat.onnxruntime.providers import check_and_normalize_provider_args
from sardonyx.compat.onnxruntime.refused import AdapterFormat, ModelCompiler
from sardonyx.compat.onnxruntime.session import InferenceSession
from sardonyx.compat.onnxruntime.values import OrtValue, SparseTensor, copy_tensors

Session = InferenceSession

__all__ = [
    "AdapterFormat",
    "IOBinding",
    "InferenceSession",
    "ModelCompiler",
    "OrtDevice",
    "OrtDeviceVendorId",
    "OrtValue",
    "Session",
    "SparseTensor",
    "check_and_normalize_provider_args",
    "copy_tensors",
]
