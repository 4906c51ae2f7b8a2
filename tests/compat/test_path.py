"""The directory that makes programs find Sardonyx under the name onnxruntime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import sardonyx
from sardonyx import compat

ROOT = Path(sardonyx.__file__).parents[1]


def run(program: str) -> str:
    path = os.pathsep.join([str(compat.path()), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_classes_are_the_same_by_both_names() -> None:
    program = """
import onnxruntime as ort
import onnxruntime.capi.onnxruntime_pybind11_state as state
from onnxruntime.capi import _pybind_state as C
from onnxruntime.capi.onnxruntime_inference_collection import OrtValue, IOBinding
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument
import sardonyx.compat.onnxruntime as ours
import sardonyx.compat.onnxruntime.capi.onnxruntime_pybind11_state as our_state
assert ort is ours and state is our_state
assert OrtValue is ort.OrtValue is ours.OrtValue is C.OrtValue
assert Fail is our_state.Fail is C.Fail
from onnxruntime import InferenceSession
assert InferenceSession.__module__ == "sardonyx.compat.onnxruntime.session"
"""
    run(program)


def test_is_found_and_has_a_version() -> None:
    program = """
from importlib import metadata, util
assert util.find_spec("onnxruntime")
version = metadata.version("onnxruntime")
assert "Sardonyx" in metadata.metadata("onnxruntime")["Summary"]
import onnxruntime
assert onnxruntime.__version__ == version == onnxruntime.get_version_string()
assert tuple(map(int, version.split("."))) >= (1, 23, 0)
assert "Sardonyx" in onnxruntime.get_build_info()
"""
    run(program)


def test_programs_run_unmodified() -> None:
    program = """
import numpy as np
import onnxruntime
from onnxruntime.datasets import get_example
session = onnxruntime.InferenceSession(
    get_example("logreg_iris.onnx"), providers=onnxruntime.get_available_providers()
)
feeds = {session.get_inputs()[0].name: np.ones((3, 2), np.float32)}
label, probabilities = session.run(None, feeds)
assert label.shape == (3,) and len(probabilities) == 3 and set(probabilities[0]) == {0, 1, 2}
from onnxruntime.backend import prepare
(y,) = prepare(get_example("mul_1.onnx")).run([np.ones((3, 2), np.float32)])
assert y.tolist() == [[1, 2], [3, 4], [5, 6]]
"""
    run(program)


def test_what_is_missing_says_so() -> None:
    program = """
for name in ("quantization", "tools", "transformers"):
    try:
        __import__(f"onnxruntime.{name}.something")
    except ImportError as error:
        assert f"onnxruntime.{name}" in str(error) and "is not part of" in str(error), error
    else:
        raise AssertionError(name)
try:
    import onnxruntime.nonsense
except ModuleNotFoundError as error:
    assert error.name == "onnxruntime.nonsense"
"""
    run(program)
