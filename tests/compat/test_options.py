"""SessionOptions and RunOptions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import compat_models as models
import numpy as np
import onnx
import pytest
from onnx import helper

X = np.zeros((2, 3), np.float32)
W = np.array([1, 2, 3], np.float32)


def test_attributes_have_the_same_defaults(ort: Any) -> None:
    options = ort.SessionOptions()
    found = {
        name: getattr(options, name)
        for name in dir(options)
        if not name.startswith("_") and not callable(getattr(options, name))
    }
    assert found == {
        "enable_cpu_mem_arena": True,
        "enable_mem_pattern": True,
        "enable_mem_reuse": True,
        "enable_profiling": False,
        "execution_mode": ort.ExecutionMode.ORT_SEQUENTIAL,
        "execution_order": ort.ExecutionOrder.DEFAULT,
        "graph_optimization_level": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
        "inter_op_num_threads": 0,
        "intra_op_num_threads": 0,
        "log_severity_level": -1,
        "log_verbosity_level": 0,
        "logid": "",
        "optimized_model_filepath": "",
        "profile_file_prefix": "onnxruntime_profile_",
        "use_deterministic_compute": False,
        "use_per_session_threads": True,
    }
    run_options = ort.RunOptions()
    assert run_options.log_severity_level == -1
    assert run_options.only_execute_path_to_fetches is False


def test_attributes_are_checked(ort: Any) -> None:
    options = ort.SessionOptions()
    for name, value in (
        ("intra_op_num_threads", "a"),
        ("graph_optimization_level", 99),
        ("enable_profiling", "yes"),
        ("logid", 3),
    ):
        with pytest.raises(TypeError):
            setattr(options, name, value)
    with pytest.raises(AttributeError, match="nonsense"):
        options.nonsense = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel(1)
    assert str(options.graph_optimization_level) == "GraphOptimizationLevel.ORT_ENABLE_BASIC"
    assert options.graph_optimization_level == 1


def test_entries(ort: Any) -> None:
    options = ort.SessionOptions()
    with pytest.raises(RuntimeError, match="does not have configuration with key: absent"):
        options.get_session_config_entry("absent")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    run_options = ort.RunOptions()
    run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    assert run_options.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"


@pytest.mark.parametrize("level", [0, 1, 2, 99])
def test_levels_and_threads(ort: Any, level: int) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel(level)
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    session = ort.InferenceSession(models.ADD, options)
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], [W, W])
    assert session.get_session_options().intra_op_num_threads == 1


def test_profiles_tell_of_loading(ort: Any, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "trace")
    session = ort.InferenceSession(models.ADD, options)
    session.run(None, {"x": np.zeros((1, 3), np.float32)})
    names = {event["name"] for event in json.loads(Path(session.end_profiling()).read_text())}
    assert names >= {
        "model_loading_array",
        "session_initialization",
        "model_run",
        "SequentialExecutor::Execute",
    }


def test_profiles_are_traces(ort: Any, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "trace")
    session = ort.InferenceSession(models.ADD, options)
    assert session.get_profiling_start_time_ns() > 0
    session.run(None, {"x": X})
    file = session.end_profiling()
    assert file.startswith(str(tmp_path / "trace"))
    events = json.loads(Path(file).read_text())
    (node,) = [event for event in events if event["cat"] == "Node"]
    assert node["args"]["op_name"] == "Add"
    assert node["args"]["provider"] == "CPUExecutionProvider"
    assert any(event["name"] == "model_run" for event in events)
    assert ort.InferenceSession(models.ADD).end_profiling() == ""


def test_profiled_runs_run_once(tmp_path: Path) -> None:
    import sardonyx
    import sardonyx.compat.onnxruntime as ort

    calls = []

    @sardonyx.op("test.profiled", "Count")
    def count(x: np.ndarray) -> np.ndarray:
        calls.append(x)
        return x

    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "trace")
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N"])
    nodes = [
        helper.make_node("Count", ["x"], ["z"], domain="test.profiled"),
        helper.make_node("Neg", ["z"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [onnx.ValueInfoProto(name=n) for n in "yz"])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("test.profiled", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), options)
    calls.clear()
    np.testing.assert_array_equal(session.run(["y"], {"x": W})[0], -W)
    assert len(calls) == 1
    into = np.zeros(3, np.float32)
    binding = session.io_binding()
    binding.bind_cpu_input("x", W)
    binding.bind_output("y", "cpu", 0, np.float32, [3], into.ctypes.data)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(into, -W)
    assert len(calls) == 2
    events = json.loads(Path(session.end_profiling()).read_text())
    assert sum(event["name"] == "model_run" for event in events) == 2
    assert sum(event["args"].get("op_name") == "Neg" for event in events) == 2


def test_assignments_are_told_where_they_are_noted(ort: Any, state: Any) -> None:
    session = ort.InferenceSession(models.ADD)
    with pytest.raises(state.Fail, match="record_ep_graph_assignment_info' must be set"):
        session.get_provider_graph_assignment_info()
    options = ort.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(models.ADD, options)
    assert isinstance(session.get_provider_graph_assignment_info(), list)


def test_optimized_models_are_written(ort: Any, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(models.ADD, options)
    session = ort.InferenceSession(str(tmp_path / "optimized.onnx"))
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], [W, W])


def test_constants_are_written_as_initializers(ort: Any, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    group = "session.optimized_model_external_initializers_"
    options.add_session_config_entry(group + "file_name", "data.bin")
    options.add_session_config_entry(group + "min_size_in_bytes", "100")
    body = f"{{ w = Constant <value = float[40] {{{', '.join('1' * 40)}}}> () y = Add(x, w) }}"
    ort.InferenceSession(models.model(f"g (float[40] x) => (float[40] y) {body}"), options)
    written = onnx.load(options.optimized_model_filepath, load_external_data=False)
    assert [node.op_type for node in written.graph.node] == ["Add"]
    assert written.graph.initializer[0].data_location == onnx.TensorProto.EXTERNAL
    assert (tmp_path / "data.bin").stat().st_size >= 160
    (y,) = ort.InferenceSession(options.optimized_model_filepath).run(
        None, {"x": np.ones(40, "f4")}
    )
    np.testing.assert_array_equal(y, np.full(40, 2))


def test_models_that_do_not_load_are_not_written(ort: Any, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    with pytest.raises(Exception, match=r"INVALID|FAIL"):
        ort.InferenceSession(b"no model", options)
    assert not list(tmp_path.iterdir())


def test_a_callback_is_told_of_warnings() -> None:
    import sardonyx.compat.onnxruntime as ort

    told: list[tuple[Any, ...]] = []
    newer = onnx.load_from_string(models.ADD)
    newer.ir_version = 99
    options = ort.SessionOptions()
    options.logid = "mine"
    ort.set_default_logger_callback(lambda *event: told.append(event), 2)
    try:
        ort.InferenceSession(newer.SerializeToString(), options)
    finally:
        ort.set_default_logger_callback(None)
    [(severity, _, logid, _, message)] = told
    assert (severity, logid) == (2, "mine")
    assert "IR version 99" in message
    ort.InferenceSession(newer.SerializeToString(), options)
    assert len(told) == 1


def test_custom_operators_are_refused(ort: Any, state: Any) -> None:
    with pytest.raises(state.Fail, match="Failed to load library"):
        ort.SessionOptions().register_custom_ops_library("/absent.so")


def test_free_dimensions_become_numbers(ort: Any, state: Any) -> None:
    options = ort.SessionOptions()
    options.add_free_dimension_override_by_name("N", 2)
    session = ort.InferenceSession(models.ADD, options)
    assert session.get_inputs()[0].shape == [2, 3]
    assert session.get_outputs()[0].shape == [2, 3]
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], [W, W])
    with pytest.raises(state.InvalidArgument, match="index: 0 Got: 1 Expected: 2"):
        session.run(None, {"x": X[:1]})


def denoted(dims: list[Any], denotations: list[str]) -> bytes:
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, dims)
    for dim, denotation in zip(x.type.tensor_type.shape.dim, denotations, strict=True):
        dim.denotation = denotation
    relu = helper.make_node("Relu", ["x"], ["y"])
    return models.saved(helper.make_graph([relu], "g", [x], [onnx.ValueInfoProto(name="y")]))


@pytest.mark.parametrize("denotation", ["DATA_BATCH", "data_Batch"])
@pytest.mark.parametrize("name", ["N", None])
def test_free_dimensions_become_numbers_by_denotation(
    ort: Any, name: str | None, denotation: str
) -> None:
    options = ort.SessionOptions()
    options.add_free_dimension_override_by_denotation(denotation, 2)
    options.add_free_dimension_override_by_denotation("DATA_CHANNEL", 3)
    model = denoted([name, 3, "N"], ["DATA_BATCH", "DATA_CHANNEL", ""])
    session = ort.InferenceSession(model, options)
    assert session.get_inputs()[0].shape == [2, 3, "N"]
    assert session.get_outputs()[0].shape == [2, 3, "N"]


def test_dimensions_that_contradict_are_refused(ort: Any, state: Any) -> None:
    for by_name, by_denotation in ((4, 2), (None, 2)):
        options = ort.SessionOptions()
        if by_name:
            options.add_free_dimension_override_by_name("N", by_name)
        options.add_free_dimension_override_by_denotation("DATA_BATCH", by_denotation)
        with pytest.raises(state.InvalidArgument):
            ort.InferenceSession(denoted(["N" if by_name else 3], ["DATA_BATCH"]), options)


def test_initializers_from_values(ort: Any) -> None:
    ones = np.ones(3, np.float32)
    value = ort.OrtValue.ortvalue_from_numpy(ones)
    options = ort.SessionOptions()
    options.add_initializer("w", value)
    session = ort.InferenceSession(models.ADD, options)
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], [ones, ones])
    options = ort.SessionOptions()
    options.add_external_initializers(["w"], [value])
    session = ort.InferenceSession(external(), options)
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], [ones, ones])


def test_external_data_of_models_in_memory(ort: Any, state: Any, tmp_path: Path) -> None:
    with pytest.raises((state.Fail, state.InvalidArgument), match="w"):
        ort.InferenceSession(external())
    (tmp_path / "w.data").write_bytes(W.tobytes())
    options = ort.SessionOptions()
    key = "session.model_external_initializers_file_folder_path"
    options.add_session_config_entry(key, str(tmp_path))
    session = ort.InferenceSession(external(), options)
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], [W, W])


def test_external_data_in_memory() -> None:
    import sardonyx.compat.onnxruntime as ort

    data = W.tobytes()
    options = ort.SessionOptions()
    options.add_external_initializers_from_files_in_memory(["w.data"], [data], [len(data)])
    session = ort.InferenceSession(external(), options)
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], [W, W])


def external() -> bytes:
    """ADD with its weights in the file w.data."""
    proto = onnx.ModelProto()
    proto.ParseFromString(models.ADD)
    (tensor,) = proto.graph.initializer
    tensor.ClearField("float_data")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "w.data"), ("offset", "0"), ("length", "12")):
        tensor.external_data.add(key=key, value=value)
    data: bytes = proto.SerializeToString()
    return data
