"""Profiles: which step takes the time, which nodes it stands for, how far it is from the roof."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import sardonyx
from sardonyx.cli import main

FEEDS = {"image": np.zeros((4, 1, 8, 8), np.float32)}


@pytest.fixture(scope="module")
def peaks() -> sardonyx.Peaks:
    return sardonyx.measure_peaks(1)


@pytest.fixture(scope="module")
def profile(peaks: sardonyx.Peaks) -> sardonyx.Profile:
    model = sardonyx.load(sardonyx.demo_model(), threads=1)
    return model.profile(FEEDS, runs=3, peaks=peaks)


def test_peaks_fall_with_the_distance(peaks: sardonyx.Peaks) -> None:
    assert peaks.gflops > 0.1
    assert 0 < peaks.gbytes <= peaks.gbytes_at(1 << 40) * 1.0001
    assert peaks.gbytes_at(1000) > peaks.gbytes_at(1 << 40)
    with pytest.raises(sardonyx.InvalidArgument):
        sardonyx.measure_peaks(0)


def test_steps_name_the_nodes_they_stand_for(profile: sardonyx.Profile) -> None:
    onnx = pytest.importorskip("onnx")
    nodes = onnx.load(sardonyx.demo_model()).graph.node
    named = {node.name for node in nodes if node.name}
    found = [name for step in profile for name in step.nodes]
    assert named <= {*found} | {n.name for n in nodes if n.op_type in ("Constant", "Flatten")}
    fused = next(step for step in profile if step.op == "sardonyx::FusedConv")
    assert len(fused.nodes) >= 2


def test_rows_count_work_and_bytes(profile: sardonyx.Profile) -> None:
    rows = profile.rows()
    assert len(rows) == len(profile)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    begins = [row["begin"] for row in rows]
    assert begins == sorted(begins)
    for row in rows:
        assert row["bytes"] > 0
        assert row["roof"] >= 0
    assert any(row["gflops"] > 0 for row in rows)
    operators = profile.by_operator()
    assert sum(total["seconds"] for total in operators) == pytest.approx(profile.seconds)
    assert sum(total["flops"] for total in operators) == pytest.approx(profile.flops)


def test_gather_counts_what_it_picks() -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.parser.parse_graph("g (int64[3] i) => (float[3, 8] y) { y = Gather(t, i) }")
    table = np.zeros((1000, 8), np.float32)
    graph.initializer.append(onnx.numpy_helper.from_array(table, "t"))
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = sardonyx.load(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8))
    (step,) = model.profile({"i": np.array([1, 2, 3])})
    assert step.value_bytes + step.constant_bytes == 2 * 3 * 8 * 4 + 3 * 8


def test_text_says_what_there_is(profile: sardonyx.Profile) -> None:
    table = profile.table(2)
    assert "other steps" in table
    assert "FusedConv" in table
    assert max(map(len, table.splitlines())) <= 190
    assert "of the roof" in profile.summary()
    assert str(len(profile)) in repr(profile)
    plain = sardonyx.Profile(profile.steps)
    assert plain.roof is None
    assert "roof" not in plain.summary()


def test_the_trace_is_in_the_chrome_format(profile: sardonyx.Profile, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    profile.save_trace(path)
    events = json.loads(path.read_text())["traceEvents"]
    steps = [event for event in events if event["ph"] == "X"]
    assert len(steps) == len(profile)
    for before, after in itertools.pairwise(steps):
        assert before["ts"] + before["dur"] <= after["ts"] + 0.01
    assert steps[0]["args"]["nodes"]


def test_bench_explains_and_traces(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace = tmp_path / "run.json"
    command = ["bench", str(sardonyx.demo_model()), "--seconds", "0.05", "--threads", "1"]
    assert main([*command, "--explain", "--trace", str(trace)]) == 0
    text = capsys.readouterr().out
    assert "of the roof" in text
    assert "%" in text
    assert json.loads(trace.read_text())["traceEvents"]
    assert main([*command, "--explain", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["peaks"]["gflops"] > 0
    assert found["roof"] > 0
