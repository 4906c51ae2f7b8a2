"""Sardonyx runs ONNX models.

>>> import numpy as np
>>> import sardonyx as sx
>>> model = sx.load(sx.demo_model())
>>> model.inputs
[<image: float32[batch, 1, 8, 8]>]
>>> model(np.zeros((1, 1, 8, 8), np.float32)).shape
(1, 10)
"""

from sardonyx.host import main_interpreter as _main_interpreter  # noqa: F401

# isort: split

from sardonyx._core import (
    CancelFlag,
    Cancelled,
    Error,
    InvalidArgument,
    InvalidModel,
    Peaks,
    ThreadPool,
    Timeout,
    Unsupported,
    Value,
    instruction_set,
    measure_peaks,
    version,
)
from sardonyx.host.operators import function, load_operators, op
from sardonyx.model import Model, demo_model, load
from sardonyx.profiling import Profile

__version__ = version()

__all__ = [
    "CancelFlag",
    "Cancelled",
    "Error",
    "InvalidArgument",
    "InvalidModel",
    "Model",
    "Peaks",
    "Profile",
    "ThreadPool",
    "Timeout",
    "Unsupported",
    "Value",
    "__version__",
    "demo_model",
    "function",
    "instruction_set",
    "load",
    "load_operators",
    "measure_peaks",
    "op",
]
