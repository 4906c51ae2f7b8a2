"""Small valid models with feeds, to mutate: those of the ONNX backend suite and, where it has been
recorded, every kind of model that the tests of the operators build."""

from __future__ import annotations

import collections
import pickle
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

LARGEST_MODEL = 1 << 16
MOST_OF_A_KIND = 12


@dataclass
class Sample:
    name: str
    model: bytes
    feeds: dict[str, Any] = field(default_factory=dict)


def _plain(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, dict) else np.asarray(value)


def backend_suite() -> list[Sample]:
    """The node cases of the ONNX backend suite, which the package onnx brings."""
    from onnx.backend.test import loader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = loader.load_model_tests(kind="node")
    samples = []
    for case in cases:
        if case.model is None or case.model.ByteSize() > LARGEST_MODEL:
            continue
        given = case.data_sets[0][0] if case.data_sets else []
        feeds = {
            info.name: _plain(value)
            for info, value in zip(case.model.graph.input, given, strict=False)
        }
        samples.append(Sample(case.name, case.model.SerializeToString(), feeds))
    return sorted(samples, key=lambda sample: sample.name)


def random_graphs(count: int) -> list[Sample]:
    """Graphs in the idioms of exporters, quantized ones among them."""
    from graphs import random_graph
    from quantized import quantized_graph

    samples = []
    for seed in range(count):
        for make in (random_graph, quantized_graph):
            maker = make(seed)
            name = f"{make.__name__}_{seed}"
            samples.append(Sample(name, maker.model().SerializeToString(), maker.feeds))
    return samples


def corpus(recorded: Path | None = None, graphs: int = 60) -> list[Sample]:
    samples = backend_suite() + random_graphs(graphs)
    if recorded is not None and recorded.exists():
        with recorded.open("rb") as file:
            samples += pickle.load(file)
    return samples


class Recorder:
    """A plugin of pytest that keeps the models that tests load, with what they are first fed."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.counts: collections.Counter[tuple[str, ...]] = collections.Counter()

    def pytest_sessionstart(self) -> None:
        import sardonyx
        import sardonyx.model as module

        load, run, recorder = module.load, module.Model.run, self

        def recording_load(source: Any, **options: Any) -> Any:
            loaded = load(source, **options)
            if hasattr(source, "SerializeToString"):
                loaded._recorded = source.SerializeToString()
            return loaded

        def recording_run(self: Any, outputs: Any, feeds: Any, **options: Any) -> Any:
            data = self.__dict__.pop("_recorded", None)
            if data is not None:
                recorder.keep(data, dict(feeds))
            return run(self, outputs, feeds, **options)

        module.load = sardonyx.load = recording_load
        module.Model.run = recording_run

    def keep(self, data: bytes, feeds: dict[str, Any]) -> None:
        if len(data) > LARGEST_MODEL:
            return
        if any(isinstance(v, np.ndarray) and v.nbytes > LARGEST_MODEL for v in feeds.values()):
            return
        graph = onnx.ModelProto.FromString(data).graph
        kind = tuple(f"{node.domain}.{node.op_type}" for node in graph.node)
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_OF_A_KIND:
            self.samples.append(Sample(f"recorded_{len(self.samples)}", data, feeds))


def record(file: Path, tests: list[str]) -> int:
    """Runs these tests and keeps their models; returns how many."""
    import pytest

    recorder = Recorder()
    pytest.main([*tests, "-q", "-p", "no:cacheprovider", "--durations=0"], plugins=[recorder])
    with file.open("wb") as out:
        pickle.dump(recorder.samples, out)
    return len(recorder.samples)
