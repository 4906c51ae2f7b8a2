"""What a fuzzed model must do: run, or fail in a documented way, and the same everywhere."""

from __future__ import annotations

from typing import Any

import ml_dtypes  # noqa: F401  (registers the types that arrays may have)
import numpy as np
from isolation import Case, Finding

TIMEOUT = 1.0
VALUES = 256 << 20
# A graph may multiply what is rounded on the way. How much is seen where its inputs move by so many
# units in float32's last place, as much as a chain of operators rounds off, so many times.
ROUNDINGS, DRAWS = 8, 16


def feeds_for(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What is given under the names that the model has, and zeros for other inputs."""
    feeds = {}
    for value in model.inputs:
        if value.name in given:
            feeds[value.name] = given[value.name]
        elif value.kind == "tensor" and not value.optional and value.dtype is not None:
            shape = [n if isinstance(n, int) else 2 for n in value.shape or ()]
            if all(0 <= n < 1 << 16 for n in shape) and np.prod(shape, dtype=float) < 1 << 20:
                feeds[value.name] = np.zeros(shape, value.dtype)
    return feeds


def outcome(error: BaseException) -> str:
    """The documented class of an error; a Finding where it has none."""
    import sardonyx as sx

    for kind in (sx.InvalidModel, sx.InvalidArgument, sx.Unsupported, sx.Timeout, MemoryError):
        if isinstance(error, kind):
            return kind.__name__
    raise Finding(f"{type(error).__name__}: {str(error)[:500]}") from error


def loads_and_runs(case: Case, **options: Any) -> str:
    import sardonyx as sx

    data, given, _ = case
    try:
        model = sx.load(data, threads=1, memory_limit=VALUES, **options)
        # Twice: the second run takes what the first one kept.
        for _ in range(2):
            model.run(None, feeds_for(model, given), timeout=TIMEOUT)
    except Exception as error:
        return outcome(error)
    return "ok"


TIERS: dict[str, Any] = {}


def is_the_same_everywhere(case: Case) -> str:
    """Unoptimised and optimised, on one thread and on many, on every instruction set."""
    from tiers import NAMES, Tier

    import sardonyx as sx

    data, feeds, notes = case
    terms = int(notes[-1])

    def run(**options: Any) -> list[Any]:
        return sx.load(data, **options).run(None, feeds)

    largest = _largest_value(data, feeds)
    plain, alone = run(level=0, threads=1), run(threads=1)
    for a, b in zip(alone, run(threads=3), strict=True):
        if np.asarray(a).tobytes() != np.asarray(b).tobytes():
            raise Finding("one thread and three differ")
    outcome, noise = "ok", [0.0] * len(plain)
    for name in ("level 2", *NAMES):
        if name in NAMES and name not in TIERS:
            TIERS[name] = Tier(name)
        results = TIERS[name].run(data, feeds) if name in NAMES else alone
        where = f"level 0 and {name}"
        if isinstance(results, str):
            raise Finding(f"{where}: {results}")
        try:
            _agree(plain, results, terms, largest, noise, where)
        except Finding:
            outcome, noise = "multiplies rounding", _noise(data, feeds, plain)
            _agree(plain, results, terms, largest, noise, where)
    return outcome


def _noise(data: bytes, feeds: dict[str, Any], plain: list[Any]) -> list[float]:
    """How far each output of an unoptimised run moves with its inputs."""
    import sardonyx as sx

    noise = [0.0] * len(plain)
    if b"QuantizeLinear" in data:
        return noise  # whose steps are the same at every level
    model, rng = sx.load(data, level=0, threads=1), np.random.default_rng(0)
    step = np.float32(ROUNDINGS * 2.0**-23)
    for _ in range(DRAWS):
        moved = {
            name: x * (1 + step * rng.choice((-1, 1), x.shape).astype(x.dtype))
            if x.dtype == np.float32
            else x
            for name, x in feeds.items()
        }
        for i, y in enumerate(model.run(None, moved)):
            distance = np.abs(np.subtract(y, plain[i], dtype=np.float64))
            noise[i] = max(noise[i], float(np.nanmax(distance, initial=0)))
    return noise


def _largest_value(data: bytes, feeds: dict[str, Any]) -> float:
    """On the way to the outputs: errors arise at its scale."""
    import onnx

    import sardonyx as sx

    model = onnx.ModelProto.FromString(data)
    for node in model.graph.node:
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name)
    largest = 1.0
    for value in sx.load(model, level=0, threads=1).run(None, feeds):
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
            largest = max(largest, float(np.abs(value, dtype=np.float64).max()))
    return largest


def _agree(
    expected: list[Any],
    actual: list[Any],
    terms: int,
    largest: float,
    noise: list[float],
    where: str,
) -> None:
    """As the differential tests compare, but for the noise."""
    from helpers import compare, tolerance

    for i, (e, a) in enumerate(zip(expected, actual, strict=True)):
        relative, scaled = tolerance(e.dtype, terms)
        try:
            compare(e, a, f"output {i}", limits=(relative, scaled * largest + noise[i]))
        except AssertionError as error:
            raise Finding(f"{where}: {' '.join(str(error).split())[:400]}") from error
