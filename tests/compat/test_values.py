"""OrtValue, SparseTensor and IOBinding."""

from __future__ import annotations

from typing import Any

import compat_models as models
import numpy as np
import pytest
from onnx import TensorProto

X = np.arange(-3, 3, dtype=np.float32).reshape(2, 3)
Y = np.maximum(X, 0)
K = np.array([1, -2])


def test_values_share_memory_with_their_array(ort: Any) -> None:
    x = X.copy()
    value = ort.OrtValue.ortvalue_from_numpy(x)
    assert (value.shape(), value.data_type(), value.element_type()) == ([2, 3], "tensor(float)", 1)
    assert (value.device_name(), value.tensor_size_in_bytes()) == ("cpu", 24)
    assert value.data_ptr() == x.ctypes.data
    assert (value.is_tensor(), value.is_sparse_tensor(), value.is_tensor_sequence()) == (
        True,
        False,
        False,
    )
    assert value.has_value()
    x[0, 0] = 5
    assert value.numpy()[0, 0] == 5
    value.update_inplace(-X)
    np.testing.assert_array_equal(x, -X)
    with pytest.raises(RuntimeError, match="size"):
        value.update_inplace(X[0])


def test_values_of_other_memory_and_types(ort: Any) -> None:
    strided = ort.OrtValue.ortvalue_from_numpy(X[:, ::2])
    np.testing.assert_array_equal(strided.numpy(), X[:, ::2])
    make = ort.OrtValue.ortvalue_from_shape_and_type
    assert make([2, 3], np.int64).data_type() == "tensor(int64)"
    assert make([2, 3], TensorProto.BFLOAT16).data_type() == "tensor(bfloat16)"
    bits = np.array([0x3F80], np.uint16)
    value = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, TensorProto.BFLOAT16)
    assert (value.data_type(), value.element_type()) == ("tensor(bfloat16)", 16)
    codes = np.array([3], np.uint8)
    value = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(codes, TensorProto.FLOAT8E4M3FN)
    assert value.numpy().dtype == np.uint8
    with pytest.raises(RuntimeError):
        ort.OrtValue.ortvalue_from_numpy(X, "cuda", 0)
    with pytest.raises(ValueError, match="ortvalue"):
        ort.OrtValue(X)


def test_dlpack_and_array(ort: Any) -> None:
    value = ort.OrtValue.ortvalue_from_numpy(X)
    assert value.__dlpack_device__() == (1, 0)
    np.testing.assert_array_equal(np.from_dlpack(value), X)
    np.testing.assert_array_equal(np.asarray(value, dtype=np.float64), X)
    assert ort.OrtValue.from_dlpack(K).data_type() == "tensor(int64)"


def test_runs_with_ort_values(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    feeds = {n: ort.OrtValue.ortvalue_from_numpy(v) for n, v in (("x", X), ("k", K))}
    (z,) = session.run_with_ort_values(["z"], feeds)
    np.testing.assert_array_equal(z.numpy(), -K)
    assert len(session.run_with_ort_values(None, feeds)) == 2
    with pytest.raises(AttributeError):
        session.run_with_ort_values(None, {"x": X, "k": K})
    session = ort.InferenceSession(models.zip_map())
    rows = ort.OrtValue.ortvalue_from_numpy(np.ones((1, 2), np.float32))
    (maps,) = session.run_with_ort_values(None, {"x": rows})
    assert maps.data_type() == "seq(map(int64,tensor(float)))"
    assert (maps.is_tensor(), maps.is_tensor_sequence()) == (False, False)


def test_sparse_tensors(ort: Any) -> None:
    cpu = ort.OrtDevice.make("cpu", 0)
    values = np.array([1, 2], np.float32)
    shape = np.array([3, 3])
    coo = ort.SparseTensor.sparse_coo_from_numpy(shape, values, np.array([1, 5]), cpu)
    assert coo.format() == ort.OrtSparseFormat.ORT_SPARSE_COO
    assert (list(coo.dense_shape()), coo.data_type()) == ([3, 3], "sparse_tensor(float)")
    np.testing.assert_array_equal(coo.values(), values)
    np.testing.assert_array_equal(coo.as_coo_view().indices(), [1, 5])
    rows = np.array([0, 1, 2, 2])
    csr = ort.SparseTensor.sparse_csr_from_numpy(shape, values, np.array([1, 2]), rows, cpu)
    assert csr.format() == ort.OrtSparseFormat.ORT_SPARSE_CSRC
    np.testing.assert_array_equal(csr.as_csrc_view().outer(), rows)
    views = (coo.values(), coo.as_coo_view().indices(), csr.as_csrc_view().inner())
    assert not any(view.flags.writeable for view in views)
    with pytest.raises(RuntimeError):
        coo.as_csrc_view()
    value = ort.OrtValue.ort_value_from_sparse_tensor(coo)
    assert value.is_sparse_tensor()
    assert value.data_type() == "sparse_tensor(float)"
    np.testing.assert_array_equal(value.as_sparse_tensor().values(), values)


def test_settings_of_arenas(ort: Any) -> None:
    named = ort.OrtArenaCfg({"max_mem": 16, "initial_growth_chunk_size_bytes": 2})
    assert (named.max_mem, named.initial_growth_chunk_size_bytes) == (16, 2)
    assert named.max_power_of_two_extend_bytes == -1
    assert ort.OrtArenaCfg(8, 0, 4, 2).max_dead_bytes_per_chunk == 2
    with pytest.raises(RuntimeError, match="Invalid OrtArenaCfg option: size"):
        ort.OrtArenaCfg({"size": 1})


def test_binding_by_name_and_by_address(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    binding = session.io_binding()
    with pytest.raises(RuntimeError, match="At least one output"):
        session.run_with_iobinding(binding)
    binding.bind_cpu_input("x", X)
    binding.bind_input("k", "cpu", 0, np.int64, [2], K.ctypes.data)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    (y,) = binding.copy_outputs_to_cpu()
    np.testing.assert_array_equal(y, Y)

    y = np.zeros((2, 3), np.float32)
    binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
    binding.bind_output("z", "cpu")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(y, Y)
    first, second = binding.get_outputs()
    assert first.data_ptr() == y.ctypes.data
    np.testing.assert_array_equal(second.numpy(), -K)
    binding.synchronize_inputs()
    binding.synchronize_outputs()
    binding.clear_binding_outputs()
    assert binding.get_outputs() == []


def test_binding_ort_values(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    binding = session.io_binding()
    y = ort.OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32)
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(X))
    binding.bind_cpu_input("k", K)
    binding.bind_ortvalue_output("y", y)
    session.run_with_iobinding(binding, ort.RunOptions())
    np.testing.assert_array_equal(y.numpy(), Y)


def test_binding_refuses(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    binding = session.io_binding()
    with pytest.raises(RuntimeError, match="nope"):
        binding.bind_cpu_input("nope", X)
    with pytest.raises(RuntimeError):
        binding.bind_cpu_input("k", [1, 2])
    with pytest.raises(ValueError, match="element_type"):
        binding.bind_output("y", buffer_ptr=1)
    binding.bind_output("y")
    binding.bind_cpu_input("k", K)
    binding.bind_cpu_input("x", X.astype(np.float64))
    words = r"Error in execution: Unexpected input data type. Actual: \(tensor\(double\)\)"
    with pytest.raises(RuntimeError, match=words):
        session.run_with_iobinding(binding)
    y = np.zeros((3, 3), np.float32)
    binding.bind_cpu_input("x", X)
    binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
    with pytest.raises(RuntimeError, match="Error in execution"):
        session.run_with_iobinding(binding)
    other = ort.InferenceSession(models.TWO)
    with pytest.raises((ValueError, RuntimeError)):
        other.run_with_iobinding(binding)


def test_values_beyond_onnx_runtime() -> None:
    import ml_dtypes

    import sardonyx.compat.onnxruntime as ort

    data = models.model("g (float[N] x) => (bfloat16[N] y) { y = Cast<to = 16>(x) }")
    (y,) = ort.InferenceSession(data).run(None, {"x": np.ones(2, np.float32)})
    assert y.dtype == ml_dtypes.bfloat16
    assert ort.OrtValue.ortvalue_from_numpy(y).data_type() == "tensor(bfloat16)"


def test_dlpack_of_constant_arrays(ort: Any) -> None:
    constant = X.copy()
    constant.flags.writeable = False
    value = ort.OrtValue.ortvalue_from_numpy(constant)
    np.testing.assert_array_equal(np.from_dlpack(value._ortvalue), X)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_dlpack_of_types_that_numpy_lacks(name: str) -> None:
    import ml_dtypes

    import sardonyx.compat.onnxruntime as ort

    x = X.astype(getattr(ml_dtypes, name))
    value = ort.OrtValue.from_dlpack(ort.OrtValue.ortvalue_from_numpy(x).to_dlpack())
    assert value.numpy().tobytes() == x.tobytes()
    assert value.data_ptr() == x.ctypes.data
    assert value.data_type() == f"tensor({name.replace('_', '', 1)})"


def test_runs_the_session_below_on_vectors(ort: Any, state: Any) -> None:
    device = state.OrtDevice(state.OrtDevice.cpu(), state.OrtDevice.default_memory(), 0)
    session = ort.InferenceSession(models.TWO)
    feeds, fetches = state.OrtValueVector(), state.OrtValueVector()
    arrays, kinds = [X, K], [np.float32, np.int64]
    pointers = [array.ctypes.data for array in arrays]
    shapes = [array.shape for array in arrays]
    feeds.push_back_batch(arrays, pointers, kinds, shapes, [device, device])
    session._sess.run_with_ortvaluevector(
        ort.RunOptions(), ["x", "k"], feeds, ["y", "z"], fetches, [device, device]
    )
    y, z = fetches
    np.testing.assert_array_equal(y.numpy(), Y)
    np.testing.assert_array_equal(z.numpy(), -K)
    assert len(fetches.to_dlpacks(None)) == 2
