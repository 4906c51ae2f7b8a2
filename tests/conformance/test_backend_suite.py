"""The ONNX backend suite: every case whose operators are all registered must pass."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from helpers import compare
from onnx import numpy_helper
from onnx.backend.test import loader

import sardonyx
from sardonyx import backend

sys.path.insert(0, str(Path(__file__).parent))
from known_failures import KNOWN_FAILURES

NOT_REGISTERED = re.compile(r"operators that are not supported: (?!.*from opset)")
# The standard does not fix the stream of random numbers: only type and shape are compared.
RANDOM = re.compile(r"test_bernoulli|test_training_dropout(?!.*zero_ratio)")


def _collect() -> list[Any]:
    cases = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in ("node", "simple", "pytorch-converted", "pytorch-operator"):
            cases += loader.load_model_tests(kind=kind)
        light = [c for c in loader.load_model_tests(kind="real") if "data/light/" in (c.url or "")]
    return cases + light


CASES = _collect()


def _fed(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    return [value for value in model.graph.input if value.name not in constants]


def _read(path: Path, info: onnx.ValueInfoProto) -> Any:
    kinds = {
        "sequence_type": (onnx.SequenceProto, numpy_helper.to_list),
        "optional_type": (onnx.OptionalProto, numpy_helper.to_optional),
        "map_type": (onnx.MapProto, numpy_helper.to_dict),
    }
    proto, convert = kinds.get(
        info.type.WhichOneof("value"), (onnx.TensorProto, numpy_helper.to_array)
    )
    value = proto()
    value.ParseFromString(path.read_bytes())
    return convert(value)


def _read_all(folder: Path, stem: str, infos: list[onnx.ValueInfoProto]) -> list[Any]:
    return [
        _read(path, info)
        for i, info in enumerate(infos)
        if (path := folder / f"{stem}_{i}.pb").exists()
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, dict) else np.asarray(value)


def _light(case: Any) -> tuple[onnx.ModelProto, list[tuple[list[Any], list[Any]]]]:
    path = Path(onnx.__file__).parents[1] / case.url
    model = onnx.load(path)
    inputs = []
    for info in _fed(model):
        shape = [dim.dim_value or 1 for dim in info.type.tensor_type.shape.dim]
        size = int(np.prod(shape))
        inputs.append((np.arange(size).reshape(shape) / size).astype(np.float32))
    outputs = _read_all(path.parent, f"{path.stem}_output", list(model.graph.output))
    return model, [(inputs, outputs)]


def _sets(case: Any) -> tuple[onnx.ModelProto, list[tuple[list[Any], list[Any]]]]:
    if case.model is not None:
        return case.model, [
            ([_plain(v) for v in i], [_plain(v) for v in o]) for i, o in case.data_sets
        ]
    if case.url and "data/light/" in case.url:
        return _light(case)
    folder = Path(case.model_dir)
    model = onnx.load(folder / "model.onnx")

    def sets() -> Iterator[tuple[list[Any], list[Any]]]:
        for data in sorted(folder.glob("test_data_set_*")):
            given = len(list(data.glob("input_*.pb")))
            infos = _fed(model)
            infos = infos if given <= len(infos) else list(model.graph.input)
            yield (
                _read_all(data, "input", infos),
                _read_all(data, "output", list(model.graph.output)),
            )

    return model, list(sets())


def _check(case: Any) -> None:
    model, sets = _sets(case)
    try:
        prepared = backend.prepare(model)
    except sardonyx.Unsupported as error:
        if NOT_REGISTERED.search(str(error)):
            pytest.skip(str(error).splitlines()[0])
        raise
    assert sets
    for inputs, expected in sets:
        results = prepared.run(inputs)
        assert len(results) == len(expected)
        for i, (e, a) in enumerate(zip(expected, results, strict=True)):
            if RANDOM.match(case.name):
                assert (a.dtype, a.shape) == (e.dtype, e.shape)
                continue
            bfloat16 = isinstance(e, np.ndarray) and e.dtype == ml_dtypes.bfloat16
            rtol = max(case.rtol, 2.0**-6) if bfloat16 else case.rtol
            compare(e, a, f"output {i}", limits=(rtol, case.atol))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_backend_suite(case: Any) -> None:
    if case.name not in KNOWN_FAILURES:
        _check(case)
        return
    try:
        _check(case)
    except Exception:
        pytest.xfail(KNOWN_FAILURES[case.name])
    pytest.fail(f"{case.name} passes: take it out of known_failures.py")


def test_known_failures_exist() -> None:
    assert set(KNOWN_FAILURES) <= {case.name for case in CASES}
