"""What belongs to ONNX Runtime's own engine: names that exist and say why they do nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from sardonyx.compat.onnxruntime.errors import NotImplemented


class _Refused:
    what: ClassVar[str]

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplemented.of(f"{type(self).__name__}: {self.what}")


class AdapterFormat(_Refused):
    what = "LoRA adapters are not supported by Sardonyx"


class LoraAdapter(_Refused):
    what = "LoRA adapters are not supported by Sardonyx"


class ModelCompiler(_Refused):
    what = "there is no execution provider that compiles models ahead"


class ModelPackage(_Refused):
    what = "packages of models for several execution providers are not supported by Sardonyx"


class ModelPackageContext(ModelPackage):
    pass


class ModelPackageOptions(ModelPackage):
    pass


def refuse_module(name: str, instead: str) -> ImportError:
    """The error that importing a package raises that is not part of this."""
    return ImportError(
        f"onnxruntime.{name} is not part of sardonyx.compat.onnxruntime: {instead}", name=name
    )
