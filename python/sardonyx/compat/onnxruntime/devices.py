"""Where values live, which here is always the CPU's memory."""

from __future__ import annotations

from typing import Any

from sardonyx.compat.onnxruntime.enums import (
    OrtAllocatorType,
    OrtDeviceMemoryType,
    OrtDeviceVendorId,
    OrtHardwareDeviceType,
    OrtMemoryInfoDeviceType,
    OrtMemType,
)

PROVIDERS = ["SardonyxExecutionProvider", "CPUExecutionProvider"]
_DEVICE_TYPES = {"cpu": 0, "cuda": 1, "gpu": 1, "fpga": 2, "npu": 3, "cann": 3, "dml": 4}
_DEVICE_TYPES["webgpu"] = 5


def require_cpu(device_type: str) -> None:
    """Refuses devices that are not the CPU, in ONNX Runtime's words."""
    if not isinstance(device_type, str) or device_type.lower() not in _DEVICE_TYPES:
        raise Exception(f"Unsupported device type: {device_type}")
    if device_type.lower() != "cpu":
        raise RuntimeError(
            f"Can't allocate memory on the {device_type} device using this package: "
            "Sardonyx runs on the CPU"
        )


class OrtDevice:
    """A device by type and number."""

    def __init__(self, device_type: int = 0, mem_type: int = 0, device_id: int = 0) -> None:
        self._type, self._mem_type, self._id = int(device_type), int(mem_type), int(device_id)

    @staticmethod
    def make(ort_device_name: str, device_id: int, vendor_id: int = -1) -> OrtDevice:
        if ort_device_name.lower() not in _DEVICE_TYPES:
            raise Exception(f"Unsupported device type: {ort_device_name}")
        return OrtDevice(_DEVICE_TYPES[ort_device_name.lower()], 0, device_id)

    @staticmethod
    def cpu() -> int:
        return 0

    @staticmethod
    def cuda() -> int:
        return 1

    @staticmethod
    def default_memory() -> int:
        return 0

    def device_id(self) -> int:
        return self._id

    def device_type(self) -> int:
        return self._type

    def device_vendor_id(self) -> int:
        return 0

    def device_mem_type(self) -> int:
        return self._mem_type

    def _get_c_device(self) -> OrtDevice:
        return self


class OrtMemoryInfo:
    """A kind of memory by the name of its allocator."""

    def __init__(
        self,
        name: str,
        allocator_type: OrtAllocatorType,
        device_id: int,
        mem_type: OrtMemType,
    ) -> None:
        self.name = name
        self.allocator_type = OrtAllocatorType(allocator_type)
        self.device_id = device_id
        self.mem_type = OrtMemType(mem_type)
        self.device_mem_type = OrtDeviceMemoryType.DEFAULT
        self.device_vendor_id = 0

    @staticmethod
    def create_v2(
        name: str,
        device_type: OrtMemoryInfoDeviceType,
        vendor_id: int,
        device_id: int,
        device_mem_type: OrtDeviceMemoryType,
        alignment: int,
        allocator_type: OrtAllocatorType,
    ) -> OrtMemoryInfo:
        made = OrtMemoryInfo(name, allocator_type, device_id, OrtMemType.DEFAULT)
        made.device_mem_type = OrtDeviceMemoryType(device_mem_type)
        made.device_vendor_id = vendor_id
        return made


def cpu_memory() -> OrtMemoryInfo:
    arena = OrtAllocatorType.ORT_ARENA_ALLOCATOR
    return OrtMemoryInfo("Cpu", arena, 0, OrtMemType.DEFAULT)


class OrtArenaCfg:
    """Settings of an arena; Sardonyx sizes its own from the model's plan."""

    max_mem = 0
    arena_extend_strategy = -1
    initial_chunk_size_bytes = -1
    max_dead_bytes_per_chunk = -1
    initial_growth_chunk_size_bytes = -1
    max_power_of_two_extend_bytes = -1

    def __init__(self, *settings: Any, **named: Any) -> None:
        if settings and isinstance(settings[0], dict):
            named = settings[0]
        else:
            named = {**dict(zip(_ARENA_SETTINGS[:4], settings, strict=False)), **named}
        for name, value in named.items():
            if name not in _ARENA_SETTINGS:
                raise RuntimeError(f"Invalid OrtArenaCfg option: {name}")
            setattr(self, name, value)


_ARENA_SETTINGS = tuple(name for name in vars(OrtArenaCfg) if not name.startswith("_"))


class OrtHardwareDevice:
    """The CPU as a device."""

    type = OrtHardwareDeviceType.CPU
    vendor = ""
    vendor_id = int(OrtDeviceVendorId.NONE)
    device_id = 0

    @property
    def metadata(self) -> dict[str, str]:
        return {}


class OrtEpDevice:
    """The one pair there is of an execution provider and a device."""

    ep_name = "CPUExecutionProvider"
    ep_vendor = "Sardonyx"
    device = OrtHardwareDevice()

    @property
    def ep_metadata(self) -> dict[str, str]:
        from sardonyx import __version__

        return {"version": __version__}

    @property
    def ep_options(self) -> dict[str, str]:
        return {}

    def memory_info(self, kind: OrtDeviceMemoryType = OrtDeviceMemoryType.DEFAULT) -> OrtMemoryInfo:
        return cpu_memory()
