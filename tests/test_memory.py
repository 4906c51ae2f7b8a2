"""What a model holds in memory, what bounds it, and how it is let go of."""

from __future__ import annotations

import os
import resource
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import make_model

import sardonyx

F = np.float32


def weighty(rows: int = 256, columns: int = 1024) -> onnx.ModelProto:
    """x times a matrix, plus a vector."""
    model: onnx.ModelProto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]>
        g (float[n, {rows}] x) => (float[n, {columns}] y) {{
            m = MatMul(x, w)
            y = Add(m, b)
        }}"""
    )
    rng = np.random.default_rng(0)
    for name, shape in {"w": (rows, columns), "b": (columns,)}.items():
        array = rng.standard_normal(shape, F)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


def test_explains_what_is_held(tmp_path: Path) -> None:
    path = tmp_path / "weighty.onnx"
    onnx.save(weighty(), path)
    model = sardonyx.load(path)
    loaded = model.memory()
    assert loaded.packed_weights >= 256 * 1024 * 4
    assert (loaded.running, loaded.idle, loaded.kept_results, loaded.plans) == (0, 0, 0, 0)
    model(np.ones((512, 256), F))
    held = model.memory()
    assert held.plans == 1
    assert held.kept_results >= 512 * 1024 * 4
    assert held.total == sum(
        getattr(held, kind)
        for kind in (
            "mapped_weights", "own_weights", "packed_weights", "running", "idle", "kept_results"
        )
    )  # fmt: skip
    assert "packed weights" in str(held)
    assert "kept results" in str(held)
    model.trim()
    assert model.memory().total == loaded.total


def test_tells_mapped_weights_from_own(tmp_path: Path) -> None:
    table = onnx.numpy_helper.from_array(np.ones((1000, 64), F), "table")
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> '
        "g (int64[n] i) => (float[n, 64] y) { y = Gather(table, i) }"
    )
    model.graph.initializer.append(table)
    own = sardonyx.load(model).memory()
    assert (own.mapped_weights, own.own_weights) == (0, 1000 * 64 * 4)
    path = tmp_path / "table.onnx"
    onnx.save(model, path, save_as_external_data=True, size_threshold=0)
    mapped = sardonyx.load(path).memory()
    assert (mapped.mapped_weights, mapped.own_weights) == (1000 * 64 * 4, 0)


def test_loading_keeps_to_the_limit() -> None:
    with pytest.raises(MemoryError, match=r"the session's memory limit of 900000"):
        sardonyx.load(weighty(), memory_limit=900_000)
    model = sardonyx.load(weighty(), memory_limit=4 << 20)
    with pytest.raises(MemoryError, match=r"the session's memory limit of 4194304"):
        model(np.ones((4096, 256), F))
    assert model(np.ones((2, 256), F)).shape == (2, 1024)


def test_one_run_keeps_to_a_limit_of_its_own() -> None:
    a = np.ones((500, 500), F)
    for model in (
        sardonyx.load(make_model("MatMul", [a, a])),
        sardonyx.load(make_model("MatMul", [a, a]), memory_limit=64 << 20),
    ):
        feeds = {"x0": a, "x1": a}
        with pytest.raises(MemoryError, match=r"the run's memory limit of 100000;.*'node'"):
            model.run(None, feeds, memory_limit=100_000)
        assert model.run(None, feeds, memory_limit=4 << 20)[0][0, 0] == 500
        with pytest.raises(ValueError, match="memory_limit"):
            model.run(None, feeds, memory_limit=-1)


def lists_larger_than_results() -> dict[str, tuple[Any, dict[str, np.ndarray], int]]:
    boxes = np.random.default_rng(0).random((1, 200_000, 4), F)
    few, steep = np.array([3]), np.array([0.5], F)
    words = np.array(["a " * 2000, *[""] * 9999], object)
    x, scale = np.ones(100_000, F), np.array([2.0], F)
    cases = {
        "NonMaxSuppression": (({}, 1), [boxes, boxes[:, None, :, 0], few, steep], 1 << 20),
        "Resize": (({"mode": "linear"}, 1), [x, None, scale], 1 << 20),
        "Unique": (({}, 1), [np.arange(200_000)], 3 << 20),
        "StringSplit": (({}, 2), [words], 16 << 20),
    }
    made = {}
    for op, ((attrs, outputs), inputs, limit) in cases.items():
        feeds = {f"x{i}": each for i, each in enumerate(inputs) if each is not None}
        made[op] = make_model(op, inputs, attrs=attrs, outputs=outputs), feeds, limit
    return made


@pytest.mark.parametrize("op", ["NonMaxSuppression", "Resize", "Unique", "StringSplit"])
def test_lists_that_operators_make_keep_to_the_limit(op: str) -> None:
    model, feeds, limit = lists_larger_than_results()[op]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MemoryError, match=rf"the run's memory limit of {limit}"):
        sardonyx.load(model).run(None, feeds, memory_limit=limit)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
    assert sardonyx.load(model).run(None, feeds, memory_limit=2 << 30)


def test_more_than_there_are_addresses() -> None:
    x, pads = np.ones(4, np.int8), np.array([3, 1 << 61])
    for options in ({}, {"memory_limit": 1 << 30}):
        model = sardonyx.load(make_model("Pad", [x, pads]), **options)
        with pytest.raises(MemoryError, match=r"'node' \(Pad.*out of memory"):
            model.run(None, {"x0": x, "x1": pads})


@pytest.mark.skipif(
    Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "1",
    reason="the system promises any amount of memory",
)
def test_more_than_the_machine_has() -> None:
    x = np.ones((1, 4, 1000, 1000), F)
    weights = np.ones((4, 3, 499, 499), F)  # 3 TB fall on the pixels of the output
    model = sardonyx.load(make_model("ConvTranspose", [x, weights]))
    with pytest.raises(MemoryError, match=r"cannot allocate \d{13} bytes"):
        model.run(None, {"x0": x, "x1": weights})


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("Pad", [np.ones(4, F), np.array([3, 1 << 32])]),
        ("Pad", [np.ones((0, 1), F), np.array([0, 5, 1 << 32, 6])]),
        ("CenterCropPad", [np.ones((1, 5), bool), np.array([1000, 1 << 40])]),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_planned(op: str, inputs: list[Any]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = sardonyx.load(make_model(op, inputs), memory_limit=16 << 20)
    with pytest.raises(MemoryError, match="memory limit"):
        model.run(None, {f"x{i}": each for i, each in enumerate(inputs)})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def test_results_do_not_count_once_they_are_handed_out() -> None:
    ones = np.ones(100_000, F)
    model = sardonyx.load(make_model("NonZero", [ones]), memory_limit=2 << 20)
    kept = [model(ones) for _ in range(10)]  # 800 kB each
    assert all(result.shape == (1, 100_000) for result in kept)


def test_runs_in_progress_share_the_limit() -> None:
    inside, go_on = threading.Event(), threading.Event()

    @sardonyx.op("test.memory", "Wait", infer=lambda x, **_: x)
    def wait(x: np.ndarray) -> np.ndarray:
        inside.set()
        assert go_on.wait(60)
        return x

    text = """<ir_version: 8, opset_import: ["" : 18, "test.memory" : 1]>
        g (float[n] x) => (float[n] y) {
            a = Exp(x)
            b = test.memory.Wait(a)
            y = Add(a, b)
        }"""
    x = np.zeros(1 << 20, F)  # 4 MiB, as each of the values
    model = sardonyx.load(onnx.parser.parse_model(text), memory_limit=20 << 20)
    first = model.submit(None, {"x": x})
    assert inside.wait(60)
    assert model.memory().running >= x.nbytes
    with pytest.raises(MemoryError, match="the session's memory limit of 20971520"):
        model(x)
    go_on.set()
    np.testing.assert_array_equal(first.result(60)[0], np.full(x.shape, 2, F))
    np.testing.assert_array_equal(model(x), np.full(x.shape, 2, F))


def test_a_closed_model_refuses_and_lets_runs_end() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
        g (int64 n, float[8] x) => (y) {
            y = Loop (n, , x) <body = b (int64 i, bool c, float[8] s) => (bool more, float[8] t) {
                t = Neg(s)
                more = Identity(c)
            }>
        }"""
    model = sardonyx.load(onnx.parser.parse_model(text))
    x = np.ones(8, F)
    run = model.submit(None, {"n": np.array(20_000), "x": x})
    model.close()
    model.close()
    np.testing.assert_array_equal(run.result(60)[0], x)
    assert repr(model) == "<sardonyx.Model, closed>"
    uses: list[Any] = [
        lambda: model(np.array(1), x),
        lambda: model.run(None, {}),
        model.memory,
        model.trim,
        lambda: model.inputs,
    ]
    for use in uses:
        with pytest.raises(sardonyx.InvalidArgument, match="the model is closed"):
            use()


def test_the_end_of_with_closes() -> None:
    with sardonyx.load(weighty()) as model:
        assert model(np.ones((1, 256), F)).shape == (1, 1024)
    with pytest.raises(sardonyx.InvalidArgument, match="closed"):
        model(np.ones((1, 256), F))


def wait_until_trimmed(model: sardonyx.Model) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        held = model.memory()
        if (held.plans, held.idle, held.kept_results) == (0, 0, 0):
            return True
        time.sleep(0.02)
    return False


def test_an_idle_model_trims_itself() -> None:
    x = np.ones((512, 256), F)
    kept = sardonyx.load(weighty())
    model = sardonyx.load(weighty(), trim_after=0.3)
    for _ in range(2):
        expected = kept(x)
        np.testing.assert_array_equal(model(x), expected)
        assert model.memory().plans == 1
        assert wait_until_trimmed(model)
    assert kept.memory().plans == 1
    with pytest.raises(ValueError, match="trim_after"):
        sardonyx.load(weighty(), trim_after=-1)


def test_a_run_that_fails_is_a_use_too() -> None:
    model = sardonyx.load(weighty(), trim_after=0.3)
    with pytest.raises(sardonyx.Timeout):
        model.run(None, {"x": np.ones((20_000, 256), F)}, timeout=0.0)
    model.profile({"x": np.ones((512, 256), F)})
    assert wait_until_trimmed(model)


def test_a_busy_model_does_not_trim_itself() -> None:
    model = sardonyx.load(weighty(), trim_after=0.5)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        model(np.ones((2, 256), F))
        assert model.memory().plans == 1
    model.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_idle_models_trim_themselves_in_forked_processes() -> None:
    model = sardonyx.load(weighty(), trim_after=0.3)
    x = np.ones((512, 256), F)
    model(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about forks beside threads
        child = os.fork()
    if child == 0:
        model(x)
        os._exit(0 if wait_until_trimmed(model) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert wait_until_trimmed(model)
