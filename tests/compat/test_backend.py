"""onnxruntime.backend, the interface onnx.backend."""

from __future__ import annotations

from typing import Any

import compat_models as models
import numpy as np
import onnx
import pytest

X = np.zeros((2, 3), np.float32)
W = np.array([1, 2, 3], np.float32)


def test_prepares_every_kind_of_model(ort: Any, backend: Any) -> None:
    proto = onnx.ModelProto()
    proto.ParseFromString(models.ADD)
    for source in (models.ADD, proto, ort.InferenceSession(models.ADD)):
        prepared = backend.prepare(source)
        assert backend.prepare(prepared) is prepared
        np.testing.assert_array_equal(prepared.run([X])[0], [W, W])
        np.testing.assert_array_equal(prepared.run(X)[0], [W, W])
    np.testing.assert_array_equal(backend.run(models.ADD, [X], "CPU")[0], [W, W])


def test_a_dict_is_a_value(backend: Any) -> None:
    (y,) = backend.prepare(models.dict_vectorizer()).run({"b": 2.0})
    np.testing.assert_array_equal(y, [[0, 2]])


def test_devices(backend: Any) -> None:
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA")
    assert backend.is_compatible(onnx.ModelProto())
    with pytest.raises(RuntimeError, match="CUDA"):
        backend.prepare(models.ADD, "CUDA")
