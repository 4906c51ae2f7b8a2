"""What programs take from ONNX Runtime's tools for transformers that only run models."""

from __future__ import annotations

from typing import Any

import compat_models as models
import numpy as np
import pytest


def test_types_of_what_is_bound(ort: Any) -> None:
    module = pytest.importorskip(f"{ort.__name__}.transformers.io_binding_helper")
    torch = pytest.importorskip("torch")
    helper = module.TypeHelper
    session = ort.InferenceSession(models.TWO)
    assert helper.get_input_type(session, "k") == "tensor(int64)"
    assert helper.get_output_type(session, "y") == "tensor(float)"
    for get in (helper.get_input_type, helper.get_output_type):
        with pytest.raises(ValueError, match="name absent not found"):
            get(session, "absent")
    kinds = {"x": np.float32, "k": np.int64, "y": np.float32, "z": np.int64}
    assert helper.get_io_numpy_type_map(session) == kinds
    assert helper.get_io_onnx_type_map(session) == {"x": 1, "k": 7, "y": 1, "z": 7}
    assert helper.get_io_torch_type_map(session)["k"] is torch.int64
    for name in ("bool", "float16", "uint8", "int32"):
        kind = helper.ort_type_to_numpy_type(f"tensor({name})")
        assert helper.torch_type_to_numpy_type(getattr(torch, name)) is kind
        assert helper.numpy_type_to_torch_type(kind) is getattr(torch, name)
        assert helper.ort_type_to_torch_type(f"tensor({name})") is getattr(torch, name)
    assert helper.ort_type_to_torch_type("tensor(bfloat16)") is torch.bfloat16
    for unknown in ("tensor(string)", "seq(tensor(float))"):
        with pytest.raises(ValueError, match="not found in map"):
            helper.ort_type_to_numpy_type(unknown)
