"""Where a model came from, so that another process can load it too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# More is not kept beside the weights that were made of it.
LARGEST_KEPT = 64 << 20


def load_again(source: str | bytes, options: Mapping[str, Any]) -> Any:
    """The model, as it was loaded at first."""
    from sardonyx.model import load

    return load(source, **options)


class Origin:
    """A path or bytes, and the options of `load`."""

    def __init__(self, source: str | bytes, options: Mapping[str, Any]) -> None:
        too_large = isinstance(source, bytes) and len(source) > LARGEST_KEPT
        self._source = None if too_large else source
        self._options = dict(options)

    def reduce(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What pickle is told."""
        if self._source is None:
            raise TypeError(
                f"models of more than {LARGEST_KEPT >> 20} MiB can be pickled only if they were "
                "loaded by path: their bytes are not kept"
            )
        return load_again, (self._source, self._options)
