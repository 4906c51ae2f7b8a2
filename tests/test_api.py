"""The Python API: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from helpers import in_threads, make_model, randn
from onnx import TensorProto, helper

import sardonyx

NARROW = ["int4", "uint4", "int2", "uint2", "float4_e2m1fn"]
WIDE = ["bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]
PLAIN = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
PLAIN += ["float16", "float32", "float64"]


def identity(array: Any) -> sardonyx.Model:
    return sardonyx.load(make_model("Identity", [np.asarray(array)], symbolic=True))


def graph(nodes: list[Any], inputs: list[Any], outputs: list[str]) -> onnx.ModelProto:
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    made = helper.make_graph(nodes, "graph", inputs, results)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def tensor(name: str, dtype: int = TensorProto.FLOAT, shape: Any = ("n",)) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


@pytest.fixture
def two() -> sardonyx.Model:
    """total = a + b and product = a * b."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["total"]),
        helper.make_node("Mul", ["a", "b"], ["product"]),
    ]
    return sardonyx.load(graph(nodes, [tensor("a"), tensor("b")], ["total", "product"]))


def test_models_load_from_anything(tmp_path: Path) -> None:
    proto = make_model("Identity", [randn(2)])
    data = proto.SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    for source in (proto, data, bytearray(data), path, str(path), io.BytesIO(data)):
        np.testing.assert_array_equal(sardonyx.load(source)(randn(2)), randn(2))


def test_what_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="expected a path"):
        sardonyx.load(3)  # type: ignore[arg-type]
    with pytest.raises(sardonyx.InvalidArgument, match="cannot open"):
        sardonyx.load(tmp_path / "missing.onnx")
    with pytest.raises(sardonyx.InvalidModel):
        sardonyx.load(b"no model")
    with pytest.raises(ValueError, match="precision"):
        sardonyx.load(make_model("Identity", [randn(2)]), precision="half")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threads"):
        sardonyx.load(make_model("Identity", [randn(2)]), threads=0)
    with pytest.raises(NotImplementedError, match="NoSuchOperator"):
        sardonyx.load(make_model("NoSuchOperator", [randn(2)]))


def test_inputs_and_outputs_describe_themselves() -> None:
    node = helper.make_node("Reshape", ["x", "to"], ["y"])
    inputs = [tensor("x", shape=("batch", 3, None)), tensor("to", TensorProto.INT64, (2,))]
    model = sardonyx.load(graph([node], inputs, ["y"]))
    x, to = model.inputs
    assert (x.name, x.shape, x.dtype) == ("x", ("batch", 3, None), np.float32)
    assert (to.shape, to.dtype, to.kind) == ((2,), np.int64, "tensor")
    assert model.outputs[0].name == "y"
    assert "x: float32[batch, 3, ?]" in repr(model)
    assert model.metadata["opset_import"] == "ai.onnx 20"


def test_calls_take_positions_and_names(two: sardonyx.Model) -> None:
    a, b = randn(3), randn(3, seed=1)
    for total, product in (two(a, b), two(a, b=b), two(b=b, a=a)):
        np.testing.assert_array_equal(total, a + b)
        np.testing.assert_array_equal(product, a * b)
    (product,) = two.run(["product"], {"a": a, "b": b})
    np.testing.assert_array_equal(product, a * b)
    product, total = two.run(["product", "total"], {"a": a, "b": b})
    np.testing.assert_array_equal(total, a + b)


def test_feeds_that_do_not_fit_are_refused(two: sardonyx.Model) -> None:
    a = randn(3)
    with pytest.raises(sardonyx.InvalidArgument, match=r"'c'.*'a', 'b'"):
        two.run(None, {"a": a, "b": a, "c": a})
    with pytest.raises(sardonyx.InvalidArgument, match="'b' is missing"):
        two(a)
    with pytest.raises(sardonyx.InvalidArgument, match=r"'a'.*float32.*float64"):
        two(a.astype(np.float64), a)
    with pytest.raises(sardonyx.InvalidArgument, match=r"'a'.*\[2, 3\]"):
        two(randn(2, 3), a)
    with pytest.raises(sardonyx.InvalidArgument, match="2 inputs, got 3"):
        two(a, a, a)
    with pytest.raises(sardonyx.InvalidArgument, match="by position and by name"):
        two(a, a, a=a)
    with pytest.raises(sardonyx.InvalidArgument, match="'d'"):
        two.run(["d"], {"a": a, "b": a})
    with pytest.raises(sardonyx.InvalidArgument, match="expected an array, got object"):
        two(object(), a)


@pytest.mark.parametrize("name", PLAIN + WIDE + NARROW)
def test_every_element_type_goes_through(name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    values = np.array([0, 1, 1, 0], np.float32) if name in ("bool", *NARROW) else randn(4) * 3
    if "int" in name and "u" not in name:
        values[1] = -1
    array = np.abs(values).astype(dtype) if "u" in name else values.astype(dtype)
    result = identity(array)(array)
    assert result.dtype == dtype
    assert result.tobytes() == array.tobytes()


def test_arrays_of_any_layout_and_byte_order() -> None:
    array = randn(4, 6)
    shapes = [array.T, array[::2, ::-1], array.astype(">f4"), np.asfortranarray(array)]
    packed = np.zeros(3, np.dtype([("flag", "u1"), ("value", "<f4")]))
    packed["value"] = [1, 2, 3]
    shapes.append(packed["value"])
    for given in shapes:
        result = identity(given.astype("=f4"))(given)
        np.testing.assert_array_equal(result, given)


def test_numbers_and_lists_take_the_declared_type(two: sardonyx.Model) -> None:
    total, _ = two([1, 2], (0.5, 1))
    assert total.dtype == np.float32
    np.testing.assert_array_equal(total, [1.5, 3])
    scalar = sardonyx.load(make_model("Neg", [np.float32(1)]))
    for one in (1, 1.0, np.float32(1), np.array(1, np.float32)):
        assert scalar(one) == -1
    whole = identity(np.zeros(1, np.uint8))
    np.testing.assert_array_equal(whole([1, 255]), [1, 255])
    with pytest.raises(sardonyx.InvalidArgument, match="does not fit uint8"):
        whole([1, 256])
    with pytest.raises(sardonyx.InvalidArgument, match="expected uint8"):
        whole([1.5])


def test_text_goes_through() -> None:
    for array in (
        np.array(["a", "bc", ""]),
        np.array(["ä", "日本", "a\0b"], object),
        np.array([b"x", b"yz"]),
    ):
        result = identity(array)(array)
        expected = [v.decode() if isinstance(v, bytes) else v for v in array.tolist()]
        assert result.dtype == object
        assert result.tolist() == expected
    broken = identity(np.array([b"\xff"]))(np.array([b"\xff"], object))
    assert broken[0].encode("utf-8", "surrogateescape") == b"\xff"
    with pytest.raises(sardonyx.InvalidArgument, match="expected text, got int"):
        identity(np.array(["a"]))(np.array([1], object))


def test_sequences_are_lists() -> None:
    split = sardonyx.load(make_model("SplitToSequence", [randn(3, 2)], attrs={"axis": 0}))
    parts = split(randn(3, 2))
    assert isinstance(parts, list)
    np.testing.assert_array_equal(np.concatenate(parts), randn(3, 2))
    joined = sardonyx.load(make_model("ConcatFromSequence", [[randn(2)]], attrs={"axis": 0}))
    np.testing.assert_array_equal(joined([[1.0], [2.0, 3.0]]), [1, 2, 3])
    with pytest.raises(sardonyx.InvalidArgument, match="expected a list"):
        joined(randn(2))


class Exporter:
    """An array that speaks one protocol only."""

    def __init__(self, array: np.ndarray[Any, Any], protocol: str) -> None:
        self._array = array
        names = ["__array__"] if protocol == "array" else ["__dlpack__", "__dlpack_device__"]
        for name in names:
            setattr(type(self), name, lambda self, *a, _n=name, **k: getattr(self._array, _n)(*a))


def test_protocols_of_other_libraries() -> None:
    array = randn(3, 4)
    for protocol in ("array", "dlpack"):
        kind = type(protocol, (Exporter,), {})
        np.testing.assert_array_equal(identity(array)(kind(array, protocol)), array)
        np.testing.assert_array_equal(identity(array)(kind(array.T, protocol)), array.T)


def test_matrices_of_scipy() -> None:
    """Dense where the model wants a tensor; sparse tensors are (values, indices, shape)."""
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.coo_matrix(([1, 2, 5], ([1, 0, 1], [2, 1, 2])), (2, 3), dtype=np.float32)
    infos = [
        (helper.make_tensor_value_info, [[0, 2, 0], [0, 0, 6]]),
        (helper.make_sparse_tensor_value_info, None),
    ]
    for make, dense in infos:
        graph = helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])],
            "sparse",
            [make("x", TensorProto.FLOAT, [2, 3])],
            [make("y", TensorProto.FLOAT, [2, 3])],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        for given in (matrix, matrix.tocsr(), sparse.csc_array(matrix)):
            (y,) = sardonyx.load(model).run(None, {"x": given})
            if dense:
                np.testing.assert_array_equal(y, np.float32(dense))
                continue
            values, indices, shape = y
            assert (values.tolist(), indices.tolist(), shape) == ([2, 6], [[0, 1], [1, 2]], (2, 3))


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    values = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    np.testing.assert_array_equal(identity(values.numpy())(values.T), values.T.numpy())
    narrow = values.to(torch.bfloat16)
    result = identity(values.numpy().astype(ml_dtypes.bfloat16))(narrow)
    np.testing.assert_array_equal(result.astype(np.float32), values.numpy())


def test_results_outlive_the_model() -> None:
    result = identity(randn(1000))(randn(1000))
    np.testing.assert_array_equal(result, randn(1000))
    result[0] = 1
    assert result.flags.writeable


def test_results_that_are_kept_stay_as_they_are(two: sardonyx.Model) -> None:
    x = np.arange(50_000, dtype=np.float32)
    kept = []
    for i in range(8):
        total, product = two(a=x, b=x + i)
        kept.append((total, product[1:] if i % 2 else product))  # a view keeps the whole
        if i % 3 == 2:
            two.trim()
        del total, product
        if i % 4 == 3:
            kept[i - 1] = None
    for i, pair in enumerate(kept):
        if pair is not None:
            np.testing.assert_array_equal(pair[0], 2 * x + i)
            np.testing.assert_array_equal(pair[1], (x * (x + i))[i % 2 :])


def test_results_are_not_the_inputs() -> None:
    array = randn(5)
    result = identity(array)(array)
    result[:] = 0
    assert array.any()


def test_out_is_filled_in_place(two: sardonyx.Model) -> None:
    a, b = randn(3), randn(3, seed=1)
    out = [np.empty(3, np.float32), None]
    total, product = two(a, b, out=out)
    assert total is out[0]
    np.testing.assert_array_equal(total, a + b)
    np.testing.assert_array_equal(product, a * b)
    strided = np.zeros((3, 2), np.float32)[:, 0]
    two.run(["total"], {"a": a, "b": b}, out=[strided])
    np.testing.assert_array_equal(strided, a + b)
    both = a.copy()
    two.run(["total"], {"a": both, "b": b}, out=[both])
    np.testing.assert_array_equal(both, a + b)


def test_out_that_does_not_fit_is_refused(two: sardonyx.Model) -> None:
    feeds = {"a": randn(3), "b": randn(3)}
    for out in ([np.empty(4, np.float32), None], [np.empty(3), None]):
        with pytest.raises(sardonyx.InvalidArgument, match="float32"):
            two.run(None, feeds, out=out)
    with pytest.raises(sardonyx.InvalidArgument, match="expected 2 arrays, got 1"):
        two.run(None, feeds, out=[None])
    fixed = np.empty(3, np.float32)
    fixed.flags.writeable = False
    with pytest.raises(sardonyx.InvalidArgument, match="read-only"):
        two.run(None, feeds, out=[fixed, None])


def test_empty_arrays(two: sardonyx.Model) -> None:
    total, product = two(np.zeros(0, np.float32), np.zeros(0, np.float32))
    assert total.shape == product.shape == (0,)


def test_many_threads_run_one_model(two: sardonyx.Model) -> None:
    failures = []

    def work(seed: int) -> None:
        a, b = randn(50, seed=seed), randn(50, seed=seed + 100)
        for _ in range(50):
            total, product = two(a, b)
            if not (np.array_equal(total, a + b) and np.array_equal(product, a * b)):
                failures.append(seed)

    in_threads(work)
    assert not failures


def test_profiles_print_as_tables(two: sardonyx.Model) -> None:
    profile = two.profile({"a": randn(1000), "b": randn(1000)})
    assert len(profile.rows()) == len(profile) >= 1
    assert sum(row["share"] for row in profile.rows()) == pytest.approx(1)
    assert "Add" in str(profile) or "Fused" in str(profile)
    assert "GFLOP/s" in str(profile)
    assert len(profile.table(1).splitlines()) <= 4


def test_strict_models_convolve_without_winograd() -> None:
    x, w = randn(1, 64, 56, 56), randn(64, 64, 3, 3)
    model = make_model("Conv", [x, w], constants=[1], attrs={"pads": [1, 1, 1, 1]})
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded[0], (3, 3), axis=(1, 2))
    exact = np.tensordot(w.astype(np.float64), windows, ([1, 2, 3], [0, 3, 4]))
    for precision in ("strict", "float32", "fast"):
        made = sardonyx.load(model, precision=precision)
        assert ("strict" in made._session.graph_text()) == (precision == "strict")
        assert np.abs(made(x)[0] - exact).max() < 1e-5 * np.abs(exact).max()
    with pytest.raises(ValueError, match="precision: expected"):
        sardonyx.load(model, precision="exact")  # type: ignore[arg-type]


def test_errors_have_their_python_kinds() -> None:
    assert issubclass(sardonyx.Error, RuntimeError)
    assert issubclass(sardonyx.InvalidArgument, ValueError)
    assert issubclass(sardonyx.Unsupported, NotImplementedError)
    for name in ("InvalidArgument", "InvalidModel", "Unsupported"):
        error = getattr(sardonyx, name)
        assert issubclass(error, sardonyx.Error)
        assert error.__module__ == "sardonyx"


def test_bound_calls_hand_out_the_arrays_they_wrote() -> None:
    model = sardonyx.load(sardonyx.demo_model())
    image, scores = np.zeros((2, 1, 8, 8), np.float32), np.empty((2, 10), np.float32)
    call = model.bind({"image": image}, {"probabilities": scores})
    first = call()
    assert first["probabilities"] is scores
    np.testing.assert_array_equal(scores, model(image))
    image[:] = 1
    first.clear()
    assert call()["probabilities"] is scores
    np.testing.assert_array_equal(scores, model(image))
    with pytest.raises(sardonyx.InvalidArgument, match="an array for each output"):
        model.bind({"image": image}, {"probabilities": None})


def test_bound_calls_look_at_arrays_and_lists_anew() -> None:
    model = sardonyx.load(sardonyx.demo_model())
    image, scores = randn(2, 1, 8, 8), np.empty((2, 10), np.float32)
    call = model.bind({"image": image}, {"probabilities": scores})
    for _ in range(2):
        np.testing.assert_array_equal(call()["probabilities"], model(image))
    image.resize((3, 1, 8, 8), refcheck=False)  # moves
    scores.resize((3, 10), refcheck=False)
    for _ in range(2):
        np.testing.assert_array_equal(call()["probabilities"], model(image))
    scores.setflags(write=False)
    with pytest.raises(sardonyx.InvalidArgument, match="read-only"):
        call()
    nested, wide = [[[[0.0] * 8] * 8]], np.zeros((1, 1, 8, 16), np.float32)
    scores = np.empty((1, 10), np.float32)
    call = model.bind({"image": nested}, {"probabilities": scores})
    strided = model.bind({"image": wide[..., ::2]}, {"probabilities": scores})
    for value in (1.0, 2.0):
        nested[0][0][0][0] = value
        wide[..., ::2] = nested
        np.testing.assert_array_equal(call()["probabilities"], model(np.float32(nested)))
        np.testing.assert_array_equal(strided()["probabilities"], model(wide[..., ::2]))
