"""Products and convolutions of one size, in turns with the engines that run them as a model.

    python benchmarks/kernels_vs_peers.py [--threads 1] [--only conv,768] [--engines ...]

Every row is a model of one node with constant weights: what a call costs is in all of them. The
last column is our rate by the measured peak of multiply-adds; Winograd's count as the direct ones.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import sardonyx
from cases import Case
from engines import ENGINES, OURS
from measure import side_by_side

GEMMS = (
    (1, 768, 768),
    (16, 768, 768),
    (128, 768, 768),
    (128, 3072, 768),
    (512, 512, 512),
    (49, 512, 2048),
    (3136, 64, 576),
    (77, 13, 333),
)
# Channels in and out, side of the image, side of the kernel, stride, groups.
CONVS = (
    (64, 64, 56, 3, 1, 1),
    (128, 128, 28, 3, 1, 1),
    (256, 256, 14, 3, 1, 1),
    (512, 512, 7, 3, 1, 1),
    (64, 256, 56, 1, 1, 1),
    (1024, 256, 14, 1, 1, 1),
    (256, 512, 28, 3, 2, 1),
    (3, 64, 224, 7, 2, 1),
    (144, 144, 56, 3, 1, 144),
    (960, 960, 7, 3, 1, 960),
)
CHAINED = 4  # convolutions in a row, so that an engine's change of layout at its edges counts less


def _write(folder: Path, name: str, nodes: list[Any], x: Any, weights: dict[str, Any]) -> Case:
    initializers = [numpy_helper.from_array(array, key) for key, array in weights.items()]
    info = helper.make_tensor_value_info
    inputs = [info("x", TensorProto.FLOAT, x.shape)]
    outputs = [info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 17)]
    case = Case(folder / f"{name}.onnx", folder / f"{name}__one.npz")
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), case.model)
    np.savez(case.data, **{"in:x": x})
    return case


def products(folder: Path, rng: np.random.Generator) -> Iterator[tuple[str, Case, float]]:
    for m, n, k in GEMMS:
        name = f"gemm {m}x{n}x{k}"
        x = rng.standard_normal((m, k), dtype=np.float32)
        weights = {"w": rng.standard_normal((k, n), dtype=np.float32)}
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
        yield name, _write(folder, name.replace(" ", "_"), nodes, x, weights), 2.0 * m * n * k


def convolutions(folder: Path, rng: np.random.Generator) -> Iterator[tuple[str, Case, float]]:
    for inputs, outputs, side, taps, stride, groups in CONVS:
        name = f"conv {inputs}-{outputs}@{side} {taps}x{taps}/{stride}"
        name += f" in {groups} groups" if groups > 1 else ""
        count = CHAINED if inputs == outputs and stride == 1 else 1
        shape = (outputs, inputs // groups, taps, taps)
        scale = np.float32((taps * taps * inputs // groups) ** -0.5)
        weights, nodes = {}, []
        for i in range(count):
            weights[f"w{i}"] = scale * rng.standard_normal(shape, dtype=np.float32)
            names = ["x" if i == 0 else f"y{i}", f"w{i}"], ["y" if i == count - 1 else f"y{i + 1}"]
            attrs: dict[str, Any] = {
                "pads": [taps // 2] * 4,
                "strides": [stride] * 2,
                "group": groups,
            }
            nodes.append(helper.make_node("Conv", *names, **attrs))
        x = rng.standard_normal((1, inputs, side, side), dtype=np.float32)
        pixels = (side // stride) ** 2
        flops = 2.0 * count * pixels * float(np.prod(shape))
        file = name.replace(" ", "_").replace("/", "s")
        yield name, _write(folder, file, nodes, x, weights), flops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="words of the rows' names, with commas")
    parser.add_argument("--engines", default="sardonyx,onnxruntime,openvino")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    engines = [name for name in args.engines.split(",") if ENGINES[name].installed()]
    words = [word for word in args.only.split(",") if word]
    peaks = sardonyx.measure_peaks(args.threads)
    print(f"threads: {args.threads}; at most {peaks.gflops:.0f} GFLOP/s; times of others by ours\n")
    heads = "".join(f"{name:>13}" for name in engines[1:])
    print(f"{'':<34} {'us':>9} {heads} {'GFLOP/s':>9} {'of peak':>8}")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, case, flops in (*products(folder, rng), *convolutions(folder, rng)):
            if words and not any(word in name for word in words):
                continue
            found = side_by_side(case, engines, args.threads, rounds=args.rounds, seconds=0.03)
            ours = found[OURS]["median_s"]
            ratios = "".join(f"{found[n].get('ratio', np.nan):>13.2f}" for n in engines[1:])
            rate = flops / ours / 1e9
            print(
                f"{name:<34} {ours * 1e6:>9.1f} {ratios} {rate:>9.1f} {rate / peaks.gflops:>8.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
