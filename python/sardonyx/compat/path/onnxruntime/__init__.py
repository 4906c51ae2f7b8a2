"""The name onnxruntime for sardonyx.compat.onnxruntime: the same modules, the same classes."""

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_NAME = "sardonyx.compat.onnxruntime"


class _Alias(MetaPathFinder, Loader):
    """Finds onnxruntime.X by importing sardonyx.compat.onnxruntime.X."""

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, rest = fullname.partition(".")
        if package != "onnxruntime" or not rest:
            return None
        if importlib.util.find_spec(f"{_NAME}.{rest}") is None:
            inside, _, name = rest.partition(".")
            if name:  # packages of which only parts are here may say why
                getattr(importlib.import_module(f"{_NAME}.{inside}"), name.partition(".")[0], None)
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # The import system takes what stands in sys.modules when this returns.
        sys.modules[module.__name__] = importlib.import_module(
            f"{_NAME}{module.__name__.removeprefix('onnxruntime')}"
        )


sys.meta_path.insert(0, _Alias())
sys.modules[__name__] = importlib.import_module(_NAME)
