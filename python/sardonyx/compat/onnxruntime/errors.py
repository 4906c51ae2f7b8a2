"""The exceptions of ONNX Runtime, and which of them an error of Sardonyx becomes.

Messages open as programs know them: "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : ...".
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, NoReturn

import sardonyx
from sardonyx.compat.onnxruntime import types


class OrtError(Exception):
    """The base of the exceptions below, which share no base in ONNX Runtime."""

    code: ClassVar[int]
    word: ClassVar[str]

    @classmethod
    def of(cls, message: str) -> Any:
        return cls(f"[ONNXRuntimeError] : {cls.code} : {cls.word} : {message}")


class Fail(OrtError):
    code, word = 1, "FAIL"


class InvalidArgument(OrtError):
    code, word = 2, "INVALID_ARGUMENT"


class NoSuchFile(OrtError):
    code, word = 3, "NO_SUCHFILE"


class NoModel(OrtError):
    code, word = 4, "NO_MODEL"


class EngineError(OrtError):
    code, word = 5, "ENGINE_ERROR"


class RuntimeException(OrtError):
    code, word = 6, "RUNTIME_EXCEPTION"


class InvalidProtobuf(OrtError):
    code, word = 7, "INVALID_PROTOBUF"


class ModelLoaded(OrtError):
    code, word = 8, "MODEL_LOADED"


class NotImplemented(OrtError):
    code, word = 9, "NOT_IMPLEMENTED"


class InvalidGraph(OrtError):
    code, word = 10, "INVALID_GRAPH"


class EPFail(OrtError):
    code, word = 11, "EP_FAIL"


class ModelLoadCanceled(OrtError):
    code, word = 12, "MODEL_LOAD_CANCELED"


class ModelRequiresCompilation(OrtError):
    code, word = 13, "MODEL_REQUIRES_COMPILATION"


class NotFound(OrtError):
    code, word = 14, "NOT_FOUND"


class DeviceReset(OrtError):
    code, word = 15, "DEVICE_RESET"


# How the reader says that bytes are no protobuf at all.
_NO_PROTOBUF = re.compile(r"protobuf|not an ONNX|a web page")
_NO_GRAPH = re.compile(r"no graph in the file|the model is empty")
_WRONG_TYPE = re.compile(r"element type|expected [a-z0-9]+, got|does not fit the declared")
_ELEMENT_TYPE = re.compile(r"element type (?P<type>[a-z0-9_]+) is not")
_NODE = re.compile(r"node '(?P<name>[^']*)' \((?P<op>[^,)]*)[^)]*\): (?P<rest>.*)", re.DOTALL)
_MISSING_OPERATOR = re.compile(
    r"operators that are not supported: (?P<op>\S+) \(opset (?P<opset>\d+)"
)


def _missing_operator(message: str) -> tuple[type[OrtError], str] | None:
    """A standard operator that is not implemented, or one that nobody knows."""
    found = _MISSING_OPERATOR.search(message)
    if not found:
        return None
    domain, _, name = found["op"].rpartition("::")
    if domain not in ("", "ai.onnx.ml"):
        return Fail, f"Fatal error: {domain}:{name}(-1) is not a registered function/op. {message}"
    try:
        import onnx
    except ImportError:
        return NotImplemented, message
    if onnx.defs.has(name, domain):
        return NotImplemented, f"Could not find an implementation for {name}. {message}"
    opset = found["opset"]
    return InvalidGraph, (
        "This is an invalid model. Error No Op registered for "
        f"{name} with domain_version of {opset}. {message}"
    )


def _load_error(error: Exception) -> tuple[type[OrtError], str]:
    message = str(error)
    if isinstance(error, sardonyx.Unsupported):
        return _missing_operator(message) or (NotImplemented, message)
    if isinstance(error, sardonyx.InvalidArgument):
        return InvalidArgument, message
    if _NO_GRAPH.search(message):
        return InvalidArgument, f"No graph was found in the protobuf. {message}"
    if "does not import domain" in message:
        return InvalidGraph, f"This is an invalid model. No opset import for domain: {message}"
    if "is neither an input, an initializer nor the output of a node" in message:
        return InvalidArgument, f"Invalid model. {message}"
    if "the graph has a cycle" in message:
        return Fail, f"This is an invalid model. Error: the graph is not acyclic. {message}"
    if "sparse_value" in message:
        return InvalidArgument, f"Invalid sparse tensor. {message}"
    if "node '" not in message and _NO_PROTOBUF.search(message):
        return InvalidProtobuf, f"Protobuf parsing failed. {message}"
    if "does not fit the declared" in message:
        return Fail, f"Type Error: {message}"
    found = _NODE.search(message)
    kind = _ELEMENT_TYPE.search(message)
    if found and kind:
        return InvalidGraph, (
            f"This is an invalid model. Type Error: Type '{types.spell(kind['type'])}' of an input "
            f"of operator ({found['op']}) in node ({found['name']}) is invalid. {message}"
        )
    if _WRONG_TYPE.search(message):
        return InvalidGraph, f"This is an invalid model. Type Error: {message}"
    if "attribute" in message:
        return InvalidGraph, f"This is an invalid model. {message}"
    return Fail, message


def raise_load_error(error: Exception, origin: str | None) -> NoReturn:
    """What creating a session raises; `origin` is the model's path where it has one."""
    kind, message = _load_error(error)
    where = f"Load model from {origin} failed:" if origin is not None else ""
    raise kind.of(where + message) from error


def raise_run_error(error: Exception) -> NoReturn:
    """What a run raises whose inputs are as declared."""
    message = str(error)
    found = _NODE.search(message)
    if found:
        message = (
            f"Non-zero status code returned while running {found['op']} node. "
            f"Name:'{found['name']}' Status Message: {found['rest']}"
        )
    kind: type[OrtError] = Fail
    if isinstance(error, sardonyx.Unsupported):
        kind = NotImplemented
    elif isinstance(error, sardonyx.InvalidArgument):
        kind = InvalidArgument
    raise kind.of(message) from error
