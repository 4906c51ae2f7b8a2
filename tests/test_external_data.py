"""External data: what is found beside the model, and what no model may reach."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import randn
from onnx import TensorProto, helper

import sardonyx

WEIGHT = randn(64, 3)
DATA = WEIGHT.tobytes()


def model_bytes(**entries: Any) -> bytes:
    """y = x + w, with w outside under these entries."""
    weight = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=WEIGHT.shape)
    weight.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        weight.external_data.add(key=key, value=str(value))
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [onnx.ValueInfoProto(name="y")],
        [weight],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return made.SerializeToString()


def write_model(directory: Path, **entries: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "model.onnx"
    path.write_bytes(model_bytes(**entries))
    return path


def check(path: Path) -> None:
    np.testing.assert_array_equal(sardonyx.load(path)(np.zeros(1, np.float32)), WEIGHT)


@pytest.mark.parametrize(
    ("entries", "before", "after"),
    [
        ({}, 0, 0),
        ({"length": len(DATA)}, 0, 100),
        ({"offset": 4096, "length": len(DATA)}, 4096, 0),
        ({"offset": 5, "length": len(DATA)}, 5, 7),
        ({"offset": 8}, 8, 100),
        ({"checksum": "0" * 40, "basepath": "elsewhere"}, 0, 0),
    ],
)
def test_data_is_found(tmp_path: Path, entries: Any, before: int, after: int) -> None:
    path = write_model(tmp_path, location="weights.bin", **entries)
    (tmp_path / "weights.bin").write_bytes(bytes(before) + DATA + bytes(after))
    check(path)


def test_data_is_found_from_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path, location="deep/er/weights.bin")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "weights.bin").write_bytes(DATA)
    monkeypatch.chdir(tmp_path)
    check(Path("model.onnx"))
    monkeypatch.chdir(tmp_path / "deep")
    check(Path("../model.onnx"))


def test_the_cache_of_a_hub_works(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "0a1b").write_bytes(model_bytes(location="model.onnx_data"))
    (blobs / "2c3d").write_bytes(DATA)
    (snapshot / "model.onnx").symlink_to("../../blobs/0a1b")
    (snapshot / "model.onnx_data").symlink_to("../../blobs/2c3d")
    check(snapshot / "model.onnx")


def test_a_linked_model_brings_its_data(tmp_path: Path) -> None:
    write_model(tmp_path / "real", location="weights.bin")
    (tmp_path / "real" / "weights.bin").write_bytes(DATA)
    (tmp_path / "link.onnx").symlink_to("real/model.onnx")
    check(tmp_path / "link.onnx")


def test_a_directory_may_be_a_link(tmp_path: Path) -> None:
    write_model(tmp_path / "real", location="weights.bin")
    (tmp_path / "real" / "weights.bin").write_bytes(DATA)
    (tmp_path / "link").symlink_to("real")
    check(tmp_path / "link" / "model.onnx")


def refuses(path: Path, message: str) -> None:
    with pytest.raises(sardonyx.InvalidModel, match=f"initializer 'w': .*{message}"):
        sardonyx.load(path)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../secret.bin", "'../secret.bin' leaves"),
        ("inner/../../secret.bin", "leaves"),
        ("/etc/hostname", "absolute"),
        ("", "no location"),
        ("inner", "not a regular file"),
        ("absent.bin", "'absent.bin' does not exist"),
        ("weights.bin\0.txt", "zero byte"),
    ],
)
def test_locations_that_are_refused(tmp_path: Path, location: str, message: str) -> None:
    path = write_model(tmp_path / "model", location=location)
    (tmp_path / "secret.bin").write_bytes(DATA)
    (tmp_path / "model" / "inner").mkdir()
    refuses(path, message)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": -1}, "offset '-1'"),
        ({"offset": 2**64}, "offset '18446744073709551616'"),
        ({"offset": "1e3"}, "offset '1e3'"),
        ({"offset": len(DATA) + 1}, f"begins at byte {len(DATA) + 1}"),
        ({"length": -4}, "length '-4'"),
        ({"length": 2**63}, "does not fit"),
        ({"offset": 2**63, "length": 2**63}, "begins at"),
        ({"offset": 4, "length": len(DATA)}, "does not fit"),
        ({"offset": 4}, f"of {len(DATA) - 4} bytes"),
        ({"length": 8}, "raw data of 8 bytes"),
        ({"handler": "evil"}, "unknown key 'handler'"),
    ],
)
def test_entries_that_are_refused(tmp_path: Path, entries: Any, message: str) -> None:
    path = write_model(tmp_path, location="weights.bin", **entries)
    (tmp_path / "weights.bin").write_bytes(DATA)
    refuses(path, message)


def test_links_out_of_the_directory_are_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model", location="weights.bin")
    (tmp_path / "secret.bin").write_bytes(DATA)
    (tmp_path / "model" / "weights.bin").symlink_to("../secret.bin")
    refuses(path, "outside the model's directory")


def test_links_in_parents_are_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model", location="inner/weights.bin")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "weights.bin").write_bytes(DATA)
    (tmp_path / "model" / "inner").symlink_to("../secret")
    refuses(path, "outside the model's directory")


def test_a_directory_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model", location="weights.bin")
    (tmp_path / "model2").mkdir()
    (tmp_path / "model2" / "weights.bin").write_bytes(DATA)
    (tmp_path / "model" / "weights.bin").symlink_to("../model2/weights.bin")
    refuses(path, "outside the model's directory")


def test_hard_links_are_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model", location="weights.bin")
    (tmp_path / "secret.bin").write_bytes(DATA)
    os.link(tmp_path / "secret.bin", tmp_path / "model" / "weights.bin")
    refuses(path, "2 hard links")


def test_pipes_are_refused_without_waiting(tmp_path: Path) -> None:
    path = write_model(tmp_path, location="weights.bin")
    os.mkfifo(tmp_path / "weights.bin")
    refuses(path, "not a regular file")
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(sardonyx.InvalidArgument, match="not a regular file"):
        sardonyx.load(tmp_path / "pipe.onnx")


def test_a_model_in_memory_reaches_no_file() -> None:
    with pytest.raises(sardonyx.InvalidModel, match="needs to know the model's directory"):
        sardonyx.load(model_bytes(location="weights.bin"))


def test_many_tensors_share_one_file(tmp_path: Path) -> None:
    arrays = {f"w{k}": randn(4, seed=k) for k in range(50)}
    graph = helper.make_graph(
        [helper.make_node("Sum", ["x", *arrays], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [onnx.ValueInfoProto(name="y")],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path = tmp_path / "model.onnx"
    onnx.save_model(made, path, save_as_external_data=True, size_threshold=0)
    assert len(list(tmp_path.iterdir())) == 2
    result = sardonyx.load(path)(np.zeros(4, np.float32))
    np.testing.assert_allclose(result, sum(arrays.values()), rtol=1e-5, atol=1e-5)
