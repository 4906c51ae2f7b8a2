"""Libraries of operators: the examples, everything an operator can ask, and every way to fail."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import in_threads, randn
from onnx import TensorProto, helper

import sardonyx
from cpp_build import ROOT, build_project, installed_prefix, run
from sanitized import builds_programs
from sardonyx.host import operators

pytestmark = [pytest.mark.slow, builds_programs]

SOFTSHRINK = """<opset_import: ["" : 20], domain: "example">
    Softshrink <lambd: float = 0.5> (x) => (y) {
        l = Constant <value_float: float = @lambd> ()
        m = Neg (l)
        zero = Sub (l, l)
        above = Sub (x, l)
        below = Add (x, l)
        is_above = Greater (x, l)
        is_below = Less (x, m)
        low = Where (is_below, below, zero)
        y = Where (is_above, above, low)
    }"""


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    yield
    operators._operators.clear()
    operators._functions.clear()


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    return build_project(ROOT / "cpp" / "examples", folder, installed_prefix())


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("libraries")
    source = ROOT / "tests" / "embedding"
    return build_project(source, folder, installed_prefix(), targets=("libraries",))


def model(
    name: str, inputs: str = "x", outputs: str = "y", shape: Any = ("n", 3), **more: Any
) -> Any:
    """One node, called "the node", between others."""
    domain = more.pop("domain", "test")
    version = more.pop("version", 1)
    node = helper.make_node(
        name, inputs.split(), outputs.split(), "the node", domain=domain, **more
    )
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name=each) for each in outputs.split() if each],
    )
    imports = [helper.make_opsetid("", 20), helper.make_opsetid(domain, version)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def softshrink(x: np.ndarray, lambd: float) -> np.ndarray:
    return np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, 0)).astype(np.float32)


def example_model() -> Any:
    """Relu-like operators of the example among others."""
    made = model("Softshrink", domain="example", outputs="s", lambd=0.25)
    made.graph.node.append(helper.make_node("Mul", ["s", "s"], ["y"]))
    made.graph.output[0].name = "y"
    return made


def test_the_example(examples: Path, tmp_path: Path) -> None:
    library = examples / "libexample_operators.so"
    assert sardonyx.load_operators(library) == ["example::Softshrink", "example::Positive"]
    made = model("Softshrink", domain="example", lambd=0.25)
    loaded = sardonyx.load(made)
    assert loaded.outputs[0].type == "float32[n, 3]"
    for n in (1, 0, 7, 50_000):
        x = randn(n, 3)
        np.testing.assert_array_equal(loaded(x), softshrink(x, np.float32(0.25)))
    x = randn(50_000, 3)
    assert (sardonyx.load(made, threads=1)(x) == sardonyx.load(made, threads=4)(x)).all()

    positive = sardonyx.load(model("Positive", domain="example"))
    for n in (4, 0, 1000):
        x = randn(n, 3)
        np.testing.assert_array_equal(positive(x), x[x > 0])

    with pytest.raises(sardonyx.InvalidArgument, match=r"node 'the node'.*lambd is negative: -1"):
        sardonyx.load(model("Softshrink", domain="example", lambd=-1.0))
    with pytest.raises(sardonyx.InvalidModel, match=r"'lambd' is of another kind"):
        sardonyx.load(model("Softshrink", domain="example", lambd=1))


def test_three_ways_to_one_model(examples: Path, tmp_path: Path) -> None:
    """A Python function, a library and a function of nodes serve the same model; C++ does, too."""
    path = tmp_path / "model.onnx"
    onnx.save(example_model(), path)
    with pytest.raises(sardonyx.Unsupported, match=r"example::Softshrink.*load_operators"):
        sardonyx.load(path)
    x = randn(1, 3)
    expected = softshrink(x, np.float32(0.25)) ** 2

    @sardonyx.op("example", "Softshrink", infer=lambda x, **_: x)
    def in_python(x: np.ndarray, *, lambd: float = 0.5) -> np.ndarray:
        return softshrink(x, np.float32(lambd))

    np.testing.assert_allclose(sardonyx.load(path)(x), expected, rtol=1e-6)
    operators._operators.clear()

    sardonyx.function(SOFTSHRINK)
    np.testing.assert_allclose(sardonyx.load(path)(x), expected, rtol=1e-6)
    operators._functions.clear()

    library = examples / "libexample_operators.so"
    sardonyx.load_operators(library)
    np.testing.assert_allclose(sardonyx.load(path)(x), expected, rtol=1e-6)

    numbers = [str(float(item)) for item in x.ravel()]
    text = run(examples / "extend", path, library, *numbers)
    np.testing.assert_allclose([float(item) for item in text.split()], expected[0], rtol=1e-4)


def test_the_readme(tmp_path: Path) -> None:
    blocks = re.findall(r"```cpp\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (source,) = [block for block in blocks if "SDX_OPERATORS" in block]
    (tmp_path / "mine.cpp").write_text(source)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(mine LANGUAGES CXX)\n"
        "find_package(sardonyx REQUIRED)\nset(CMAKE_CXX_STANDARD 17)\n"
        "add_library(mine MODULE mine.cpp)\n"
        "target_link_libraries(mine PRIVATE sardonyx::headers)\n"
    )
    build = build_project(tmp_path, tmp_path / "build", installed_prefix())
    sardonyx.load_operators(build / "libmine.so")
    x = randn(4, 3)
    np.testing.assert_array_equal(
        sardonyx.load(model("Scale", domain="my.domain", by=2.0))(x), 2 * x
    )


def test_the_latest_of_a_name_counts(examples: Path) -> None:
    library = examples / "libexample_operators.so"
    sardonyx.load_operators(library)
    sardonyx.op("example", "Softshrink", infer=lambda x, **_: x)(lambda x, lambd: x + 1)
    x = randn(2, 3)
    np.testing.assert_array_equal(sardonyx.load(example_model())(x), (x + 1) ** 2)
    sardonyx.load_operators(library)
    sardonyx.load_operators(library)
    assert sardonyx.load(example_model())(x).max() < ((x + 1) ** 2).max()


def test_all_that_an_operator_can_ask(libraries: Path) -> None:
    sardonyx.load_operators(libraries / "libtest_operators.so")
    made = model(
        "Describe",
        "x text c",
        i=3,
        required=5,
        s="text",
        fs=[0.5, 1.5],
        ss=["a", ""],
        t=onnx.numpy_helper.from_array(np.arange(4)),
        version=4,
    )
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([2.5]), "c"))
    made.graph.input.append(helper.make_tensor_value_info("text", TensorProto.STRING, [1]))
    said, text = sardonyx.load(made)(randn(2, 3), np.array(["hé"], object))
    assert said == "4 3 5 0.25 text 1 0.50 1.50 a  int64 4 3 3/1; 6; constant 2.5"
    assert text == "hé"
    small = sardonyx.load(model("Describe", required=5))(randn(2, 3))
    assert list(small) == ["1 7 5 0.25 none 1 1/1; 6", "no text"]
    with pytest.raises(sardonyx.InvalidModel, match="'required' is missing"):
        sardonyx.load(model("Describe"))
    for odd in ({"i": 1.5}, {"s": ["a"]}, {"is": "a"}, {"t": 1}):
        with pytest.raises(sardonyx.InvalidModel, match="is of another kind"):
            sardonyx.load(model("Describe", required=1, **odd))


def test_scratch_and_outputs_left_out(libraries: Path) -> None:
    sardonyx.load_operators(libraries / "libtest_operators.so")
    x = randn(700, 50)
    for shape in (("n", "m"), (700, 50), None):
        loaded = sardonyx.load(model("RowSums", outputs="y most", shape=shape))
        if shape and shape[0] == "n":
            assert loaded.outputs[1].type == "float32[n]"
        sums, most = loaded(x)
        np.testing.assert_allclose(sums, x.sum(1, dtype=np.float64), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(most, x.max(1))
        if shape != (700, 50):
            assert loaded(x[:0])[0].shape == (0,)
    np.testing.assert_allclose(
        sardonyx.load(model("RowSums", shape=None))(x), sums, rtol=1e-6, atol=1e-6
    )
    with pytest.raises(sardonyx.Error, match="expected a matrix"):
        sardonyx.load(model("RowSums", shape=(3,)))
    with pytest.raises(sardonyx.Error, match=r"'the node'.*expected a matrix"):
        sardonyx.load(model("RowSums", shape=None))(x[0])
    with pytest.raises(sardonyx.Unsupported, match="supported from opset 2"):
        sardonyx.load(model("Later"))
    assert sardonyx.load(model("Later", shape=None, version=2))(x).shape == (700,)


@pytest.mark.parametrize(
    ("where", "kind", "text"),
    [
        ("create", sardonyx.InvalidModel, "not while it is made"),
        ("kind", sardonyx.InvalidModel, "'where' is of another kind"),
        ("infer", sardonyx.Unsupported, "not such types"),
        ("output", sardonyx.InvalidArgument, "says nothing of output 0"),
        ("type", sardonyx.InvalidArgument, "there is no element type 99"),
        ("symbol", sardonyx.InvalidArgument, "a size of -77"),
        ("silent", sardonyx.InvalidArgument, "says nothing of output 0"),
        ("prepare", sardonyx.Error, "not such sizes"),
        ("run", sardonyx.Error, "not today"),
        ("odd", sardonyx.Error, "unknown exception"),
        ("memory", MemoryError, "out of memory"),
        ("elements", sardonyx.InvalidArgument, "are float32, the operator takes them as float64"),
        ("string", sardonyx.InvalidArgument, "input 0 has no string 0"),
        ("allocate", sardonyx.InvalidArgument, "output 0 has its place already"),
        ("negative", sardonyx.InvalidArgument, "a size of -1"),
        ("unmade", sardonyx.InvalidArgument, "output 0 has not been made"),
        ("thread", sardonyx.Error, "item 500"),
    ],
)
def test_errors_name_the_node(libraries: Path, where: str, kind: type, text: str) -> None:
    sardonyx.load_operators(libraries / "libtest_operators.so")

    def attempt(x: np.ndarray) -> None:
        sardonyx.load(model("Fail", where=where), threads=2)(x)

    for n in (1, 40):
        with pytest.raises(kind, match=text) as caught:
            attempt(randn(n, 3))
        assert "the node" in str(caught.value)


def test_sequences_are_refused(libraries: Path) -> None:
    sardonyx.load_operators(libraries / "libtest_operators.so")
    made = model("Fail", inputs="s", where="nowhere")
    made.graph.node.insert(0, helper.make_node("SequenceConstruct", ["x"], ["s"]))
    text = r"the node.*input 0 is sequence\(.*operators of libraries take and make tensors only"
    with pytest.raises(sardonyx.Unsupported, match=text):
        sardonyx.load(made)


def test_a_failure_leaves_the_model_usable(libraries: Path) -> None:
    sardonyx.load_operators(libraries / "libtest_operators.so")
    for where in ("never", "long"):
        loaded = sardonyx.load(model("Fail", where=where), threads=2)
        for _ in range(2):
            with pytest.raises(sardonyx.Timeout):
                loaded.run(None, {"x": randn(1, 3)}, timeout=0.05)
    fine = sardonyx.load(model("Fail", where="nowhere"))
    x = randn(5, 3)
    np.testing.assert_array_equal(fine(x), x)


def test_many_threads(libraries: Path) -> None:
    sardonyx.load_operators(libraries / "libtest_operators.so")
    loaded = sardonyx.load(model("RowSums", shape=("n", "m")), threads=2)
    wrong: list[int] = []

    def work(seed: int) -> None:
        for i in range(30):
            x = randn(20 * seed + i, 40, seed=seed)
            if not np.allclose(loaded(x), x.sum(1), atol=1e-4):
                wrong.append(seed)

    in_threads(work)
    assert not wrong


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("entry", "does not export sdx_operators"),
        ("null", "returned NULL"),
        ("version", r"built for version 99 of the interface for operators, this is version 1"),
        ("size", "of 8 bytes"),
        ("name", "operator 0 has no name"),
        ("function", "'bad::Identity' lacks a function"),
        ("twice", "'bad::Identity' is there twice"),
    ],
)
def test_bad_libraries_are_refused(libraries: Path, fault: str, text: str) -> None:
    path = libraries / f"libbad_{fault}.so"
    with pytest.raises(sardonyx.InvalidArgument, match=text) as caught:
        sardonyx.load_operators(path)
    assert str(path) in str(caught.value)
    assert not operators._operators


def test_files_that_are_no_libraries_are_refused(libraries: Path, tmp_path: Path) -> None:
    path = tmp_path / "text.so"
    path.write_text("no library")
    for given, text in [
        (path, "text.so"),
        (tmp_path, "is no file"),
        (tmp_path / "absent.so", "no such file"),
        ("libc.so.6", "no such file"),
    ]:
        with pytest.raises(sardonyx.InvalidArgument, match=text):
            sardonyx.load_operators(given)
    sardonyx.load_operators(libraries / "libbad_domain.so")
    with pytest.raises(sardonyx.InvalidArgument, match="needs a domain of its own"):
        sardonyx.load(model("Identity"))


def test_errors_in_cpp(examples: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(model("Softshrink", domain="example", lambd=-1.0), path)
    library = examples / "libexample_operators.so"
    for arguments, text in [
        ((path, library, "1"), "node 'the node' (example::Softshrink, opset 1): lambd is negative"),
        ((path, tmp_path / "absent.so", "1"), "there is no such file"),
    ]:
        done = subprocess.run(
            [examples / "extend", *arguments], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert text in done.stderr
