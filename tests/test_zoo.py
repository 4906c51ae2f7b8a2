"""Whole models against their recorded outputs, or against onnxruntime where none are recorded.

The models come from benchmarks/zoo; SARDONYX_ZOO names the folder where they are built, if not the
one where benchmarks keep them. Where none are, some small ones are built here.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sardonyx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import zoo  # noqa: E402
from cases import CACHE  # noqa: E402

FOLDER = Path(os.environ.get("SARDONYX_ZOO", CACHE / "zoo"))
CASES = sorted(FOLDER.glob("*__*.npz"))

# Floats are compared relative to the largest value of the reference.
EXACT = 1e-4
QUANTISED = 5e-2
QUANTISED_MODELS = {"resnet50_int8", "bert_base_dynint8", "genai_llama_int4"}
BYTES_MODELS = {"resnet50_int8", "bert_base_dynint8"}
SMALL = {"mlp3", "sk_rf100", "sk_gbc", "sk_logreg_pipe", "lgbm", "bilstm2", "mobilenet_v2"}


def _named(path: Path) -> Any:
    marks = [] if path.stem.split("__")[0] in SMALL else [pytest.mark.slow]
    return pytest.param(path, id=path.stem, marks=marks)


def _compare(expected: Any, actual: Any, limit: float, where: str) -> None:
    if isinstance(expected, list):
        assert [set(e) for e in expected] == [set(a) for a in actual], where
        reordered = np.array([[a[key] for key in e] for e, a in zip(expected, actual, strict=True)])
        _compare(np.array([list(e.values()) for e in expected]), reordered, limit, where)
        return
    assert actual.shape == expected.shape, where
    if expected.dtype.kind != "f":
        assert actual.astype(str).tolist() == expected.astype(str).tolist(), where
        return
    error = np.abs(actual.astype(np.float64) - expected).max() / np.abs(expected).max()
    assert error <= limit, f"{where}: off by {error:.2e} of the largest value"


def _by_onnxruntime(model: Path, feeds: dict[str, Any]) -> dict[str, Any]:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def _onnxruntime_saturates() -> bool:
    """Whether it adds products of bytes in 16 bits: on x86 without integer dot products."""
    flags = Path("/proc/cpuinfo")
    x86 = platform.machine() in ("x86_64", "AMD64")
    return x86 and flags.exists() and "vnni" not in flags.read_text()


def _check(path: Path) -> None:
    name = path.stem.split("__")[0]
    if name in BYTES_MODELS and _onnxruntime_saturates():
        pytest.skip("onnxruntime's sums of products of bytes saturate on this machine")
    with np.load(path) as data:
        arrays = {key: data[key] for key in data.files}
    feeds = {key[3:]: value for key, value in arrays.items() if key.startswith("in:")}
    recorded = {key[4:]: value for key, value in arrays.items() if key.startswith("out:")}
    file = path.with_name(f"{name}.onnx")
    model = sardonyx.load(file)
    results = dict(zip([v.name for v in model.outputs], model.run(None, feeds), strict=True))
    quantised = name in QUANTISED_MODELS
    predicted = recorded.pop("sk_predict", None)
    if predicted is not None:  # the estimator's own labels, whatever the model calls them
        _compare(predicted, next(iter(results.values())), EXACT, f"{path.stem}: labels")
    if quantised or predicted is not None:
        recorded = _by_onnxruntime(file, feeds)
    assert recorded
    for output, expected in recorded.items():
        limit = QUANTISED if quantised else EXACT
        _compare(expected, results[output], limit, f"{path.stem}: {output}")


@pytest.mark.skipif(not CASES, reason=f"no models in {FOLDER}: build the zoo, or set SARDONYX_ZOO")
@pytest.mark.parametrize("path", [_named(path) for path in CASES])
def test_zoo(path: Path) -> None:
    _check(path)


@pytest.mark.slow
@pytest.mark.skipif(bool(CASES), reason="the whole zoo is there")
@pytest.mark.parametrize("name", ["sk_rf100", "sk_gbc", "sk_logreg_pipe"])
def test_converted_models(name: str, tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    assert not zoo.build(tmp_path, [name])
    for path in sorted(tmp_path.glob(f"{name}__*.npz")):
        _check(path)
