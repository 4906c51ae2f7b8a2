"""The examples of the README and of the docstrings run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import sardonyx
import sardonyx.compat.onnxruntime
import sardonyx.model

README = Path(__file__).parents[2] / "README.md"
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


MODULES = [sardonyx, sardonyx.model, sardonyx.compat.onnxruntime]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_docstrings(module: object) -> None:
    results = doctest.testmod(module, optionflags=FLAGS)
    assert results.attempted > 0
    assert results.failed == 0


def test_readme(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        if ">>>" not in block:
            exec(compile(block, str(README), "exec"), names)
            continue
        test = doctest.DocTestParser().get_doctest(block, names, "README", str(README), 0)
        assert doctest.DocTestRunner(optionflags=FLAGS).run(test).failed == 0
