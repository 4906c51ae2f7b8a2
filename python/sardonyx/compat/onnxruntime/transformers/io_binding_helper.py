"""TypeHelper, by which programs find the types of the arrays that they bind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sardonyx.compat.onnxruntime import types

if TYPE_CHECKING:
    from sardonyx.compat.onnxruntime.session import InferenceSession, NodeArg


def _find(args: list[NodeArg], name: str, kind: str) -> str:
    for arg in args:
        if arg.name == name:
            return arg.type
    raise ValueError(f"{kind} name {name} not found")


def _dtype(ort_type: str) -> np.dtype[Any]:
    dtype = types.dtype_of_tensor(ort_type)
    if dtype is None or dtype.kind == "O":
        raise ValueError(f"{ort_type} not found in map")
    return dtype


def _map(session: InferenceSession, convert: Callable[[str], Any]) -> dict[str, Any]:
    return {arg.name: convert(arg.type) for arg in session.get_inputs() + session.get_outputs()}


class TypeHelper:
    """Types of a session's inputs and outputs as NumPy, torch and ONNX have them."""

    @staticmethod
    def get_input_type(ort_session: InferenceSession, name: str) -> str:
        return _find(ort_session.get_inputs(), name, "input")

    @staticmethod
    def get_output_type(ort_session: InferenceSession, name: str) -> str:
        return _find(ort_session.get_outputs(), name, "output")

    @staticmethod
    def ort_type_to_numpy_type(ort_type: str) -> type[Any]:
        dtype = _dtype(ort_type)
        return bool if dtype.kind == "b" else dtype.type

    @staticmethod
    def ort_type_to_onnx_type(ort_type: str) -> int:
        return types.number_of_dtype(_dtype(ort_type))

    @staticmethod
    def ort_type_to_torch_type(ort_type: str) -> Any:
        return TypeHelper.numpy_type_to_torch_type(_dtype(ort_type))

    @staticmethod
    def numpy_type_to_torch_type(numpy_type: Any) -> Any:
        import torch

        found = getattr(torch, np.dtype(numpy_type).name, None)
        if not isinstance(found, torch.dtype):
            raise ValueError(f"{numpy_type} not found in map")
        return found

    @staticmethod
    def torch_type_to_numpy_type(torch_type: Any) -> type[Any]:
        name = str(torch_type).removeprefix("torch.")
        if name not in np.sctypeDict:
            raise ValueError(f"{torch_type} not found in map")
        return bool if name == "bool" else np.dtype(name).type

    @staticmethod
    def get_io_numpy_type_map(ort_session: InferenceSession) -> dict[str, type[Any]]:
        return _map(ort_session, TypeHelper.ort_type_to_numpy_type)

    @staticmethod
    def get_io_onnx_type_map(ort_session: InferenceSession) -> dict[str, int]:
        return _map(ort_session, TypeHelper.ort_type_to_onnx_type)

    @staticmethod
    def get_io_torch_type_map(ort_session: InferenceSession) -> dict[str, Any]:
        return _map(ort_session, TypeHelper.ort_type_to_torch_type)
