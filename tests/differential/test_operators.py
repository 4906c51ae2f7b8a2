"""Random single nodes: what we compute, ONNX Runtime or the standard's evaluator computes too.

Each of them departs from the standard somewhere, seldom in the same place."""

from __future__ import annotations

from typing import Any

import numpy as np
import operators  # noqa: F401 - fills CASES
import pytest
from draw import CASES, Case, draw_case
from helpers import compare, make_model

import sardonyx

SEEDS = range(8)
OPSETS = {"CumProd": 26, "Swish": 24, "RMSNormalization": 23, "GlobalLpPool": 2}
OPSET = 22


def by_evaluator(model: Any, feeds: dict[str, np.ndarray]) -> list[Any]:
    from onnx.reference import ReferenceEvaluator

    with np.errstate(all="ignore"):
        return list(ReferenceEvaluator(model).run(None, feeds))


def by_onnxruntime(model: Any, feeds: dict[str, np.ndarray]) -> list[Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return list(session.run(None, feeds))


def difference(expected: list[Any], actual: list[Any], case: Case) -> str | None:
    try:
        for i, (e, a) in enumerate(zip(expected, actual, strict=True)):
            compare(e, a, f"output {i}", length=case.terms)
    except AssertionError as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("op", CASES)
def test_operator(op: str) -> None:
    judged = 0
    for seed in SEEDS:
        case = draw_case(op, seed)
        inputs = [None if x is None else np.asarray(x) for x in case.inputs]
        feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
        model = make_model(
            op,
            inputs,
            outputs=case.outputs,
            attrs=case.attrs,
            opset=OPSETS.get(op, OPSET),
            symbolic=bool(seed % 2),
        )
        actual = sardonyx.load(model).run(None, feeds)
        differences = []
        for oracle in (by_onnxruntime, by_evaluator):
            try:
                expected = oracle(model, feeds)
            except Exception:  # what it cannot run, it cannot judge
                continue
            judged += 1
            found = difference(expected, actual, case)
            if found is None:
                differences.clear()
                break
            differences.append(f"{oracle.__name__}: {found}")
        assert not differences, f"seed {seed}: {case}\n" + "\n".join(differences)
    assert judged
