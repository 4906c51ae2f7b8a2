"""Programs in C and C++ decode images: by their own decoder, and by the codecs, as Pillow does."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from cpp_build import ROOT, build_project, codecs_prefix, run
from decoded_images import LAYOUTS, PROGRAMS, Decoded, save_decoders
from sanitized import builds_programs

pytest.importorskip("PIL")
from image_files import all_files, resized
from sardonyx.host.images import decode_image

pytestmark = [pytest.mark.slow, builds_programs]
FORMATS = ("BMP", "PNM", "JPEG", "PNG", "TIFF", "WEBP", "JPEG2000")
MODULES = (
    ("JPEG", "libjpeg", "-ljpeg"),
    ("PNG", "libpng", "-lpng16"),
    ("TIFF", "libtiff-4", "-ltiff"),
    ("WEBP", "libwebp", "-lwebp"),
    ("JPEG2000", "libopenjp2", "-lopenjp2"),
)
HUGE = {"WEBP": (16384, 16384), "JPEG": (65500, 65500)}
LARGE = (2000, 1000)  # beyond a limit of memory


@pytest.fixture(scope="module")
def able(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs, over the static library with the codecs of the system."""
    source, folder = ROOT / "tests" / "embedding", tmp_path_factory.mktemp("images")
    return build_project(source, folder, codecs_prefix(), "-DSARDONYX_STATIC=ON", targets=PROGRAMS)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_decoders(tmp_path_factory.mktemp("models"))


def needs(decoded: Decoded, format: str) -> None:
    if format not in decoded.formats:
        pytest.skip(f"the system lacks the library for {format}: {decoded.formats}")


@pytest.mark.parametrize("format", FORMATS)
def test_as_pillow_does(able: Path, models: Path, format: str, tmp_path: Path) -> None:
    files = all_files()[format]
    for layout, program in zip(LAYOUTS, [*PROGRAMS, PROGRAMS[0]], strict=True):
        mode = "strict" if program == "images" else "default"
        model = models / f"{layout}.onnx"
        done = Decoded(able / program, model, tmp_path, mode, list(files.values()))
        needs(done, format)
        assert done.calls == (len(files) if mode == "strict" else 0)
        for (name, file), result in zip(files.items(), done.results, strict=True):
            expected = decode_image(file, layout)
            assert expected is not None, name
            assert isinstance(result, np.ndarray), f"{name}: {result}"
            np.testing.assert_array_equal(result, expected, name)


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_files(able: Path, models: Path, format: str, tmp_path: Path) -> None:
    """Of each file some beginnings, and copies with other bytes: an image or one clear error."""
    random = np.random.default_rng(1)
    cut, changed = [], []
    for file in all_files()[format].values():
        cut += [file[: int(len(file) * part)] for part in (0.1, 0.5, 0.7)]
        for _ in range(8):
            bytes_ = bytearray(file)
            for at in random.integers(0, len(file), random.integers(1, 5)):
                bytes_[at if random.random() < 0.5 else at % 64] = random.integers(256)
            changed.append(bytes(bytes_))
    model = models / "RGB.onnx"
    strict = Decoded(able / "images", model, tmp_path, "strict", cut + changed, limit=1 << 26)
    needs(strict, format)
    for result in strict.results:
        assert isinstance(result, np.ndarray) or "node 'decoder' (ImageDecoder" in result
    early = strict.results[: len(cut)]
    errors = [result for result in early if isinstance(result, str)]
    assert all(error.startswith("invalid argument: ") for error in errors)
    # JPEG 2000 is made to be shown from its beginning alone.
    assert len(errors) >= len(cut) * (0.6 if format == "JPEG2000" else 1)
    # The standard's answer to what cannot be decoded.
    empty = Decoded(able / "images_c", model, tmp_path, "default", cut)
    for result, strictly in zip(empty.results, early, strict=True):
        if isinstance(strictly, str):
            assert result.shape == (0, 0, 3)


@pytest.mark.parametrize("format", FORMATS)
def test_sizes_are_checked_first(able: Path, models: Path, format: str, tmp_path: Path) -> None:
    huge = resized(format, *HUGE.get(format, (1_000_000, 100_000)))
    large = resized(format, *LARGE)
    done = Decoded(able / "images_c", models / "RGB.onnx", tmp_path, "default", [huge])
    needs(done, format)
    assert done.results[0].startswith("unsupported: "), done.results[0]
    assert "more than 178956970" in done.results[0]
    poor = Decoded(able / "images", models / "RGB.onnx", tmp_path, "strict", [large], limit=1 << 20)
    # What is read here and not by a library is compared with the file's size before.
    wanted = "invalid argument: " if format in ("BMP", "PNM") else "out of memory: "
    assert poor.results[0].startswith(wanted), poor.results[0]


def test_the_shared_library(models: Path, tmp_path: Path) -> None:
    """It brings its own libraries; pkg-config knows those that the static one needs."""
    if shutil.which("nm") is None or shutil.which("cc") is None:
        pytest.skip("needs nm (binutils) and cc")
    prefix = codecs_prefix()
    folder = next(prefix.rglob("libsardonyx.a")).parent
    seen = run("nm", "-D", "--defined-only", folder / "libsardonyx.so.0").split()[2::3]
    assert seen
    assert all(name.startswith("sdx_") for name in seen)

    environment = os.environ | {"PKG_CONFIG_PATH": str(folder / "pkgconfig")}
    needed = run("pkg-config", "--print-requires-private", "sardonyx", env=environment).split()
    flags = run("pkg-config", "--cflags", "--libs", "sardonyx", env=environment).split()
    static = run("pkg-config", "--static", "--libs", "sardonyx", env=environment).split()
    program = tmp_path / "images"
    source = ROOT / "tests" / "embedding" / "images.c"
    run("cc", source, "-o", program, *flags, f"-Wl,-rpath,{folder}")
    file = all_files()["BMP"]["RGB"]
    done = Decoded(program, models / "RGB.onnx", tmp_path, "default", [file])
    np.testing.assert_array_equal(done.results[0], decode_image(file, "RGB"))
    for format, module, flag in MODULES:
        assert (format in done.formats) == (module in needed)
        assert module not in needed or flag in static
        assert flag not in flags
