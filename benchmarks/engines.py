"""The engines that benchmarks compare, behind one call."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Feeds = dict[str, Any]
Run = Callable[[Feeds], list[Any]]
OURS = "sardonyx"


@dataclass(frozen=True)
class Engine:
    name: str
    module: str  # the Python package that must be there
    # From the model, the number of threads, and feeds that show the shapes to come.
    load: Callable[[Path, int, Feeds], Run]
    # Workers that spin after a run would be charged to whoever is timed next.
    settle_seconds: float = 0.0
    approximate: bool = False  # runs in a coarser format than the file's: shown, not compared
    # Works on a model converted by a tool of its own, which may know less than the file says.
    converts: bool = False

    def installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None


def load_sardonyx(path: Path, threads: int, _: Feeds) -> Run:
    import sardonyx

    model = sardonyx.load(path, threads=threads)
    return lambda feeds: model.run(None, feeds)


def load_onnxruntime(path: Path, threads: int, _: Feeds) -> Run:
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


def load_openvino(path: Path, threads: int, _: Feeds) -> Run:
    """In float32, as the file says."""
    return _load_openvino(path, threads, {"INFERENCE_PRECISION_HINT": "f32"})


def load_openvino_default(path: Path, threads: int, _: Feeds) -> Run:
    """As it comes: bfloat16 where the processor has it."""
    return _load_openvino(path, threads, {})


def load_mnn(path: Path, threads: int, feeds: Feeds) -> Run:
    import MNN
    import onnx

    # A file of its own: the graph of a model with external data names its outputs too.
    outputs = [value.name for value in onnx.load(path, load_external_data=False).graph.output]
    with tempfile.TemporaryDirectory() as scratch:
        converted = Path(scratch) / "model.mnn"
        tool = Path(sys.executable).with_name("mnnconvert")
        command = [tool, "-f", "ONNX", "--modelFile", path, "--MNNModel", converted]
        subprocess.run([*map(str, command), "--bizCode", "b"], check=True, capture_output=True)
        config = {"precision": "high", "backend": "CPU", "numThread": threads}
        runtime = MNN.nn.create_runtime_manager((config,))
        network = MNN.nn.load_module_from_file(
            str(converted), list(feeds), outputs, runtime_manager=runtime
        )
    kinds = {"f": MNN.expr.float, "i": MNN.expr.int}

    def run(feeds: Feeds) -> list[Any]:
        values = []
        for array in feeds.values():
            narrow = array.astype(np.int32) if array.dtype == np.int64 else array
            kind = kinds[array.dtype.kind]
            values.append(MNN.expr.const(narrow, list(array.shape), MNN.expr.NCHW, kind))
        return [result.read() for result in network.forward(values)]

    return run


def load_ncnn(path: Path, threads: int, feeds: Feeds) -> Run:
    import ncnn

    shapes = ",".join(f"[{','.join(map(str, array.shape))}]" for array in feeds.values())
    with tempfile.TemporaryDirectory() as scratch:
        tool = Path(sys.executable).with_name("pnnx")
        (Path(scratch) / path.name).symlink_to(path.resolve())
        for beside in path.parent.glob(f"{path.name}.data"):
            (Path(scratch) / beside.name).symlink_to(beside.resolve())
        command = [str(tool), path.name, f"inputshape={shapes}", "fp16=0"]
        subprocess.run(command, check=True, capture_output=True, cwd=scratch)
        network = ncnn.Net()
        network.opt.num_threads = threads
        for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(network.opt, f"use_{option}", False)
        converted = Path(scratch) / f"{path.stem.replace('-', '_')}.ncnn"
        if network.load_param(f"{converted}.param") or network.load_model(f"{converted}.bin"):
            raise ValueError("the converted model does not load")
    outputs = network.output_names()

    def run(feeds: Feeds) -> list[Any]:
        extractor = network.create_extractor()
        for name, array in zip(network.input_names(), feeds.values(), strict=True):
            extractor.input(name, ncnn.Mat(array[0]))  # ncnn knows no batches
        return [np.array(extractor.extract(name)[1])[None] for name in outputs]

    return run


ENGINES = {
    engine.name: engine
    for engine in (
        Engine(OURS, "sardonyx", load_sardonyx),
        # Its workers spin for about 46 ms after a run.
        Engine("onnxruntime", "onnxruntime", load_onnxruntime, settle_seconds=0.07),
        Engine("openvino", "openvino", load_openvino),
        Engine("openvino-default", "openvino", load_openvino_default, approximate=True),
        Engine("ncnn", "ncnn", load_ncnn, converts=True),
        Engine("mnn", "MNN", load_mnn, converts=True),
    )
}
