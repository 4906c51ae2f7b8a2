"""IOBinding: inputs and outputs that are named once and used by many runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sardonyx.compat.onnxruntime import types
from sardonyx.compat.onnxruntime.devices import require_cpu
from sardonyx.compat.onnxruntime.errors import OrtError
from sardonyx.compat.onnxruntime.types import Array
from sardonyx.compat.onnxruntime.values import OrtValue, OrtValueVector, array_at

if TYPE_CHECKING:
    from sardonyx.compat.onnxruntime.options import RunOptions
    from sardonyx.compat.onnxruntime.session import InferenceSession


class IOBinding:
    """What `InferenceSession.io_binding` makes; outputs keep the order they are bound in."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, Array | None] = {}
        # What a run needs of `_outputs`, so that it makes nothing anew.
        self._names: list[str] = []
        self._into: list[Array | None] | None = None
        self._results: list[Any] = []
        self._result_names: list[str] = []

    def _check_input(self, name: str) -> None:
        known = (*self._session.get_inputs(), *self._session.get_overridable_initializers())
        if not any(arg.name == name for arg in known):
            raise RuntimeError(f"Failed to find NodeArg with name: {name} in the def list")

    def bind_cpu_input(self, name: str, arr_on_cpu: Any) -> None:
        self._check_input(name)
        if not isinstance(arr_on_cpu, np.ndarray):
            raise RuntimeError("Unable to create OrtValue from the given python object")
        self._inputs[name] = arr_on_cpu

    def bind_input(
        self,
        name: str,
        device_type: str,
        device_id: int,
        element_type: Any,
        shape: Sequence[int],
        buffer_ptr: int,
    ) -> None:
        """The memory at this address, which the caller keeps alive."""
        require_cpu(device_type)
        self._check_input(name)
        self._inputs[name] = array_at(buffer_ptr, shape, element_type)

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        self._check_input(name)
        self._inputs[name] = ortvalue._feed()

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """An output to compute, into the memory at this address where one is given."""
        require_cpu(device_type)
        if buffer_ptr is None:
            return self._set_output(name, None)
        if element_type is None or shape is None:
            raise ValueError(
                "`element_type` and `shape` are to be provided if pre-allocated memory is provided"
            )
        self._set_output(name, array_at(buffer_ptr, shape, element_type))

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        self._set_output(name, ortvalue._array())

    def _set_output(self, name: str, array: Array | None) -> None:
        self._outputs[name] = array
        self._names = list(self._outputs)
        into = list(self._outputs.values())
        self._into = into if any(array is not None for array in into) else None

    def _run(self, run_options: RunOptions | None) -> None:
        if not self._names:
            raise RuntimeError("Error in execution: At least one output should be requested.")
        try:
            self._results = self._session._execute(
                self._names, self._inputs, run_options, self._into
            )
        except OrtError as error:
            message = str(error).split(" : ", 3)[-1]
            raise RuntimeError(f"Error in execution: {message}") from error
        except ValueError as error:
            raise RuntimeError(f"Error in execution: {error}") from error
        self._result_names = self._names

    def synchronize_inputs(self) -> None:
        """Inputs in the CPU's memory are always there."""

    def synchronize_outputs(self) -> None:
        """Outputs in the CPU's memory are there when the run returns."""

    def get_outputs(self) -> list[OrtValue]:
        """The outputs of the last run."""
        return self.get_outputs_as_ortvaluevector()

    def get_outputs_as_ortvaluevector(self) -> OrtValueVector:
        return self._session._wrap(self._result_names, self._results)

    def copy_outputs_to_cpu(self) -> list[Any]:
        """The outputs of the last run as arrays, lists and dicts."""
        return [types.shown(v) if isinstance(v, np.ndarray) else v for v in self._results]

    def clear_binding_inputs(self) -> None:
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        self._outputs.clear()
        self._names, self._into = [], None
        self._results, self._result_names = [], []
