"""Models in forked processes, and at the end of a process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest


def run_script(text: str) -> str:
    """What a Python program prints; it must end well, and soon."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PRELUDE = """
import os, signal, threading
import numpy as np
import sardonyx
from helpers import make_model

a = np.ones((300, 300), np.float32)
model = sardonyx.load(make_model("MatMul", [a, a]), threads=3)

def works():
    (y,) = model.run(None, {"x0": a, "x1": a})
    return bool((y == 300).all())

def child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_model_loaded_before_a_fork_runs_in_parent_and_children() -> None:
    script = """
    assert works()
    codes = [child(works) for _ in range(4)]
    codes.append(child(lambda: works() and child(works) == 0))
    assert works()
    print(codes)
    """
    assert run_script(PRELUDE + textwrap.dedent(script)) == "[0, 0, 0, 0, 0]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forks_while_other_threads_run() -> None:
    script = """
    done = threading.Event()

    def keep_running():
        while not done.is_set():
            assert works()

    threads = [threading.Thread(target=keep_running) for _ in range(3)]
    for thread in threads:
        thread.start()
    codes = {child(works) for _ in range(25)}
    codes.add(child(lambda: model.submit(None, {"x0": a, "x1": a}).result(60) is not None))
    done.set()
    for thread in threads:
        thread.join()
    print(codes)
    """
    assert run_script(PRELUDE + textwrap.dedent(script)) == "{0}\n"


def test_a_process_may_end_with_runs_under_way() -> None:
    script = """
    def keep_running():
        while True:
            works()

    for _ in range(3):
        threading.Thread(target=keep_running, daemon=True).start()
    works()
    print("end")
    """
    for _ in range(5):
        assert run_script(PRELUDE + textwrap.dedent(script)) == "end\n"
