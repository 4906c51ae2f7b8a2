"""Models as Python sees them: load, run, profile."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sardonyx._core import (
    BoundCall,
    CancelFlag,
    InvalidArgument,
    MemoryUse,
    Peaks,
    PlanSummary,
    Session,
    ThreadPool,
    Value,
)
from sardonyx.host.images import decode_image
from sardonyx.host.operators import known_operators
from sardonyx.host.origin import Origin
from sardonyx.profiling import Profile

if TYPE_CHECKING:
    from sardonyx.host.futures import Run

Precision = Literal["strict", "float32", "fast"]


class Readable(Protocol):
    """A file open for reading bytes."""

    def read(self) -> bytes: ...


class Serializable(Protocol):
    """An onnx.ModelProto, without needing the package onnx."""

    def SerializeToString(self) -> bytes: ...


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | Serializable


class _Closed:
    """In the place of the session of a model that was closed."""

    def call(self, *_: Any) -> None:
        raise InvalidArgument("the model is closed")

    def __getattr__(self, name: str) -> None:
        raise InvalidArgument("the model is closed")


class Model:
    """A loaded model. Many threads may run it at once.

    Made by `load`. Call it with arrays by position or by name; it returns one array, or a tuple
    where the model has several outputs. Arrays may be of any layout and byte order, NumPy's or
    anything with `__dlpack__` or `__array__`, scipy.sparse matrices too; lists stand for sequences
    and dicts for maps.
    """

    def __init__(self, session: Session, origin: Origin | None = None) -> None:
        self._session = session
        self._origin = origin
        self._call = session.call

    def __call__(self, *args: Any, out: Any = None, **named: Any) -> Any:
        """Runs the model; `out` takes an array, or a list of them, to write the results into.

        A cache may grow where it lies: see `caches`.
        """
        return self._call(args, named, out)

    def run(
        self,
        outputs: Sequence[str] | None,
        feeds: Mapping[str, Any],
        *,
        out: Any = None,
        timeout: float | None = None,
        cancel: CancelFlag | None = None,
        memory_limit: int | None = None,
    ) -> list[Any]:
        """The outputs of these names, or all of them, as a list.

        A run that takes longer than `timeout` seconds raises `sardonyx.Timeout`, one whose token
        somebody cancels `sardonyx.Cancelled`: within milliseconds, inside long operators too. So
        does Ctrl-C its KeyboardInterrupt. The model is then as before; arrays of `out` are not.
        One whose values would take more than `memory_limit` bytes raises MemoryError.
        """
        feeds = feeds if isinstance(feeds, dict) else dict(feeds)
        # By position: keywords would take longer than a small model's run.
        return self._session.run(outputs, feeds, out, False, timeout, cancel, memory_limit or 0)

    def submit(
        self, outputs: Sequence[str] | None, feeds: Mapping[str, Any], **options: Any
    ) -> Run:
        """The same in the background: a concurrent.futures.Future whose `cancel` ends the run."""
        from sardonyx.host.futures import start  # concurrent.futures is as large as the rest

        model = Model(self._session)  # which stays as it is when this one is closed
        return start(lambda token: model.run(outputs, feeds, cancel=token, **options))

    async def run_async(
        self, outputs: Sequence[str] | None, feeds: Mapping[str, Any], **options: Any
    ) -> list[Any]:
        """The same to await; cancelling the task ends the run."""
        import asyncio  # too large to load before it is asked for

        return await asyncio.wrap_future(self.submit(outputs, feeds, **options))

    def bind(
        self, feeds: Mapping[str, Any], out: Mapping[str, Any]
    ) -> Callable[[], dict[str, Any]]:
        """A call without arguments that reads `feeds` and writes `out` where they lie then.

        It returns the outputs named in `out`, and refuses arrays it would have to write to by a
        copy: ones that are fed too, but for `caches`, and ones that are not contiguous.
        """
        if any(array is None for array in out.values()):
            raise InvalidArgument("out: expected an array for each output")
        call = BoundCall(list(out), dict(feeds), list(out.values()))
        return lambda: self._session.run_bound(call)

    def profile(
        self, feeds: Mapping[str, Any], *, runs: int = 1, peaks: Peaks | None = None
    ) -> Profile:
        """Keeps time by step; of several runs the one of median length counts.

        With `peaks` from `sardonyx.measure_peaks(model.threads)` it holds every step against its
        roof.

        >>> import numpy as np
        >>> model = load(demo_model())
        >>> profile = model.profile({"image": np.zeros((1, 1, 8, 8), np.float32)})
        >>> len(profile.rows()) == len(profile)
        True
        """
        taken = [self._session.profile(dict(feeds)) for _ in range(max(runs, 1))]
        taken.sort(key=lambda steps: sum(step.seconds for step in steps))
        return Profile(taken[len(taken) // 2], threads=self.threads, peaks=peaks)

    def memory(self) -> MemoryUse:
        """What the model holds in memory now, and why: print it."""
        return self._session.memory()

    def trim(self) -> None:
        """Gives back the memory that is kept for the next run."""
        self._session.trim()

    def close(self) -> None:
        """Lets go of everything: runs in progress end as they would, later ones are refused.

        So does the end of `with load(...) as model`.
        """
        closed: Any = _Closed()
        self._session, self._call = closed, closed.call

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def inputs(self) -> list[Value]:
        """The inputs with name, dtype and shape, in the model's order."""
        return self._session.inputs

    @property
    def outputs(self) -> list[Value]:
        """The outputs with name, dtype and shape, in the model's order."""
        return self._session.outputs

    @property
    def caches(self) -> dict[str, str]:
        """Outputs that continue an input, and may take over its memory: present by past.

        With one buffer for both nothing but the new rows is written. Where a cache grows by rows,
        the arrays are views of a longer buffer:

            model.run(None, {"past": buffer[:, :, :n], ...}, out=[None, buffer[:, :, : n + 1]])
        """
        return self._session.caches

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says about itself: producer, versions, and its own keys."""
        return self._session.metadata

    @property
    def threads(self) -> int:
        """How many threads a run may use, the caller's among them."""
        return self._session.threads

    def plan(self, shapes: Mapping[str, Sequence[int]] | None = None) -> PlanSummary:
        """The memory plan and the work for these input shapes; unknown dimensions count as 1."""
        return self._session.plan_summary({k: list(v) for k, v in (shapes or {}).items()})

    def __copy__(self) -> Model:
        return Model(self._session, self._origin)

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        return self.__copy__()  # models do not change

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self._origin is None:
            raise TypeError("this model does not know where it was loaded from")
        return self._origin.reduce()

    def __repr__(self) -> str:
        if isinstance(self._session, _Closed):
            return "<sardonyx.Model, closed>"
        inputs = ", ".join(f"{value.name}: {value.type}" for value in self.inputs)
        outputs = ", ".join(f"{value.name}: {value.type}" for value in self.outputs)
        return f"<sardonyx.Model ({inputs}) -> ({outputs})>"


def _warn(message: str) -> None:
    import logging  # seldom asked for, and slow to load

    logging.getLogger("sardonyx").warning(message)


def load(
    model: Source,
    *,
    threads: int | ThreadPool | None = None,
    precision: Precision = "float32",
    level: int = 2,
    passes: str = "",
    memory_limit: int | None = None,
    trim_after: float | None = None,
) -> Model:
    """Loads a model from a path, bytes, a file open for reading, or an onnx.ModelProto.

    threads:   at most so many threads a run, or a pool of threads that models share; as many as
               the process may use when None
    precision: "strict" convolves without Winograd's transforms, whose rounding is larger; "fast"
               allows coarser number formats where they are faster
    level:     0 runs the graph as it is, 1 rewrites it exactly, 2 fuses and lays out as well
    passes:    rewrites to leave out: "-fuse_activation"
    memory_limit: bytes that the model may take, for weights (but those read where the file is
               mapped) and for the values of the runs in progress; beyond it, loading or the run
               raises MemoryError
    trim_after: seconds without a run after which the model trims itself; never when None

    A model can be pickled and copied: one loaded by path is loaded again from there, others carry
    their bytes. External data is read from below the directory of a model loaded by path alone.

    >>> load(b"no model")
    Traceback (most recent call last):
    sardonyx.InvalidModel: ...
    """
    if isinstance(threads, int) and threads < 1:
        raise ValueError(f"threads: expected a positive number or None, got {threads}")
    options: dict[str, Any] = {
        "threads": threads,
        "precision": precision,
        "level": level,
        "passes": passes,
        "memory_limit": memory_limit,
        "trim_after": trim_after,
    }
    given = options | {
        "threads": threads or 0,
        "memory_limit": memory_limit or 0,
        "trim_after": trim_after or 0.0,
        "log": _warn,
        "image_codec": decode_image,
        "operators": known_operators(),
    }
    if isinstance(model, str | os.PathLike):
        path = os.fspath(model)
        origin = Origin(os.path.abspath(path), options)
        return Model(Session.load_file(path, **given), origin)
    if isinstance(model, bytes | bytearray | memoryview):
        data = bytes(model)
    elif hasattr(model, "SerializeToString"):
        data = model.SerializeToString()
    elif hasattr(model, "read"):
        data = model.read()
    else:
        kind = type(model).__name__
        raise TypeError(f"expected a path, bytes, a file or an onnx.ModelProto, got {kind}")
    return Model(Session.load_bytes(data, **given), Origin(data, options))


def demo_model() -> Path:
    """The path of the model behind `sardonyx demo`: it reads handwritten digits."""
    return Path(__file__).parent / "demo" / "digits.onnx"
