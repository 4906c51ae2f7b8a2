"""Writes the model of a session where `optimized_model_filepath` says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

MODEL_FOLDER = "session.model_external_initializers_file_folder_path"
_DATA_FILE = "session.optimized_model_external_initializers_file_name"
_DATA_SIZE = "session.optimized_model_external_initializers_min_size_in_bytes"
_OLDEST_IR = 4  # whose initializers need not be inputs


def save(model: str | bytes | os.PathLike[str], path: str, entries: Mapping[str, str]) -> None:
    """Writes the model as it came, since Sardonyx rewrites into forms that ONNX cannot say.

    Only what ONNX Runtime does at every level is done, for which the package onnx is needed:
    constants become initializers, and these go to a file of their own where `entries` name one.
    """
    try:
        import onnx
    except ImportError:
        _copy(model, path)
        return
    if isinstance(model, bytes):
        proto, folder = onnx.load_model_from_string(model), entries.get(MODEL_FOLDER, ".")
    else:
        proto, folder = onnx.load(model, load_external_data=False), os.path.dirname(model)
    if proto.ir_version >= _OLDEST_IR:
        for node in list(proto.graph.node):
            if node.op_type == "Constant" and not node.domain and node.attribute[0].name == "value":
                tensor = proto.graph.initializer.add()
                tensor.CopyFrom(node.attribute[0].t)
                tensor.name = node.output[0]
                proto.graph.node.remove(node)
    data_file = entries.get(_DATA_FILE)
    if data_file:
        onnx.load_external_data_for_model(proto, str(folder))
        Path(path).with_name(data_file).unlink(missing_ok=True)
        for tensor in proto.graph.initializer:  # only raw bytes are moved into files
            if not tensor.HasField("raw_data") and tensor.data_type != onnx.TensorProto.STRING:
                array = onnx.numpy_helper.to_array(tensor)
                tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
        size = int(entries.get(_DATA_SIZE, 1024))
        onnx.external_data_helper.convert_model_to_external_data(
            proto, location=data_file, size_threshold=size
        )
    onnx.save(proto, path)


def _copy(model: str | bytes | os.PathLike[str], path: str) -> None:
    if isinstance(model, bytes):
        Path(path).write_bytes(model)
    elif os.path.abspath(model) != os.path.abspath(path):
        shutil.copyfile(model, path)
