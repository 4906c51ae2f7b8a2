"""InferenceSession: what it tells about a model, and runs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import compat_models as models
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

X = np.arange(-3, 3, dtype=np.float32).reshape(2, 3)
K = np.array([1, -2])
FEEDS = {"x": X, "k": K}
ROWS = helper.make_tensor_type_proto(TensorProto.FLOAT, [None, 2])


def test_describes_inputs_and_outputs(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    x, k = session.get_inputs()
    assert (x.name, x.type, x.shape) == ("x", "tensor(float)", ["N", 3])
    assert (k.name, k.type, k.shape) == ("k", "tensor(int64)", [2])
    assert str(x) == "NodeArg(name='x', type='tensor(float)', shape=['N', 3])"
    assert [arg.name for arg in session.get_outputs()] == ["y", "z"]


@pytest.mark.parametrize(
    ("body", "declared", "shape"),
    [
        ("float[A, 3] a, float[B, 3] b) => ({}) {{ y = Concat<axis = 0>(a, b) }}", "y", [None, 3]),
        ("float[A, B] a) => ({}) {{ y = Flatten<axis = 0>(a) }}", "y", [1, None]),
        ("float[A, 2] a) => ({}) {{ y = Relu(a) }}", "y", ["A", 2]),
        ("float[A, 2] a) => ({}) {{ y = Relu(a) }}", "float[Z, Q] y", ["Z", 2]),
        ("float[A, 3] a, float[B, 3] b) => ({}) {{ y = Concat<axis = 0>(a, b) }}",
         "float[all, 3] y", ["all", 3]),
    ],
)  # fmt: skip
def test_computes_no_names_of_dimensions(
    ort: Any, body: str, declared: str, shape: list[Any]
) -> None:
    text = f"g ({body.format('float[only_here] y' if declared == 'y' else declared)}"
    proto = onnx.load_from_string(models.model(text))
    if declared == "y":
        proto.graph.output[0].ClearField("type")
    (y,) = ort.InferenceSession(proto.SerializeToString()).get_outputs()
    assert y.shape == shape


def test_names_of_dimensions_are_as_written(ort: Any) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["seq + past", "2 * h", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["past+seq", "2 * h", 3])
    relu = helper.make_node("Relu", ["x"], ["y"])
    session = ort.InferenceSession(models.saved(helper.make_graph([relu], "g", [x], [y])))
    assert session.get_inputs()[0].shape == ["seq + past", "2 * h", 3]
    assert session.get_outputs()[0].shape == ["past+seq", "2 * h", 3]


def test_says_what_programs_read_without_a_method(ort: Any, tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    path.write_bytes(models.TWO)
    session = ort.InferenceSession(path)
    assert (Path(session._model_path), session._model_bytes) == (path, None)
    session = ort.InferenceSession(models.TWO)
    assert (session._model_path, session._model_bytes) == (None, models.TWO)
    assert session._providers == session.get_providers()
    assert session._provider_options == session.get_provider_options()
    assert session._enable_fallback
    session.disable_fallback()
    assert not session._enable_fallback
    assert [arg.name for arg in session._inputs_meta] == ["x", "k"]
    assert session._overridable_initializers == []


def test_output_names_are_texts(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    for names in ("y", [0], [None]):
        with pytest.raises(TypeError):
            session.run(names, FEEDS)


def test_spells_types_as_onnx_runtime(ort: Any) -> None:
    spelled = {}
    for name in (
        "float", "double", "float16", "bfloat16", "int8", "uint8", "int16", "uint16", "int32",
        "uint32", "int64", "uint64", "bool", "string",
    ):  # fmt: skip
        text = f"g ({name}[2, N, ?] x, {name} s) => ({name}[2, N, ?] y) {{ y = Identity(x) }}"
        data = models.model(text)
        x, s = ort.InferenceSession(data).get_inputs()
        assert x.shape == [2, "N", None]
        assert s.shape == []
        spelled[name] = x.type
    assert spelled == {name: f"tensor({name})" for name in spelled}


@pytest.mark.parametrize(
    ("kind", "spelled", "shape"),
    [
        (helper.make_sequence_type_proto(ROWS), "seq(tensor(float))", []),
        (helper.make_optional_type_proto(ROWS), "optional(tensor(float))", [None, 2]),
        (
            helper.make_optional_type_proto(helper.make_sequence_type_proto(ROWS)),
            "optional(seq(tensor(float)))",
            [],
        ),
        (helper.make_tensor_type_proto(TensorProto.FLOAT, None), "tensor(float)", []),
    ],
)
def test_spells_containers(ort: Any, kind: Any, spelled: str, shape: list[Any]) -> None:
    (x,) = ort.InferenceSession(models.identity(kind)).get_inputs()
    assert (x.type, x.shape) == (spelled, shape)


def test_runs_on_arrays_lists_and_ort_values(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    for x in (X, np.asfortranarray(X), X.tolist(), ort.OrtValue.ortvalue_from_numpy(X)):
        y, z = session.run(None, {"x": x, "k": K})
        np.testing.assert_array_equal(y, np.maximum(X, 0))
        np.testing.assert_array_equal(z, -K)
    assert len(session.run([], FEEDS)) == 2
    (z,) = session.run(["z"], FEEDS)
    np.testing.assert_array_equal(z, -K)
    assert [len(session.run(names, FEEDS)) for names in (["y", "y"], ("z", "y"))] == [2, 2]
    assert session.run(None, {"x": np.zeros((0, 3), np.float32), "k": K})[0].shape == (0, 3)


def test_loads_paths_and_bytes(ort: Any, tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    path.write_bytes(models.TWO)
    for source in (str(path), path, models.TWO):
        assert len(ort.InferenceSession(source).run(None, FEEDS)) == 2
    for source in (3, bytearray(models.TWO), None):
        with pytest.raises(TypeError, match="Unable to load from type"):
            ort.InferenceSession(source)


def test_text_comes_as_objects(ort: Any) -> None:
    session = ort.InferenceSession(models.TEXT)
    for given in (["a", "bé"], np.array(["a", "bé"]), np.array(["a", "bé"], object)):
        (y,) = session.run(None, {"x": given})
        assert y.dtype == object
        assert y.tolist() == ["a", "bé"]
    (y,) = session.run(None, {"x": np.array([1, 2.5, None, "a"], object)})
    assert y.tolist() == ["1", "2.5", "None", "a"]
    (y,) = session.run(None, {"x": np.array([b"A\0", b"BC"], np.void)})
    assert y.tolist() == ["A\0", "BC"]


def test_maps_sequences_and_nothing(ort: Any) -> None:
    session = ort.InferenceSession(models.zip_map())
    assert session.get_outputs()[0].type == "seq(map(int64,tensor(float)))"
    (maps,) = session.run(None, {"x": np.array([[1, 2]], np.float32)})
    assert maps == [{10: 1.0, 20: 2.0}]
    assert [type(v) for v in (*maps[0], *maps[0].values())] == [int, int, float, float]

    session = ort.InferenceSession(models.dict_vectorizer())
    assert session.get_inputs()[0].type == "map(string,tensor(float))"
    np.testing.assert_array_equal(session.run(None, {"x": {"a": True}})[0], [[1, 0]])
    for number in (2.0, 2, np.float32(2)):
        np.testing.assert_array_equal(session.run(None, {"x": {"b": number}})[0], [[0, 2]])

    session = ort.InferenceSession(models.identity(helper.make_sequence_type_proto(ROWS)))
    (items,) = session.run(None, {"x": [np.ones((1, 2), np.float32)]})
    assert isinstance(items, list)
    np.testing.assert_array_equal(items[0], [[1, 1]])
    assert session.run(None, {"x": []}) == [[]]

    session = ort.InferenceSession(models.identity(helper.make_optional_type_proto(ROWS)))
    assert session.run(None, {"x": None}) == [None]
    assert session.run(None, {}) == [None]


def test_overridable_initializers_and_metadata(ort: Any) -> None:
    session = ort.InferenceSession(models.with_default())
    assert [arg.name for arg in session.get_inputs()] == ["x"]
    assert [arg.name for arg in session.get_overridable_initializers()] == ["w"]
    ones = np.ones(2, np.float32)
    np.testing.assert_array_equal(session.run(None, {"x": ones})[0], [2, 3])
    np.testing.assert_array_equal(session.run(None, {"x": ones, "w": ones})[0], [2, 2])
    meta = session.get_modelmeta()
    assert (meta.producer_name, meta.domain, meta.version) == ("producer", "a.domain", 7)
    assert (meta.description, meta.graph_name) == ("words", "named")
    assert meta.graph_description == "words about the graph"
    assert meta.custom_metadata_map == {"stride": "32", "domain": "of the user"}
    assert ort.InferenceSession(models.TWO).get_modelmeta().version == 2**63 - 1


def test_half_precision(ort: Any) -> None:
    data = models.model("g (float16[N] x) => (float16[N] y) { y = Neg(x) }")
    (y,) = ort.InferenceSession(data).run(None, {"x": np.ones(2, np.float16)})
    assert y.dtype == np.float16


def test_providers(ort: Any) -> None:
    assert "CPUExecutionProvider" in ort.get_available_providers()
    assert "CPUExecutionProvider" in ort.get_all_providers()
    assert ort.get_device() == "CPU"
    cpu = ["CPUExecutionProvider"]
    assert ort.InferenceSession(models.TWO, providers=cpu).get_providers() == cpu
    assert ort.InferenceSession(models.TWO).get_providers() == cpu
    with pytest.warns(UserWarning, match="'CUDAExecutionProvider' is not in available provider"):
        session = ort.InferenceSession(models.TWO, providers=["CUDAExecutionProvider", *cpu])
    assert session.get_providers() == cpu
    assert set(session.get_provider_options()) == set(cpu)
    session = ort.InferenceSession(models.TWO, providers=[("CPUExecutionProvider", {"a": 1})])
    session.set_providers(cpu)
    with pytest.warns(UserWarning, match="'Nobody' is not in available provider"):
        session = ort.InferenceSession(models.TWO, providers=["Nobody"])
    assert session.get_providers() == cpu
    with (
        pytest.warns(UserWarning, match="'Nobody' is not in available provider"),
        pytest.raises(RuntimeError, match="Unknown Provider Type: Nobody"),
    ):
        ort.InferenceSession(models.TWO, providers=cpu).set_providers(["Nobody"])
    session.disable_fallback()
    session.enable_fallback()
    assert len(session.run(None, FEEDS)) == 2
    for arguments, words in (
        ({"providers": cpu, "provider_options": []}, "same length"),
        ({"providers": [("a", {})], "provider_options": [{}]}, "Only string values"),
        ({"providers": cpu, "provider_options": [1]}, "must be dicts"),
        ({"providers": [3]}, "either strings or"),
    ):
        with pytest.raises(ValueError, match=words):
            ort.InferenceSession(models.TWO, enable_fallback=0, **arguments)


def test_runs_on_another_thread(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    done = threading.Event()
    found: list[Any] = []

    def callback(results: list[Any], user_data: Any, error: str) -> None:
        found.extend((results, user_data, error))
        done.set()

    session.run_async(["z"], FEEDS, callback, "data")
    assert done.wait(30)
    np.testing.assert_array_equal(found[0][0], -K)
    assert found[1:] == ["data", ""]


def test_memory_and_devices(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    assert [info.name for info in session.get_input_memory_infos()] == ["Cpu", "Cpu"]
    (device,) = (d for d in ort.get_ep_devices() if d.ep_name == "CPUExecutionProvider")
    assert device.device.type == ort.OrtHardwareDeviceType.CPU
    made = ort.OrtDevice.make("cpu", 0)
    assert (made.device_id(), made.device_type()) == (0, 0)


def test_takes_single_elements_for_scalars(ort: Any) -> None:
    # ONNX Runtime does not check the shape of inputs that are declared without dimensions.
    session = ort.InferenceSession(models.model("g (float x, float[2] y) => (z) { z = Mul(x, y) }"))
    (z,) = session.run(None, {"x": np.float32([3]), "y": np.float32([1, 2])})
    np.testing.assert_array_equal(z, [3, 6])


@pytest.mark.parametrize(("kind", "given"), [("bool", [1, 0, 2]), ("int8", [1, -2, 3.7])])
def test_takes_lists_for_tensors(ort: Any, kind: str, given: list[float]) -> None:
    # ONNX Runtime makes arrays of the declared type of them, whatever the items are.
    session = ort.InferenceSession(
        models.model(f"g ({kind}[n] x) => ({kind}[n] y) {{ y = Identity(x) }}")
    )
    (y,) = session.run(None, {"x": given})
    np.testing.assert_array_equal(y, np.array(given, kind), strict=True)


def test_has_the_session_below(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    below = session._sess
    assert [arg.name for arg in below.inputs_meta] == ["x", "k"]
    assert [arg.name for arg in below.outputs_meta] == ["y", "z"]
    values = {n: ort.OrtValue.ortvalue_from_numpy(v)._get_c_value() for n, v in FEEDS.items()}
    y, z = below.run_with_ort_values(values, ["y", "z"], None)
    np.testing.assert_array_equal(y.numpy(), np.maximum(X, 0))
    np.testing.assert_array_equal(z.numpy(), [-1, 2])
    np.testing.assert_array_equal(below.run(["z"], FEEDS, None)[0], [-1, 2])
