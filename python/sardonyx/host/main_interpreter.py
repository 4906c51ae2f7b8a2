"""Importing this refuses subinterpreters, where extension modules as ours wait for a lock for ever.

Nothing that is an extension module may be imported before.
"""

from __future__ import annotations

from importlib import import_module


def _require() -> None:
    for name in ("_interpreters", "_xxsubinterpreters"):  # from Python 3.13 on, and before
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError("sardonyx runs in the main interpreter only, not in subinterpreters")
        return


_require()
