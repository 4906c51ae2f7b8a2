"""Runs models on lower instruction sets, each in a process of its own: which one to use is settled
once a process."""

from __future__ import annotations

import contextlib
import os
import pickle
import platform
import subprocess
import sys
from typing import Any, BinaryIO

NAMES = ["baseline", "avx2"] if platform.machine() in ("x86_64", "AMD64") else ["baseline"]


class Tier:
    """A process that answers a model and its feeds with the outputs, or with the error as text."""

    def __init__(self, name: str) -> None:
        environment = os.environ | {"SDX_ISA": name, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, model: bytes, feeds: dict[str, Any]) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        _write(stdin, (model, feeds))
        return _read(stdout)


def _write(stream: BinaryIO, value: Any) -> None:
    data = pickle.dumps(value)
    stream.write(len(data).to_bytes(8, "little") + data)
    stream.flush()


def _read(stream: BinaryIO) -> Any:
    size = stream.read(8)
    if len(size) < 8:
        raise EOFError
    return pickle.loads(stream.read(int.from_bytes(size, "little")))


def main() -> None:
    import sardonyx

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(EOFError):
        while True:
            model, feeds = _read(sys.stdin.buffer)
            try:
                results: Any = sardonyx.load(model, threads=1).run(None, feeds)
            except Exception as error:
                results = f"{type(error).__name__}: {error}"
            _write(answers, results)


if __name__ == "__main__":
    main()
