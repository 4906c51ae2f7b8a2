"""The names of onnxruntime_pybind11_state, under the name that Python code imports them by."""

from sardonyx.compat.onnxruntime.capi import onnxruntime_pybind11_state
from sardonyx.compat.onnxruntime.capi.onnxruntime_pybind11_state import *  # noqa: F403

__all__ = list(onnxruntime_pybind11_state.__all__)
