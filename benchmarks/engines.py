"""The engines that benchmarks compare, behind one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[[dict[str, Any]], list[Any]]


def load_sardonyx(path: Path, threads: int) -> Run:
    import sardonyx

    model = sardonyx.load(path, threads=threads)
    return lambda feeds: model.run(None, feeds)


def load_onnxruntime(path: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, feeds)


def _load_openvino(path: Path, threads: int, hints: dict[str, str]) -> Run:
    import openvino

    core = openvino.Core()
    properties = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **hints}
    compiled = core.compile_model(core.read_model(path), "CPU", properties)
    request = compiled.create_infer_request()
    return lambda feeds: list(request.infer(feeds, share_inputs=True, share_outputs=True).values())


def load_openvino(path: Path, threads: int) -> Run:
    """In float32, as the file says."""
    return _load_openvino(path, threads, {"INFERENCE_PRECISION_HINT": "f32"})


def load_openvino_default(path: Path, threads: int) -> Run:
    """As it comes: bfloat16 where the processor has it."""
    return _load_openvino(path, threads, {})


ENGINES: dict[str, Callable[[Path, int], Run]] = {
    "sardonyx": load_sardonyx,
    "onnxruntime": load_onnxruntime,
    "openvino": load_openvino,
    "openvino-default": load_openvino_default,
}

# Workers of onnxruntime spin for about 46 ms after a run; what is timed then pays for it.
SECONDS_TO_SETTLE = {"onnxruntime": 0.07}
