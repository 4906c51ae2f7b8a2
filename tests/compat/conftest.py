"""The tests here run on ONNX Runtime and on Sardonyx in its place, with the same expectations."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest

NAMES = {"ort": "onnxruntime", "sardonyx": "sardonyx.compat.onnxruntime"}


def _import(engine: str, module: str = "") -> ModuleType:
    if engine == "ort":
        pytest.importorskip("onnxruntime")
    return importlib.import_module(NAMES[engine] + module)


@pytest.fixture(params=NAMES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ort(engine: str) -> Any:
    """The package onnxruntime, or what stands for it."""
    module = _import(engine)
    module.set_default_logger_severity(4)
    return module


@pytest.fixture
def state(engine: str) -> Any:
    """onnxruntime.capi.onnxruntime_pybind11_state, where programs find the exceptions."""
    return _import(engine, ".capi.onnxruntime_pybind11_state")


@pytest.fixture
def backend(engine: str) -> Any:
    return _import(engine, ".backend")
