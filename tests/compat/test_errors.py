"""Errors: their classes, and the words that programs look for in them."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import compat_models as models
import numpy as np
import onnx
import pytest

X = np.zeros((2, 3), np.float32)
K = np.zeros(2, np.int64)


def test_missing_inputs_are_named(ort: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    words = re.escape("Required inputs (['k']) are missing from input feed (['x']).")
    with pytest.raises(ValueError, match=words):
        session.run(None, {"x": X})


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({"x": X, "k": K, "q": K}, "Invalid input name: q"),
        (
            {"x": X.astype(np.float64), "k": K},
            "Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(float))",
        ),
        (
            {"x": X.astype(str), "k": K},
            "Unexpected input data type. Actual: (tensor(string)) , expected: (tensor(float))",
        ),
        (
            {"x": X[0], "k": K},
            "Invalid rank for input: x Got: 1 Expected: 2 "
            "Please fix either the inputs/outputs or the model.",
        ),
        (
            {"x": X[:, :2], "k": K},
            "Got invalid dimensions for input: x for the following indices\n"
            " index: 1 Got: 2 Expected: 3\n"
            " Please fix either the inputs/outputs or the model.",
        ),
    ],
)
def test_unfit_inputs(ort: Any, state: Any, feeds: dict[str, Any], words: str) -> None:
    session = ort.InferenceSession(models.TWO)
    with pytest.raises(state.InvalidArgument) as caught:
        session.run(None, feeds)
    assert str(caught.value) == f"[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : {words}"


def test_unknown_outputs(ort: Any, state: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    with pytest.raises(state.InvalidArgument, match="Invalid output name:nope"):
        session.run(["nope"], {"x": X, "k": K})
    with pytest.raises(TypeError):
        session.run("y", {"x": X, "k": K})


def test_maps_of_other_keys(ort: Any, state: Any) -> None:
    session = ort.InferenceSession(models.dict_vectorizer())
    words = "Actual: ((map(int64,tensor(float)))) , expected: ((map(string,tensor(float))))"
    with pytest.raises(state.InvalidArgument, match=re.escape(words)):
        session.run(None, {"x": {1: 1.0}})
    with pytest.raises(state.InvalidArgument, match="input with name: 'x' expected to be of type"):
        session.run(None, {"x": np.ones(2, np.float32)})


def test_maps_of_what_is_no_number(ort: Any) -> None:
    session = ort.InferenceSession(models.dict_vectorizer())
    words = "Unexpected value type  <class 'str'>, it cannot be linked to C type"
    with pytest.raises(RuntimeError, match=words):
        session.run(None, {"x": {"a": "b"}})


def test_keys_of_maps_are_of_one_type(ort: Any) -> None:
    session = ort.InferenceSession(models.dict_vectorizer(keys=[1, 2]))
    np.testing.assert_array_equal(session.run(None, {"x": {np.int32(2): 3}})[0], [[0, 3]])
    words = "Unexpected key type  <class 'str'>, it cannot be linked to C type int64_t"
    with pytest.raises(RuntimeError, match=words):
        session.run(None, {"x": {1: 1.0, "a": 1.0}})


def test_dicts_are_maps_to_floats(ort: Any, state: Any) -> None:
    """Whatever the model takes."""
    session = ort.InferenceSession(models.dict_vectorizer(onnx.TensorProto.INT64))
    words = "Actual: ((map(string,tensor(float)))) , expected: ((map(string,tensor(int64))))"
    with pytest.raises(state.InvalidArgument, match=re.escape(words)):
        session.run(None, {"x": {"a": 1}})


def test_nodes_that_fail(ort: Any, state: Any) -> None:
    data = models.model("g (float[N, M] x, float[K, L] w) => (float[N, L] y) { y = MatMul(x, w) }")
    session = ort.InferenceSession(data)
    with pytest.raises(state.Fail, match="status code returned while running MatMul node"):
        session.run(None, {"x": X, "w": np.zeros((4, 3), np.float32)})


def test_files(ort: Any, state: Any, tmp_path: Path) -> None:
    absent = str(tmp_path / "absent.onnx")
    with pytest.raises(
        state.NoSuchFile, match=r"NO_SUCHFILE : Load model from .*absent\.onnx failed"
    ):
        ort.InferenceSession(absent)
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"garbage garbage")
    for source in (str(bad), b"garbage garbage"):
        with pytest.raises(state.InvalidProtobuf, match=r"(?i)protobuf parsing failed"):
            ort.InferenceSession(source)
    with pytest.raises(state.InvalidArgument, match="No graph was found in the protobuf"):
        ort.InferenceSession(b"")


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("(float[N] x) => (float[N] y) { y = Foo(x) }", "InvalidGraph", "No Op registered for Foo"),
        ("(float[N] x) => (float[N] y) { y = my.Foo(x) }", "Fail", "my:Foo.* is not a registered"),
        (
            "(float[N] x) => (float[N] y) { y = its.Foo(x) }",
            "InvalidGraph",
            "opset import for domain",
        ),
        ("(string[N] x) => (string[N] y) { y = Relu(x) }", "InvalidGraph", "Type Error"),
        ("(float[N] x) => (int64[N] y) { y = Relu(x) }", "Fail", "Type Error"),
        ("(float[N] x) => (float[N] y) { y = Add(x, w) }", "InvalidArgument", "'w' is n"),
        (
            "(float[N] x) => (float[N] y) { a = Add(x, b) b = Relu(a) y = Relu(b) }",
            "Fail",
            "not acyclic",
        ),
        ("(float[2, 3] x) => (float[2, 5] y) { y = MatMul(x, x) }", "Fail", "MatMul"),
    ],
)
def test_models_that_break_the_standard(
    ort: Any, state: Any, text: str, kind: str, words: str
) -> None:
    header = models.HEADER.replace("]>", ', "my": 1]>')
    from onnx import parser

    data = parser.parse_model(f"{header} g {text}").SerializeToString()
    with pytest.raises(getattr(state, kind), match=words):
        ort.InferenceSession(data)


def test_terminated_runs(ort: Any, state: Any) -> None:
    session = ort.InferenceSession(models.TWO)
    options = ort.RunOptions()
    session.run(None, {"x": X, "k": K}, options)
    options.terminate = True
    with pytest.raises(state.Fail, match="terminate flag"):
        session.run(None, {"x": X, "k": K}, options)


def test_runs_are_terminated_by_another_thread(ort: Any, state: Any) -> None:
    text = """g (float[N, N] x, int64 count) => (float[N, N] y) {
      always = Constant<value = bool {1}>()
      y = Loop<body = body (int64 i, bool c, float[M, M] a) => (bool d, float[M, M] b) {
        d = Identity(c)
        b = MatMul(a, a)
      }>(count, always, x)
    }"""
    session = ort.InferenceSession(models.model(text))
    feeds = {"x": np.eye(64, dtype=np.float32), "count": np.array(10**9)}
    options = ort.RunOptions()
    timer = threading.Timer(0.2, lambda: setattr(options, "terminate", True))
    timer.start()
    with pytest.raises(state.Fail, match="terminate flag"):
        session.run(None, feeds, options)
    timer.join()


def test_exceptions_are_apart(state: Any) -> None:
    names = (
        "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NoModel",
        "NotFound", "NotImplemented", "RuntimeException", "EPFail", "EngineError", "ModelLoaded",
        "ModelLoadCanceled", "ModelRequiresCompilation", "DeviceReset",
    )  # fmt: skip
    kinds = [getattr(state, name) for name in names if hasattr(state, name)]
    for kind in kinds:
        assert issubclass(kind, Exception)
        assert not issubclass(kind, RuntimeError)
        assert [other for other in kinds if issubclass(kind, other)] == [kind]
