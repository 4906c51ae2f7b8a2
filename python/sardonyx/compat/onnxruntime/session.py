"""InferenceSession: ONNX Runtime's interface over a session of Sardonyx."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import numpy as np

import sardonyx
from sardonyx._core import Session as Engine
from sardonyx._core import Value
from sardonyx.compat.onnxruntime import types
from sardonyx.compat.onnxruntime.binding import IOBinding
from sardonyx.compat.onnxruntime.devices import (
    PROVIDERS,
    OrtEpDevice,
    OrtMemoryInfo,
    cpu_memory,
    require_cpu,
)
from sardonyx.compat.onnxruntime.errors import (
    Fail,
    InvalidArgument,
    NoSuchFile,
    raise_load_error,
    raise_run_error,
)
from sardonyx.compat.onnxruntime.feeds import (
    check_feeds,
    check_maps,
    check_names,
    make_arrays,
    make_maps,
    make_scalars,
    make_text,
)
from sardonyx.compat.onnxruntime.native import NativeSession
from sardonyx.compat.onnxruntime.options import RunOptions, SessionOptions
from sardonyx.compat.onnxruntime.providers import normalize_providers
from sardonyx.compat.onnxruntime.saving import MODEL_FOLDER, save
from sardonyx.compat.onnxruntime.trace import Trace
from sardonyx.compat.onnxruntime.values import OrtValue, OrtValueVector
from sardonyx.host.images import decode_image
from sardonyx.host.operators import known_operators

_WARNING = 2  # of ONNX Runtime's severities, from 0: verbose to 4: fatal
_LEVELS = {0: 0, 1: 1}
_UNVERSIONED = 2**63 - 1
_RECORD_ASSIGNMENT = "session.record_ep_graph_assignment_info"

default_severity = _WARNING
default_callback: Callable[[int, str, str, str, str], None] | None = None


def set_default_logger_severity(severity: int) -> None:
    """Sets from which severity on sessions log that say nothing themselves."""
    global default_severity
    if not 0 <= severity <= 4:
        raise RuntimeError(f"Invalid logging severity. {severity} given")
    default_severity = severity


def set_default_logger_callback(
    callback: Callable[[int, str, str, str, str], None] | None, severity: int = _WARNING
) -> None:
    """Has sessions that are made from now on tell the callback what they warn of, not the log.

    It is called with severity, category, logger id, code location and message.
    """
    global default_callback
    if callback is not None:
        set_default_logger_severity(severity)
    default_callback = callback


def _log_to(
    callback: Callable[[int, str, str, str, str], None] | None, logid: str
) -> Callable[[str], None]:
    if callback is None:
        return logging.getLogger("sardonyx").warning
    return lambda message: callback(_WARNING, "sardonyx", logid, "", message)


class NodeArg:
    """An input or output: its name, type and shape."""

    __slots__ = ("name", "shape", "type")

    def __init__(self, value: Value, symbols: Container[Any] = ()) -> None:
        self.name = value.name
        self.type = types.spell(value.type)
        # ONNX Runtime computes no sizes of others': what is neither in `symbols`, the names of
        # inputs' dimensions, nor in the file is open.
        self.shape: list[int | str | None] = [
            dim if not isinstance(dim, str) or name or dim in symbols else None
            for dim, name in zip(value.shape or (), value.dim_names, strict=True)
        ]
        if value.kind == "optional" and self.type.startswith("optional(tensor("):
            self.shape = types.dims_in(value.type)

    def __repr__(self) -> str:
        return f"NodeArg(name='{self.name}', type='{self.type}', shape={self.shape})"


class ModelMetadata:
    """What the file says about itself."""

    def __init__(self, metadata: Mapping[str, str], custom: Mapping[str, str]) -> None:
        self.producer_name = metadata.get("producer_name", "")
        self.graph_name = metadata.get("graph_name", "")
        self.domain = metadata.get("domain", "")
        self.description = metadata.get("doc_string", "")
        self.graph_description = metadata.get("graph_doc_string", "")
        self.version = int(metadata.get("model_version", _UNVERSIONED))
        self.custom_metadata_map = dict(custom)


class InferenceSession:
    """A loaded model. Many threads may run it at once."""

    def __init__(
        self,
        path_or_bytes: str | bytes | os.PathLike[str],
        sess_options: SessionOptions | None = None,
        providers: Sequence[str | tuple[str, dict[Any, Any]]] | None = None,
        provider_options: Sequence[dict[Any, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(path_or_bytes, str | os.PathLike | bytes):
            raise TypeError(f"Unable to load from type '{type(path_or_bytes)}'")
        if sess_options is not None and not isinstance(sess_options, SessionOptions):
            raise TypeError(f"sess_options: expected SessionOptions, got {type(sess_options)}")
        self._sess_options = sess_options if sess_options is not None else SessionOptions()
        # Programs read these where ONNX Runtime has no method for them.
        is_file = not isinstance(path_or_bytes, bytes)
        self._model_path = os.fspath(path_or_bytes) if is_file else None
        self._model_bytes = None if is_file else path_or_bytes
        self._enable_fallback = True
        try:
            self.set_providers(providers, provider_options)
        except (ValueError, RuntimeError) as error:
            if int(kwargs.get("enable_fallback", 1)) != 1:
                raise
            if isinstance(error, ValueError):  # of unknown providers it has been warned
                warnings.warn(f"{error} Using {PROVIDERS[-1]}.", stacklevel=2)
            self.set_providers([PROVIDERS[-1]])
        self._profiling_start = time.monotonic_ns() if self._sess_options.enable_profiling else 0
        self._trace = Trace(self._sess_options) if self._sess_options.enable_profiling else None
        self._engine = self._load(path_or_bytes)
        if self._sess_options.optimized_model_filepath:
            options = self._sess_options
            save(path_or_bytes, options.optimized_model_filepath, options._entries)
        if self._trace is not None:
            self._trace.add_loading(is_file=is_file)

        inputs = [(value, NodeArg(value)) for value in self._engine.inputs]
        is_default = [v.optional and v.kind != "optional" for v, _ in inputs]
        self._inputs_meta = [a for (_, a), d in zip(inputs, is_default, strict=True) if not d]
        self._overridable_initializers = [
            arg for (_, arg), d in zip(inputs, is_default, strict=True) if d
        ]
        symbols = {dim for _, arg in inputs for dim in arg.shape if isinstance(dim, str)}
        self._outputs_meta = [NodeArg(value, symbols) for value in self._engine.outputs]
        self._required = frozenset(v.name for v, _ in inputs if not v.optional)
        self._scalars = frozenset(v.name for v, _ in inputs if v.shape == ())
        self._other_maps = [
            arg
            for arg in self._inputs_meta
            if arg.type.startswith("map(") and not arg.type.endswith(",tensor(float))")
        ]
        self._has_bytes = any("float8" in arg.type for arg in self._outputs_meta)
        self._model_meta = ModelMetadata(self._engine.metadata, self._engine.custom_metadata)

    def _load(self, model: str | bytes | os.PathLike[str]) -> Engine:
        options = self._sess_options
        origin = None if isinstance(model, bytes) else os.fspath(model)
        severity = options.log_severity_level
        logs = (severity if severity >= 0 else default_severity) <= _WARNING
        settings: dict[str, Any] = {
            "threads": max(options.intra_op_num_threads, 0),
            "level": _LEVELS.get(int(options.graph_optimization_level), 2),
            "log": _log_to(default_callback, options.logid) if logs else None,
            "image_codec": decode_image,
            "dims": options._dims,
            "denoted_dims": options._denotations,
            "initializers": {name: v._array() for name, v in options._initializers.items()},
            "operators": known_operators(),
        }
        try:
            if options._files:
                return self._load_beside(options._files, model, settings)
            if isinstance(model, bytes):
                folder = options._entries.get(MODEL_FOLDER, ".")
                return Engine.load_bytes(model, folder, **settings)
            if not os.path.exists(model):
                raise NoSuchFile.of(
                    f"Load model from {origin} failed:Load model {origin} failed. "
                    "File doesn't exist"
                )
            return Engine.load_file(os.fspath(model), **settings)
        except (sardonyx.Error, MemoryError) as error:
            raise_load_error(error, origin)

    def _load_beside(
        self,
        files: Mapping[str, bytes],
        model: str | bytes | os.PathLike[str],
        settings: dict[str, Any],
    ) -> Engine:
        """Loads a model whose external data is in memory."""
        data = model if isinstance(model, bytes) else Path(model).read_bytes()
        with TemporaryDirectory() as folder:
            for name, content in files.items():
                file = Path(folder, name)
                if not file.resolve().is_relative_to(Path(folder).resolve()):
                    raise InvalidArgument.of(f"external data {name!r} leaves the model's directory")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            return Engine.load_bytes(data, folder, **settings)

    def get_session_options(self) -> SessionOptions:
        return self._sess_options

    def get_inputs(self) -> list[NodeArg]:
        return self._inputs_meta

    def get_outputs(self) -> list[NodeArg]:
        return self._outputs_meta

    def get_overridable_initializers(self) -> list[NodeArg]:
        return self._overridable_initializers

    def get_modelmeta(self) -> ModelMetadata:
        return self._model_meta

    def get_input_memory_infos(self) -> list[OrtMemoryInfo]:
        return [cpu_memory() for _ in self._inputs_meta]

    def get_output_memory_infos(self) -> list[OrtMemoryInfo]:
        return [cpu_memory() for _ in self._outputs_meta]

    def get_input_epdevices(self) -> list[OrtEpDevice]:
        return [OrtEpDevice() for _ in self._inputs_meta]

    def get_providers(self) -> list[str]:
        return list(self._providers)

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return {name: dict(options) for name, options in self._provider_options.items()}

    def set_providers(
        self,
        providers: Sequence[str | tuple[str, dict[Any, Any]]] | None = None,
        provider_options: Sequence[dict[Any, Any]] | None = None,
    ) -> None:
        """Every provider that exists runs the model alike: only the names change."""
        given = normalize_providers(providers, provider_options)
        for name in given:
            if not name.endswith("ExecutionProvider"):  # no build of ONNX Runtime has it
                raise RuntimeError(f"Unknown Provider Type: {name}")
        known = {name: options for name, options in given.items() if name in PROVIDERS}
        self._provider_options = {**known, PROVIDERS[-1]: known.get(PROVIDERS[-1], {})}
        self._providers = list(self._provider_options)

    def enable_fallback(self) -> None:
        """There is nothing to fall back from."""
        self._enable_fallback = True

    def disable_fallback(self) -> None:
        """There is nothing to fall back from."""
        self._enable_fallback = False

    @property
    def _sess(self) -> NativeSession:
        return NativeSession(self)

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """The outputs of these names, or all of them, as arrays, lists, dicts and None."""
        if isinstance(output_names, str) or not all(isinstance(n, str) for n in output_names or ()):
            raise TypeError(f"run(): expected a list of output names, got {output_names!r}")
        results = self._run(output_names or None, input_feed, run_options)
        return [_shown(result) for result in results] if self._has_bytes else results

    def _run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None,
    ) -> list[Any]:
        if not self._required <= input_feed.keys():
            self._raise_missing(input_feed)
        feeds = {
            name: value._feed() if isinstance(value, OrtValue) else value
            for name, value in input_feed.items()
        }
        return self._execute(output_names, feeds, run_options)

    def _execute(
        self,
        output_names: Sequence[str] | None,
        feeds: dict[str, Any],
        run_options: RunOptions | None,
        out: list[Any] | None = None,
    ) -> list[Any]:
        cancel = None if run_options is None else run_options._cancel
        if self._other_maps:
            check_maps(self._other_maps, feeds)
        try:
            if self._trace is not None:
                return self._trace.run(self._engine, output_names, feeds, out, cancel)
            return self._engine.run(output_names, feeds, out, False, None, cancel)
        except (sardonyx.Error, MemoryError) as error:
            if cancel is not None and cancel.is_set:
                raise Fail.of("Exiting due to terminate flag being set to true.") from error
            arguments = (*self._inputs_meta, *self._overridable_initializers)
            if (
                make_text(arguments, feeds)
                or make_arrays(arguments, feeds)
                or make_maps(arguments, feeds)
                or make_scalars(self._scalars, feeds)
            ):
                return self._execute(output_names, feeds, run_options, out)
            check_names(arguments, self._outputs_meta, feeds, output_names)
            if not self._required <= feeds.keys():
                self._raise_missing(feeds)
            check_feeds(arguments, feeds)
            raise_run_error(error)

    def _raise_missing(self, feeds: Mapping[str, Any]) -> NoReturn:
        missing = [
            arg.name for arg in self._inputs_meta if arg.name in self._required - feeds.keys()
        ]
        raise ValueError(
            f"Required inputs ({missing}) are missing from input feed ({list(feeds)})."
        )

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        callback: Callable[[list[Any], Any, str], None],
        user_data: Any,
        run_options: RunOptions | None = None,
    ) -> None:
        """Runs on a thread of its own, which calls `callback(results, user_data, error)`."""

        def work() -> None:
            try:
                results = self.run(output_names, input_feed, run_options)
            except Exception as error:
                callback([], user_data, str(error))
            else:
                callback(results, user_data, "")

        threading.Thread(target=work, daemon=True).start()

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        feeds = {name: value._get_c_value() for name, value in input_dict_ort_values.items()}
        names = output_names or None
        return self._wrap(names, self._run(names, feeds, run_options))

    def run_with_ortvaluevector(
        self,
        run_options: RunOptions | None,
        feed_names: Sequence[str],
        feeds: Sequence[OrtValue],
        fetch_names: Sequence[str],
        fetches: list[OrtValue],
        fetch_devices: Any = None,
    ) -> None:
        given = dict(zip(feed_names, feeds, strict=True))
        fetches[:] = self.run_with_ort_values(fetch_names, given, run_options)

    def _wrap(self, output_names: Sequence[str] | None, results: list[Any]) -> OrtValueVector:
        spelled = {arg.name: arg.type for arg in self._outputs_meta}
        return OrtValueVector(
            OrtValue._of(result, spelled[name])
            for name, result in zip(
                spelled if output_names is None else output_names, results, strict=True
            )
        )

    def io_binding(self) -> IOBinding:
        return IOBinding(self)

    def run_with_iobinding(
        self, iobinding: IOBinding, run_options: RunOptions | None = None
    ) -> None:
        if iobinding._session is not self:
            raise ValueError("IOBinding must be used with the session that created it.")
        iobinding._run(run_options)

    def create_ortvalue_from_shape_and_type(
        self,
        shape: Sequence[int],
        element_type: Any,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
    ) -> OrtValue:
        require_cpu(device_type)
        return OrtValue.ortvalue_from_shape_and_type(shape, element_type)

    def end_profiling(self) -> str:
        """Writes the trace and says where."""
        return "" if self._trace is None else self._trace.save()

    def get_profiling_start_time_ns(self) -> int:
        return self._profiling_start

    def get_provider_graph_assignment_info(self) -> list[Any]:
        """One provider runs everything, whatever it is asked to note."""
        if self._sess_options._entries.get(_RECORD_ASSIGNMENT) != "1":
            raise Fail.of(
                f"Session configuration entry '{_RECORD_ASSIGNMENT}' must be set to \"1\" to "
                "retrieve EP graph assignment information."
            )
        return []

    def get_tuning_results(self) -> list[Any]:
        return []

    def set_tuning_results(self, results: Any, *, error_on_invalid: bool = False) -> None:
        """There is nothing to tune."""

    def set_ep_dynamic_options(self, options: Mapping[str, str]) -> None:
        """There are no such options."""

    def release_captured_graph(self, graph_annotation_id: int = 0) -> None:
        """The CPU captures no graphs."""


def _shown(result: Any) -> Any:
    if isinstance(result, np.ndarray):
        return types.shown(result)
    return [_shown(item) for item in result] if isinstance(result, list) else result
