"""What the programs tests/embedding/images.c and images.cpp make of files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

LAYOUTS = ("RGB", "BGR", "Grayscale")
PROGRAMS = ("images", "images_c")


def save_decoders(folder: Path) -> Path:
    """Models of one ImageDecoder, by layout."""
    for layout in LAYOUTS:
        node = helper.make_node("ImageDecoder", ["x"], ["y"], name="decoder", pixel_format=layout)
        x = helper.make_tensor_value_info("x", TensorProto.UINT8, ["n"])
        y = helper.make_tensor_value_info("y", TensorProto.UINT8, None)
        graph = helper.make_graph([node], "graph", [x], [y])
        opsets = [helper.make_opsetid("", 21)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        onnx.save(model, folder / f"{layout}.onnx")
    return folder


class Decoded:
    """What a program says of files: pixels or an error, and how often its decoder was called."""

    def __init__(self, program: Path, model: Path, folder: Path, mode: str, files: list[bytes],
                 limit: int | None = None) -> None:  # fmt: skip
        names = [folder / f"{i}" for i in range(len(files))]
        for name, file in zip(names, files, strict=True):
            name.write_bytes(file)
        command = [str(program), str(model), mode, *([str(limit)] if limit else [])]
        done = subprocess.run(
            command, input="".join(f"{n}\n" for n in names), capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert not done.stderr
        first, *lines, last = done.stdout.splitlines()
        self.formats = first.removeprefix("formats: ").split(", ")
        self.calls = int(last.removeprefix("calls: "))
        self.results: list[np.ndarray | str] = []
        for name, line in zip(names, lines, strict=True):
            if " x " in line and line.replace(" x ", "").isdigit():
                shape = [int(n) for n in line.split(" x ")]
                pixels = Path(f"{name}.pixels").read_bytes()
                self.results.append(np.frombuffer(pixels, np.uint8).reshape(shape))
            else:
                self.results.append(line)
