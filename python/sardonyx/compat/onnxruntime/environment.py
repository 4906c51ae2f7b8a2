"""What is asked of the package rather than of a session."""

from __future__ import annotations

from typing import Any

import sardonyx
from sardonyx.compat.onnxruntime.devices import PROVIDERS, OrtEpDevice, OrtHardwareDevice
from sardonyx.compat.onnxruntime.options import SessionOptions

# The version of ONNX Runtime whose interface this is; programs compare it.
API_VERSION = "1.31.1"


def get_available_providers() -> list[str]:
    return list(PROVIDERS)


def get_all_providers() -> list[str]:
    return list(PROVIDERS)


def get_device() -> str:
    return "CPU"


def get_build_info() -> str:
    return (
        f"Build Info: Sardonyx {sardonyx.__version__} ({sardonyx.instruction_set()}) with the "
        f"interface of ONNX Runtime {API_VERSION}"
    )


def get_version_string() -> str:
    return API_VERSION


def get_ep_devices() -> list[OrtEpDevice]:
    return [OrtEpDevice()]


def get_hardware_devices() -> list[OrtHardwareDevice]:
    return [OrtHardwareDevice()]


def get_default_session_options() -> SessionOptions:
    return SessionOptions()


def has_collective_ops() -> bool:
    return False


def is_dlpack_uint8_tensor(capsule: Any) -> bool:
    """Whether booleans may hide in it: NumPy tells them apart by itself."""
    return False


def set_default_logger_verbosity(verbosity: int) -> None:
    """Sardonyx logs warnings only."""


def set_seed(seed: int) -> None:
    """Operators that draw numbers take their seed from the model."""


def set_global_thread_pool_sizes(intra: int, inter: int) -> None:
    """One pool serves all sessions already, sized by what the process may use."""


def enable_telemetry_events() -> None:
    """There is no telemetry."""


def disable_telemetry_events() -> None:
    """There is no telemetry."""


def preload_dlls(
    cuda: bool = True, cudnn: bool = True, msvc: bool = True, directory: Any = None
) -> None:
    """There is nothing to load."""


def print_debug_info() -> None:
    print(get_build_info())


def create_and_register_allocator(*_: Any) -> None:
    """Sessions allocate by their own plans."""


def create_and_register_allocator_v2(*_: Any) -> None:
    """Sessions allocate by their own plans."""


def register_execution_provider_library(name: str, path: str) -> None:
    raise RuntimeError(f"{name}: Sardonyx takes no libraries of execution providers")


def unregister_execution_provider_library(name: str) -> None:
    raise RuntimeError(f"{name}: Sardonyx takes no libraries of execution providers")
