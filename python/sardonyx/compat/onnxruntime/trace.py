"""The profile of a session's runs, as ONNX Runtime writes it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sardonyx._core import CancelFlag, StepProfile
    from sardonyx._core import Session as Engine
    from sardonyx.compat.onnxruntime.options import SessionOptions


class Trace:
    """Events of the steps of every run, in the format of chrome://tracing."""

    def __init__(self, options: SessionOptions) -> None:
        self._prefix = options.profile_file_prefix
        self._start = time.perf_counter()
        self._events: list[dict[str, Any]] = []

    def _event(
        self, category: str, name: str, begin: float, seconds: float, **args: str
    ) -> dict[str, Any]:
        return {
            "cat": category,
            "pid": os.getpid(),
            "tid": threading.get_native_id(),
            "dur": round(seconds * 1e6),
            "ts": round(begin * 1e6),
            "ph": "X",
            "name": name,
            "args": args,
        }

    def add_loading(self, *, is_file: bool) -> None:
        """Notes that the session is ready; what it took since this was made was loading."""
        seconds = time.perf_counter() - self._start
        source = "uri" if is_file else "array"
        self._events.append(self._event("Session", f"model_loading_{source}", 0.0, seconds))
        self._events.append(self._event("Session", "session_initialization", 0.0, seconds))

    def run(
        self,
        engine: Engine,
        output_names: Sequence[str] | None,
        feeds: Mapping[str, Any],
        out: list[Any] | None,
        cancel: CancelFlag | None,
    ) -> list[Any]:
        """Runs and notes the times of the steps."""
        begin = time.perf_counter() - self._start
        steps: list[StepProfile] = []
        results = engine.run(output_names, dict(feeds), out, cancel=cancel, profile=steps)
        seconds = time.perf_counter() - self._start - begin
        for name in ("model_run", "SequentialExecutor::Execute"):
            self._events.append(self._event("Session", name, begin, seconds))
        for number, step in enumerate(steps):
            name = step.node or f"{step.op}_{number}"
            self._events.append(
                self._event(
                    "Node",
                    f"{name}_kernel_time",
                    begin + step.begin,
                    step.seconds,
                    op_name=step.op,
                    provider="CPUExecutionProvider",
                    node_index=str(number),
                    shapes=step.shapes,
                    nodes=", ".join(step.nodes),
                )
            )
        return results

    def save(self) -> str:
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S_%f")[:-3]
        path = f"{self._prefix}_{stamp}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self._events, file)
        return path
