"""IOBinding: inputs and outputs that are named once and used by many runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sardonyx.compat.onnxruntime import types
from sardonyx.compat.onnxruntime.devices import require_cpu
from sardonyx.compat.onnxruntime.errors import OrtError
from sardonyx.compat.onnxruntime.values import OrtValue, OrtValueVector, array_at

if TYPE_CHECKING:
    from sardonyx.compat.onnxruntime.options import RunOptions
    from sardonyx.compat.onnxruntime.session import InferenceSession


class IOBinding:
    """What `InferenceSession.io_binding` makes; outputs keep the order they are bound in."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, OrtValue | None] = {}
        self._results = OrtValueVector()

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
        self._inputs[name] = ortvalue

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
            self._outputs[name] = None
            return
        if element_type is None or shape is None:
            raise ValueError(
                "`element_type` and `shape` are to be provided if pre-allocated memory is provided"
            )
        self._outputs[name] = OrtValue._of(array_at(buffer_ptr, shape, element_type))

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        self._outputs[name] = ortvalue

    def _run(self, run_options: RunOptions | None) -> None:
        if not self._outputs:
            raise RuntimeError("Error in execution: At least one output should be requested.")
        names = list(self._outputs)
        into = [None if value is None else value._array() for value in self._outputs.values()]
        out = into if any(array is not None for array in into) else None
        try:
            results = self._session._run(names, self._inputs, run_options, out)
        except OrtError as error:
            message = str(error).split(" : ", 3)[-1]
            raise RuntimeError(f"Error in execution: {message}") from error
        except ValueError as error:
            raise RuntimeError(f"Error in execution: {error}") from error
        self._results = self._session._wrap(names, results)

    def synchronize_inputs(self) -> None:
        """Inputs in the CPU's memory are always there."""

    def synchronize_outputs(self) -> None:
        """Outputs in the CPU's memory are there when the run returns."""

    def get_outputs(self) -> list[OrtValue]:
        """The outputs of the last run."""
        return list(self._results)

    def get_outputs_as_ortvaluevector(self) -> OrtValueVector:
        return self._results

    def copy_outputs_to_cpu(self) -> list[Any]:
        """The outputs of the last run as arrays, lists and dicts."""
        return [
            types.shown(value._value) if value.is_tensor() else value._value
            for value in self._results
        ]

    def clear_binding_inputs(self) -> None:
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        self._outputs.clear()
        self._results = OrtValueVector()
