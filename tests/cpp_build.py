"""Builds of the libraries and the C++ tests, in a cache folder outside the source tree."""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_CODECS = "-DSDX_IMAGE_CODECS=OFF"  # as in the wheel


def _folder() -> Path:
    if given := os.environ.get("SARDONYX_CPP_BUILD"):
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    if not os.access(cache if cache.exists() else cache.parent, os.W_OK):
        cache = Path(tempfile.gettempdir())
    return cache / "sardonyx" / hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]


def _find_cmake() -> str | None:
    beside = Path(sys.executable).with_name("cmake")
    return str(beside) if beside.exists() else shutil.which("cmake")


def _has_doctest() -> bool:
    places = ("/usr/include", "/usr/local/include", "/opt/homebrew/include")
    extra = os.environ.get("CMAKE_INCLUDE_PATH", "").split(os.pathsep)
    return any((Path(p) / "doctest" / "doctest.h").exists() for p in (*places, *extra) if p)


def _configure(command: list[str], folder: Path) -> None:
    """Configures; starts anew where the folder remembers tools that are gone."""
    ninja = shutil.which("ninja")
    fresh = not (folder / "CMakeCache.txt").exists()
    generator = ["-G", "Ninja"] if ninja and fresh else []
    if ninja and (fresh or (folder / "build.ninja").exists()):
        generator.append(f"-DCMAKE_MAKE_PROGRAM={ninja}")
    if not fresh and subprocess.run([*command, *generator], capture_output=True).returncode:
        shutil.rmtree(folder)
        folder.mkdir()
        return _configure(command, folder)
    _run(*command, *generator)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout[-6000:]}{done.stderr[-3000:]}")


def _prebuilt() -> Path | None:
    """The folder that `pip install .` built in, if nothing has changed since."""
    sources = (path for path in (ROOT / "cpp").rglob("*.*") if "examples" not in path.parts)
    newest = max(path.stat().st_mtime for path in sources if path.is_file())
    libraries = sorted(
        (ROOT / "build").glob("*-*-*/libsardonyx.a"), key=lambda p: p.stat().st_mtime
    )
    return libraries[-1].parent if libraries and libraries[-1].stat().st_mtime > newest else None


def _options() -> list[str]:
    options = ["-DCMAKE_BUILD_TYPE=Release", f"-DPython3_EXECUTABLE={sys.executable}"]
    return [*options, "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else options


def _jobs() -> str:
    return str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)


def find_tools() -> str:
    """CMake. Skips the calling test where programs cannot be built."""
    cmake = _find_cmake()
    if cmake is None:
        pytest.skip("needs cmake on the path")
    if shutil.which("c++") is None and "CXX" not in os.environ:
        pytest.skip("needs a C++ compiler")
    return cmake


@functools.cache
def build_libraries() -> Path:
    """A folder that `cmake --install` installs the libraries from."""
    cmake = find_tools()
    if prebuilt := _prebuilt():
        return prebuilt
    folder = _folder() / "all"
    folder.mkdir(parents=True, exist_ok=True)
    _configure([cmake, "-S", str(ROOT), "-B", str(folder), *_options(), NO_CODECS], folder)
    targets = ("sardonyx_shared", "sardonyx_static")
    _run(cmake, "--build", str(folder), "--target", *targets, "--parallel", _jobs())
    return folder


def run(*command: str | os.PathLike[str], env: dict[str, str] | None = None) -> str:
    """What a program prints; the test fails where it fails."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=env, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


@functools.cache
def staged_prefix() -> Path:
    """A prefix with both libraries, as `cmake --install` makes it."""
    cmake, build = find_tools(), build_libraries()
    prefix = Path(tempfile.mkdtemp(prefix="sardonyx-prefix-"))
    atexit.register(shutil.rmtree, prefix, ignore_errors=True)
    for component in ("library", "static"):
        run(cmake, "--install", build, "--prefix", prefix, "--component", component, "--strip")
    inner = prefix / "sardonyx"  # as a wheel has it
    return inner if inner.exists() else prefix


@functools.cache
def installed_prefix() -> Path:
    """The installed package, or the staged prefix where the package is a source tree."""
    package = Path(run(sys.executable, "-m", "sardonyx", "--cmake-dir").strip())
    return package if (package / "include").exists() else staged_prefix()


@functools.cache
def codecs_prefix() -> Path:
    """A prefix with both libraries, which have the image codecs that the system has."""
    cmake, build = find_tools(), build_libraries()
    if shutil.which("pkg-config") is None:
        pytest.skip("needs pkg-config")
    folder = _folder() / "codecs"
    folder.mkdir(parents=True, exist_ok=True)
    source = ROOT / "tests" / "codecs"
    options = [*_options(), f"-DSDX_PREBUILT={build}", "-DSDX_IMAGE_CODECS=AUTO"]
    _configure([cmake, "-S", str(source), "-B", str(folder), *options], folder)
    _run(cmake, "--build", str(folder), "--parallel", _jobs())
    prefix = Path(tempfile.mkdtemp(prefix="sardonyx-codecs-"))
    atexit.register(shutil.rmtree, prefix, ignore_errors=True)
    run(cmake, "--install", folder, "--prefix", prefix, "--strip")
    return prefix


def build_project(
    source: Path, folder: Path, prefix: Path, *options: str, targets: tuple[str, ...] = ("all",)
) -> Path:
    """Builds a project that finds Sardonyx in `prefix`."""
    cmake = find_tools()
    ninja = ["-G", "Ninja"] if shutil.which("ninja") else []
    options = (*options, *ninja, "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={prefix}")
    run(cmake, "-S", source, "-B", folder, *options)
    run(cmake, "--build", folder, "--target", *targets)
    return folder


@functools.cache
def build_tests() -> tuple[Path, Path]:
    """The binary of the C++ tests, and the folder of the library's objects.

    Skips the calling test where they cannot be built.
    """
    cmake = find_tools()
    if not _has_doctest():
        pytest.skip("the C++ tests need doctest/doctest.h (Debian: doctest-dev)")
    prebuilt = _prebuilt()
    folder = _folder() / ("tests" if prebuilt else "all")
    folder.mkdir(parents=True, exist_ok=True)
    options = [*_options(), f"-DSDX_PREBUILT={prebuilt}" if prebuilt else NO_CODECS]
    source = ROOT / "tests" / "cpp" if prebuilt else ROOT
    _configure([cmake, "-S", str(source), "-B", str(folder), *options], folder)
    _run(cmake, "--build", str(folder), "--target", "sardonyx_tests", "--parallel", _jobs())
    return folder / "sardonyx_tests", prebuilt or folder


def build_sanitized(source: Path, library: Path) -> Path:
    """The program of that project, over a folder with `libsardonyx.a`."""
    folder = _folder() / "sanitized"
    folder.mkdir(parents=True, exist_ok=True)
    options = [*_options(), f"-DSDX_PREBUILT={library}"]
    _configure([find_tools(), "-S", str(source), "-B", str(folder), *options], folder)
    _run(find_tools(), "--build", str(folder), "--parallel", _jobs())
    return folder / "sanitized"
