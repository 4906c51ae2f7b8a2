"""The command line, run as a person or a script would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sardonyx
from sardonyx.cli import main

DEMO = str(sardonyx.demo_model())


def test_demo_reads_digits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--seconds", "0.05"]) == 0
    text = capsys.readouterr().out
    assert "Accuracy" in text
    assert "Conv" in text
    assert max(len(line) for line in text.splitlines()[:20]) <= 100


def test_demo_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--json", "--seconds", "0.05"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["digits"] >= 300
    assert found["accuracy"] > 0.98
    assert found["microseconds_per_digit"]["one"] > 0


def test_run_makes_inputs_up(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    saved = tmp_path / "out.npz"
    assert main(["run", DEMO, "--save", str(saved)]) == 0
    first = capsys.readouterr().out
    assert "probabilities" in first
    assert main(["run", DEMO]) == 0
    assert capsys.readouterr().out == first
    assert np.load(saved)["probabilities"].shape == (1, 10)


def test_run_takes_files_and_shapes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "x.npy"
    np.save(file, np.zeros((2, 1, 8, 8), np.float32))
    for given in (f"image={file}", str(file), "image=2x1x8x8", "2,1,8,8"):
        assert main(["run", DEMO, "--json", "--input", given]) == 0
        (output,) = json.loads(capsys.readouterr().out)["outputs"]
        assert output["shape"] == [2, 10]
        assert len(output["values"]) == 10


def test_inspect_shows_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", DEMO, "--input", "image=4x1x8x8"]) == 0
    text = capsys.readouterr().out
    for word in ("image", "float32[batch, 1, 8, 8]", "Conv", "parameters", "memory", "FLOP"):
        assert word in text
    assert main(["inspect", DEMO, "--graph"]) == 0
    assert "Conv" in capsys.readouterr().out
    assert main(["inspect", DEMO, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"] > 1000
    assert found["operators"]["Conv"] == 4
    assert found["arena_bytes"] > 0


def test_bench_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", DEMO, "--seconds", "0.05", "--threads", "1"]) == 0
    assert "median" in capsys.readouterr().out
    assert main(["bench", DEMO, "--seconds", "0.05", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["microseconds"]["p5"] <= found["microseconds"]["median"]
    assert found["operators"]


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    cases = [
        (["run", str(tmp_path / "missing.onnx")], "cannot open"),
        (["inspect", str(broken)], "malformed"),
        (["run", DEMO, "--input", "picture=1x1x8x8"], "the inputs are: image"),
        (["run", DEMO, "--input", "image=missing.npy"], "missing.npy"),
        (["run", DEMO, "--input", "image=1x1x9x8"], "expected"),
    ]
    for arguments, words in cases:
        assert main(arguments) == 1
        captured = capsys.readouterr()
        assert words in captured.err
        assert len(captured.err.strip().splitlines()) == 1
        assert captured.out == ""


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"], ["bench", DEMO, "--threads", "0"]])
def test_misuse_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_module_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sardonyx", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == sardonyx.__version__


def test_compat_path_holds_a_package_onnxruntime(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compat-path"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert (path / "onnxruntime" / "__init__.py").exists()
    assert main(["compat-path", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(path)}
