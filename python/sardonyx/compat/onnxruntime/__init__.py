"""ONNX Runtime's Python interface over Sardonyx.

>>> import numpy as np
>>> import sardonyx as sx
>>> import sardonyx.compat.onnxruntime as ort
>>> session = ort.InferenceSession(sx.demo_model(), providers=["CPUExecutionProvider"])
>>> session.get_inputs()[0]
NodeArg(name='image', type='tensor(float)', shape=['batch', 1, 8, 8])
>>> session.run(["probabilities"], {"image": np.zeros((1, 1, 8, 8), np.float32)})[0].shape
(1, 10)

`__version__` is the version of ONNX Runtime whose interface this is; `get_build_info()` says what
runs. Beyond ONNX Runtime, results and feeds may have the types of ml_dtypes, and numbers and lists
stand for arrays.
"""

from sardonyx.compat.onnxruntime import capi
from sardonyx.compat.onnxruntime.binding import IOBinding
from sardonyx.compat.onnxruntime.devices import (
    OrtArenaCfg,
    OrtDevice,
    OrtEpDevice,
    OrtHardwareDevice,
    OrtMemoryInfo,
)
from sardonyx.compat.onnxruntime.enums import (
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
    OrtAllocatorType,
    OrtCompileApiFlags,
    OrtDeviceMemoryType,
    OrtDeviceVendorId,
    OrtExecutionProviderDevicePolicy,
    OrtHardwareDeviceType,
    OrtMemoryInfoDeviceType,
    OrtMemType,
    OrtSparseFormat,
)
from sardonyx.compat.onnxruntime.environment import (
    API_VERSION,
    create_and_register_allocator,
    create_and_register_allocator_v2,
    disable_telemetry_events,
    enable_telemetry_events,
    get_all_providers,
    get_available_providers,
    get_build_info,
    get_device,
    get_ep_devices,
    get_version_string,
    has_collective_ops,
    preload_dlls,
    print_debug_info,
    register_execution_provider_library,
    set_default_logger_verbosity,
    set_global_thread_pool_sizes,
    set_seed,
    unregister_execution_provider_library,
)
from sardonyx.compat.onnxruntime.options import RunOptions, SessionOptions
from sardonyx.compat.onnxruntime.refused import (
    AdapterFormat,
    LoraAdapter,
    ModelCompiler,
    ModelPackage,
    ModelPackageContext,
    ModelPackageOptions,
)
from sardonyx.compat.onnxruntime.session import (
    InferenceSession,
    ModelMetadata,
    NodeArg,
    set_default_logger_callback,
    set_default_logger_severity,
)
from sardonyx.compat.onnxruntime.values import OrtValue, SparseTensor, copy_tensors

SessionIOBinding = IOBinding

__version__ = version = API_VERSION
package_name = "onnxruntime"
cuda_version = ""
__author__ = "The Sardonyx authors"

__all__ = [
    "AdapterFormat",
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "LoraAdapter",
    "ModelCompiler",
    "ModelMetadata",
    "ModelPackage",
    "ModelPackageContext",
    "ModelPackageOptions",
    "NodeArg",
    "OrtAllocatorType",
    "OrtArenaCfg",
    "OrtCompileApiFlags",
    "OrtDevice",
    "OrtDeviceMemoryType",
    "OrtDeviceVendorId",
    "OrtEpDevice",
    "OrtExecutionProviderDevicePolicy",
    "OrtHardwareDevice",
    "OrtHardwareDeviceType",
    "OrtMemType",
    "OrtMemoryInfo",
    "OrtMemoryInfoDeviceType",
    "OrtSparseFormat",
    "OrtValue",
    "RunOptions",
    "SessionIOBinding",
    "SessionOptions",
    "SparseTensor",
    "__version__",
    "capi",
    "copy_tensors",
    "create_and_register_allocator",
    "create_and_register_allocator_v2",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_ep_devices",
    "get_version_string",
    "has_collective_ops",
    "preload_dlls",
    "print_debug_info",
    "register_execution_provider_library",
    "set_default_logger_callback",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_global_thread_pool_sizes",
    "set_seed",
    "unregister_execution_provider_library",
]
