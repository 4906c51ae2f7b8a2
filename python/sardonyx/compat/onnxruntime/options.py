"""SessionOptions and RunOptions with all attributes ONNX Runtime has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sardonyx._core import CancelFlag
from sardonyx.compat.onnxruntime.enums import (
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
)
from sardonyx.compat.onnxruntime.errors import Fail, InvalidArgument
from sardonyx.compat.onnxruntime.values import OrtValue


class _Attributes:
    """Attributes with a type each; others do not exist."""

    _defaults: ClassVar[dict[str, Any]]

    def __init__(self) -> None:
        for name, value in self._defaults.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            return object.__setattr__(self, name, value)
        if name not in self._defaults:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        kind = type(self._defaults[name])
        fits = isinstance(value, kind)
        if kind is int:
            fits = hasattr(value, "__index__")
        elif kind is bool:
            fits = isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")
        elif kind is str:
            fits = isinstance(value, str) or hasattr(value, "__fspath__")
        if not fits:
            raise TypeError(f"{name}: expected {kind.__name__}, got {value!r}")
        object.__setattr__(self, name, str(value) if kind is str else kind(value))


class RunOptions(_Attributes):
    """Options of one run. `terminate` set to True ends the runs that use it with an error."""

    log_severity_level: int
    log_verbosity_level: int
    logid: str
    only_execute_path_to_fetches: bool
    synchronize_execution_providers: bool
    terminate: bool
    training_mode: bool

    _defaults: ClassVar = {
        "log_severity_level": -1,
        "log_verbosity_level": 0,
        "logid": "",
        "only_execute_path_to_fetches": False,
        "synchronize_execution_providers": True,
        "terminate": False,
        "training_mode": False,
    }

    def __init__(self) -> None:
        super().__init__()
        self._entries: dict[str, str] = {}
        self._cancel = CancelFlag()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "terminate":
            self._cancel.is_set = self.terminate

    def add_run_config_entry(self, key: str, value: str) -> None:
        self._entries[key] = value

    def get_run_config_entry(self, key: str) -> str:
        if key not in self._entries:
            raise RuntimeError(f"RunOptions does not have configuration with key: {key}")
        return self._entries[key]

    def add_active_adapter(self, adapter: Any) -> None:
        raise Fail.of("LoRA adapters are not supported by Sardonyx")


class SessionOptions(_Attributes):
    """Options of a session.

    Threads, the optimisation level, free dimensions, initializers, profiling and the log level are
    honoured. What concerns ONNX Runtime's own arena and executors is kept and changes nothing.
    """

    enable_cpu_mem_arena: bool
    enable_mem_pattern: bool
    enable_mem_reuse: bool
    enable_profiling: bool
    execution_mode: ExecutionMode
    execution_order: ExecutionOrder
    graph_optimization_level: GraphOptimizationLevel
    inter_op_num_threads: int
    intra_op_num_threads: int
    log_severity_level: int
    log_verbosity_level: int
    logid: str
    optimized_model_filepath: str
    profile_file_prefix: str
    use_deterministic_compute: bool
    use_per_session_threads: bool

    _defaults: ClassVar = {
        "enable_cpu_mem_arena": True,
        "enable_mem_pattern": True,
        "enable_mem_reuse": True,
        "enable_profiling": False,
        "execution_mode": ExecutionMode.ORT_SEQUENTIAL,
        "execution_order": ExecutionOrder.DEFAULT,
        "graph_optimization_level": GraphOptimizationLevel.ORT_ENABLE_ALL,
        "inter_op_num_threads": 0,
        "intra_op_num_threads": 0,
        "log_severity_level": -1,
        "log_verbosity_level": 0,
        "logid": "",
        "optimized_model_filepath": "",
        "profile_file_prefix": "onnxruntime_profile_",
        "use_deterministic_compute": False,
        "use_per_session_threads": True,
    }

    def __init__(self) -> None:
        super().__init__()
        self._entries: dict[str, str] = {}
        self._dims: dict[str, int] = {}
        self._denotations: dict[str, int] = {}
        self._initializers: dict[str, OrtValue] = {}
        self._files: dict[str, bytes] = {}
        self._providers: list[tuple[str, dict[str, str]]] = []

    def add_session_config_entry(self, key: str, value: str) -> None:
        self._entries[key] = value

    def get_session_config_entry(self, key: str) -> str:
        if key not in self._entries:
            raise RuntimeError(f"SessionOptions does not have configuration with key: {key}")
        return self._entries[key]

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        self._dims[name] = int(value)

    def add_free_dimension_override_by_denotation(self, denotation: str, value: int) -> None:
        self._denotations[denotation] = int(value)

    def add_initializer(self, name: str, ort_value: OrtValue) -> None:
        if not isinstance(ort_value, OrtValue) or not ort_value.is_tensor():
            raise ValueError(f"initializer {name}: expected an OrtValue that holds a tensor")
        self._initializers[name] = ort_value

    def add_external_initializers(
        self, names: Sequence[str], ort_values: Sequence[OrtValue]
    ) -> None:
        for name, value in zip(names, ort_values, strict=True):
            self.add_initializer(name, value)

    def add_external_initializers_from_files_in_memory(
        self, names: Sequence[str], buffers: Sequence[Any], lengths: Sequence[int]
    ) -> None:
        for name, buffer, length in zip(names, buffers, lengths, strict=True):
            self._files[name] = bytes(memoryview(buffer)[:length])

    def add_provider(self, name: str, options: Mapping[str, str]) -> None:
        self._providers.append((name, dict(options)))

    def add_provider_for_devices(
        self, ep_devices: Sequence[Any], options: Mapping[str, str]
    ) -> None:
        for device in ep_devices:
            self.add_provider(device.ep_name, options)

    def has_providers(self) -> bool:
        return bool(self._providers)

    def set_provider_selection_policy(self, policy: Any) -> None:
        """There is one provider to select."""

    def set_provider_selection_policy_delegate(self, delegate: Any) -> None:
        """There is one provider to select."""

    def set_load_cancellation_flag(self, cancel: bool) -> None:
        """Loading is not cancelled: it holds no lock and takes no network."""

    def register_custom_ops_library(self, path: str) -> None:
        """Always refused: such a library is built against ONNX Runtime's own interface."""
        if not os.path.exists(path):
            raise Fail.of(f"Failed to load library {path} with error: there is no such file")
        raise InvalidArgument.of(
            f"{path}: libraries of custom operators need ONNX Runtime itself. Sardonyx takes its "
            "own (sardonyx.load_operators), Python functions (sardonyx.op) and functions of nodes"
        )
