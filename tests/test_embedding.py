"""Programs in C and C++ find, build against and run the installed library."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import sardonyx
from cpp_build import ROOT, build_project, installed_prefix, run, staged_prefix
from decoded_images import LAYOUTS, PROGRAMS, Decoded, save_decoders
from sanitized import builds_programs

pytestmark = [pytest.mark.slow, builds_programs]
EXAMPLES = ROOT / "cpp" / "examples"
LIBRARY = "libsardonyx.so.0"
SEEN = set("ABCDGRSTVWuvw")  # what nm calls symbols that other objects see


@pytest.fixture(scope="module")
def staged() -> Path:
    return staged_prefix()


@pytest.fixture(scope="module")
def prefix() -> Path:
    return installed_prefix()


def library_folder(prefix: Path) -> Path:
    return next(prefix.rglob(LIBRARY)).parent


@pytest.fixture(scope="module", params=["shared", "static"])
def examples(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str], Path]:
    static = request.param == "static"
    where = request.getfixturevalue("staged" if static else "prefix")
    options = ["-DSARDONYX_STATIC=ON"] if static else []
    return (
        build_project(EXAMPLES, tmp_path_factory.mktemp("examples"), where, *options),
        options,
        where,
    )


def save(path: Path, nodes: list[onnx.NodeProto], inputs: list, outputs: list, **more) -> None:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, **more)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    opsets.append(helper.make_opsetid("test", 1))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    helper.set_model_props(model, {"author": "a test"})
    onnx.save(model, path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    node, tensor = helper.make_node, helper.make_tensor_value_info
    sequence = helper.make_tensor_sequence_value_info
    text, real = TensorProto.STRING, TensorProto.FLOAT
    x, w, y = tensor("x", real, ["n", 3]), tensor("w", real, None), tensor("y", real, None)
    ones = helper.make_tensor("w", real, [3], [1.0, 1.0, 1.0])
    save(folder / "add.onnx", [node("Add", ["x", "w"], ["y"])], [x, w], [y], initializer=[ones])
    save(folder / "plain.onnx", [node("Add", ["x", "w"], ["y"])], [x], [y], initializer=[ones])

    # A function that the program brings, and a model with one of its own.
    calls = [node("Twice", ["x"], ["y"], domain="test")]
    save(folder / "calls.onnx", calls, [x], [y])
    imports = [helper.make_opsetid("", 21)]
    double = [node("Add", ["a", "a"], ["b"])]
    twice = helper.make_function("test", "Twice", ["a"], ["b"], double, imports)
    onnx.save(onnx.ModelProto(functions=[twice]), folder / "twice.onnx")
    negate = [node("Neg", ["a"], ["b"])]
    own = helper.make_function("test", "Twice", ["a"], ["b"], negate, imports)
    made = onnx.load(folder / "calls.onnx")
    made.functions.append(own)
    onnx.save(made, folder / "own.onnx")

    texts = [tensor(name, text, ["n"]) for name in "abc"]
    save(folder / "join.onnx", [node("StringConcat", ["a", "b"], ["c"])], texts[:2], texts[2:])

    s, t = sequence("s", real, None), sequence("t", real, None)
    append = [node("SequenceInsert", ["s", "x"], ["t"])]
    save(folder / "append.onnx", append, [s, tensor("x", real, ["n"])], [t])

    animals = {"classlabels_strings": ["cat", "dog"], "domain": "ai.onnx.ml"}
    value_type = helper.make_tensor_type_proto(real, [])
    a_map = helper.make_map_type_proto(text, value_type)
    maps = helper.make_value_info("m", helper.make_sequence_type_proto(a_map))
    scores = tensor("x", real, ["n", 2])
    save(folder / "zip.onnx", [node("ZipMap", ["x"], ["m"], **animals)], [scores], [maps])
    words = {"string_vocabulary": ["cat", "dog"], "domain": "ai.onnx.ml"}
    one = helper.make_value_info("m", a_map)
    save(folder / "unzip.onnx", [node("DictVectorizer", ["m"], ["x"], **words)], [one], [scores])

    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Sin", ["a"], ["b"])],
        "body",
        [
            tensor("i", TensorProto.INT64, []),
            tensor("go", TensorProto.BOOL, []),
            tensor("a", real, [1]),
        ],
        [tensor("on", TensorProto.BOOL, []), tensor("b", real, [1])],
    )
    start = [
        node(
            "Constant",
            [],
            ["many"],
            value=helper.make_tensor("many", TensorProto.INT64, [], [2**62]),
        ),
        node(
            "Constant", [], ["yes"], value=helper.make_tensor("yes", TensorProto.BOOL, [], [True])
        ),
        node("RandomUniform", [], ["r"], shape=[1]),
    ]
    loop = node("Loop", ["many", "yes", "r"], ["y"], body=body)
    save(folder / "forever.onnx", [*start, loop], [], [tensor("y", real, [1])])
    return folder


@pytest.fixture(scope="module", params=["shared", "static"])
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    static = request.param == "static"
    where = request.getfixturevalue("staged" if static else "prefix")
    options = ["-DSARDONYX_STATIC=ON"] if static else []
    source = ROOT / "tests" / "embedding"
    return build_project(source, tmp_path_factory.mktemp("programs"), where, *options)


def test_every_part_of_the_interface(programs: Path, models: Path) -> None:
    assert "all is well" in run(programs / "check", models)


@pytest.mark.parametrize("program", PROGRAMS)
def test_decoders_of_programs(programs: Path, program: str, tmp_path: Path) -> None:
    folder = save_decoders(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    raw = b"RAW\x03\x05" + pixels.tobytes()
    files = [raw, b"?", b"", raw[:-1], b"JPG", b"!"]
    for layout in LAYOUTS:
        done = Decoded(programs / program, folder / f"{layout}.onnx", tmp_path, "own", files)
        expected = {"RGB": pixels, "BGR": pixels[..., ::-1], "Grayscale": pixels[..., :1]}[layout]
        image, empty, nothing, short, other, silent = done.results
        np.testing.assert_array_equal(image, expected)
        assert empty.shape == nothing.shape == (0, 0, expected.shape[2])
        assert done.calls == 5  # no bytes are no image, whoever decodes
        assert "invalid argument: node 'decoder' (ImageDecoder" in short
        assert "the RAW file has a wrong size" in short
        assert other.startswith("invalid argument: ")
        assert "this is no RAW file" in other
        if program == "images_c":
            assert silent.startswith("unsupported: ")
            assert "does not say why" in silent
        else:
            assert silent.startswith("invalid argument: ")
            assert "decoder threw" in silent
    poor = Decoded(programs / program, folder / "RGB.onnx", tmp_path, "own", [raw], limit=20)
    assert poor.results[0].startswith("out of memory: ")
    assert "20" in poor.results[0]


def test_without_codecs(programs: Path, tmp_path: Path) -> None:
    folder = save_decoders(tmp_path)
    file = b"\x89PNG\r\n\x1a\n"
    done = Decoded(programs / "images_c", folder / "RGB.onnx", tmp_path, "default", [file])
    if done.formats != [""]:
        pytest.skip("the library was built with codecs")
    assert done.results[0].startswith("unsupported: node 'decoder'")
    assert "SDX_IMAGE_CODECS" in done.results[0]
    assert "image decoder" in done.results[0]
    strict = Decoded(programs / "images", folder / "RGB.onnx", tmp_path, "strict", [file])
    assert "is PNG, for which this build has no codec" in strict.results[0]


def test_examples(examples: tuple[Path, list[str], Path], tmp_path: Path) -> None:
    folder, _, _ = examples
    model = sardonyx.demo_model()
    digits = np.load(Path(sardonyx.__file__).parent / "demo" / "digits.npz")
    right = 0
    for image, label in list(zip(digits["images"], digits["labels"], strict=True))[:10]:
        picture = tmp_path / "digit.pgm"
        large = np.kron(image, np.ones((4, 4), np.uint8))
        picture.write_bytes(b"P5\n# a digit\n32 32 16\n" + large.tobytes())
        right += f"class {label} " in run(folder / "classify", model, picture).splitlines()[0]
    assert right >= 9

    text = run(folder / "describe", model)
    assert "input image: float32[batch, 1, 8, 8]" in text
    expected = sardonyx.load(model)(np.zeros((1, 1, 8, 8), np.float32))
    values = text.split("probabilities = float32 1 10:")[1].split()
    np.testing.assert_allclose([float(v) for v in values], expected[0], rtol=1e-4, atol=1e-6)

    x = helper.make_tensor_value_info("x", TensorProto.UINT8, ["n"])
    y = helper.make_tensor_value_info("y", TensorProto.UINT8, None)
    save(tmp_path / "decoder.onnx", [helper.make_node("ImageDecoder", ["x"], ["y"])], [x], [y])
    (tmp_path / "frame").write_bytes(b"FRAME 3 2\nabcdef")
    text = run(folder / "decode", tmp_path / "decoder.onnx", tmp_path / "frame")
    assert text == "P6\n3 2\n255\naaabbbcccdddeeefff"

    text = run(folder / "serve", model, "4", "500")
    assert "0 answers differ" in text
    assert "the run was cancelled" in text


def test_static_programs_need_no_library(examples: tuple[Path, list[str], Path]) -> None:
    folder, options, _ = examples
    if shutil.which("ldd") is None:
        pytest.skip("needs ldd")
    assert (LIBRARY in run("ldd", folder / "classify")) == (not options)


def test_pkg_config(prefix: Path, models: Path, tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None or shutil.which("cc") is None:
        pytest.skip("needs pkg-config and cc")
    libraries = library_folder(prefix)
    environment = os.environ | {"PKG_CONFIG_PATH": str(libraries / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "sardonyx", env=environment).split()
    assert run("pkg-config", "--modversion", "sardonyx", env=environment).strip() == (
        sardonyx.__version__
    )
    program = tmp_path / "describe"
    strict = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wstrict-prototypes", "-Werror")
    run("cc", *strict, EXAMPLES / "describe.c", "-o", program, *flags)
    environment["LD_LIBRARY_PATH"] = str(libraries)
    assert "y = float32 1 3: 1 1 1" in run(program, models / "add.onnx", env=environment)


def symbols(path: Path, *options: str) -> set[str]:
    """The names that other objects see."""
    lines = run("nm", "--defined-only", *options, path).splitlines()
    return {words[-1] for line in lines if len(words := line.split()) == 3 and words[1] in SEEN}


def test_only_our_names_are_seen(prefix: Path, staged: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("needs nm (binutils)")
    shared = symbols(library_folder(prefix) / LIBRARY, "-D")
    static = symbols(library_folder(staged) / "libsardonyx.a", "--extern-only")
    assert {"sdx_version", "sdx_session_run"} <= shared
    assert static == shared
    assert not [name for name in shared if not name.startswith("sdx_")]
    assert symbols(Path(sardonyx._core.__file__), "-D") == {"PyInit__core"}


def test_the_header_declares_what_is_there(prefix: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("needs nm (binutils)")
    header = (prefix / "include" / "sardonyx" / "sardonyx.h").read_text()
    seen = symbols(library_folder(prefix) / LIBRARY, "-D")
    public = {name for name in seen if not name.startswith("sdx_internal_")}
    declared = {
        line.split("(")[0].split()[-1].lstrip("*")
        for line in header.splitlines()
        if line.startswith("SDX_API")
    }
    assert declared == public


def test_runtimes_live_together(prefix: Path, models: Path) -> None:
    """ONNX Runtime, the module and a second copy of the library, in one process."""
    pytest.importorskip("onnxruntime")
    library = library_folder(prefix) / LIBRARY
    program = f"""
import ctypes, shutil, tempfile
import numpy as np
import onnxruntime, sardonyx
copy = ctypes.CDLL(shutil.copy({str(library)!r}, tempfile.mkdtemp()), mode=ctypes.RTLD_GLOBAL)
copy.sdx_version.restype = copy.sdx_last_error.restype = ctypes.c_char_p
assert copy.sdx_version().decode() == sardonyx.__version__
session = ctypes.c_void_p()
path = {str(models / "add.onnx")!r}
assert copy.sdx_session_load(path.encode(), None, ctypes.byref(session)) == 0, copy.sdx_last_error()
x = np.ones((2, 3), np.float32)
ours = sardonyx.load(path)(x)
theirs = onnxruntime.InferenceSession(path).run(None, {{"x": x}})[0]
assert (ours == theirs).all()
copy.sdx_session_free(session)
try:
    sardonyx.load(b"no model")
except sardonyx.InvalidModel:
    print("fine")
"""
    assert "fine" in run(sys.executable, "-c", program)
