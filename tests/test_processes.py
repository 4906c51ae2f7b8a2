"""Models as guests of a process: forks, pickles, pools of threads, idleness, memory, the end."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import numpy as np
import pytest
from helpers import make_model

import sardonyx
from sanitized import SANITIZER
from sardonyx.host.origin import LARGEST_KEPT, Origin


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
@pytest.mark.skipif(
    SANITIZER == "thread",
    reason="it takes threads of a child for those of the parent that had their stacks, and ends",
)
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


@pytest.mark.parametrize(
    "work",
    [
        "works()",
        "model.run(None, {'x0': a.T, 'x1': a[::-1]})",
        "model.run(None, {'x0': items, 'x1': items})",
        "model.run(None, {'x0': a, 'x1': a}, out={'y0': np.empty((300, 600), np.float32)[:, ::2]})",
        "sardonyx.load(proto, threads=2, log=str)",
        "works(), model.trim()",
        "twice(a)",
    ],
    ids=["run", "strided", "lists", "out", "load", "trim", "operator"],
)
def test_a_process_may_end_with_calls_under_way(work: str) -> None:
    script = f"""
    items = a.tolist()
    proto = make_model("MatMul", [a, a])
    sardonyx.op("test.end", "Twice")(lambda x: x + x)
    twice = sardonyx.load(make_model("Twice", [a], domain="test.end"))

    def keep_running():
        while True:
            {work}

    for _ in range(3):
        threading.Thread(target=keep_running, daemon=True).start()
    works()
    print("end")
    """
    for _ in range(3):
        assert run_script(PRELUDE + textwrap.dedent(script)) == "end\n"


def test_models_run_until_the_very_end_of_a_process() -> None:
    first = """
    import atexit, threading

    @atexit.register
    def last():
        print(works())
        thread = threading.Thread(target=lambda: print(works()))
        thread.start()
        thread.join()
    """
    assert run_script(textwrap.dedent(first) + PRELUDE) == "True\nTrue\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_need_not_wait_for_calls_of_its_parent() -> None:
    script = """
    import sys, time
    sardonyx.op("test.end", "Wait", infer=lambda x, **_: x)(lambda x: (time.sleep(0.5), x)[1])
    wait = sardonyx.load(make_model("Wait", [a], domain="test.end"))
    thread = threading.Thread(target=lambda: [wait(a) for _ in range(4)])
    thread.start()
    time.sleep(0.2)
    start = time.monotonic()
    if os.fork() == 0:
        sys.exit()
    os.wait()
    print(time.monotonic() - start < 1.5)
    thread.join()
    """
    assert run_script(PRELUDE + textwrap.dedent(script)) == "True\n"


def test_models_can_be_pickled_and_copied(tmp_path: Path) -> None:
    x = np.zeros((2, 1, 8, 8), np.float32)
    path = tmp_path / "model.onnx"
    path.write_bytes(sardonyx.demo_model().read_bytes())
    pool = sardonyx.ThreadPool(2)
    for source in (path, path.read_bytes()):
        for threads in (1, pool):
            model = sardonyx.load(source, threads=threads, level=1)
            expected = model(x)
            same = [copy.copy(model), copy.deepcopy([model])[0], pickle.loads(pickle.dumps(model))]
            for each in same:
                np.testing.assert_array_equal(each(x), expected)
                assert each.threads == model.threads
    large = Origin(b"\0" * (LARGEST_KEPT + 1), {})
    with pytest.raises(TypeError, match="only if they were loaded by path"):
        large.reduce()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_models_go_to_workers(method: str) -> None:
    x = np.zeros((2, 1, 8, 8), np.float32)
    model = sardonyx.load(sardonyx.demo_model(), threads=2)
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.map(model, [x, x, x])
    for result in results:
        np.testing.assert_array_equal(result, model(x))


def test_models_share_a_pool() -> None:
    pool = sardonyx.ThreadPool(3)
    models = [sardonyx.load(sardonyx.demo_model(), threads=pool) for _ in range(3)]
    assert [model.threads for model in models] == [3, 3, 3]
    for model in models:
        model(np.zeros((64, 1, 8, 8), np.float32))
    assert pool.threads == 3
    with pytest.raises(sardonyx.InvalidArgument, match="expected 1 to 1024"):
        sardonyx.ThreadPool(0)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_threads_follow_the_affinity_mask() -> None:
    script = """
    import os
    import sardonyx
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_of_them)})
    print(sardonyx.load(sardonyx.demo_model()).threads)
    """
    assert run_script(script) == "1\n"


def test_no_work_is_done_after_a_run() -> None:
    script = """
    for _ in range(20):
        works()
    import time
    time.sleep(0.1)
    before = time.process_time()
    time.sleep(0.5)
    print(time.process_time() - before < 0.02)
    """
    assert run_script(PRELUDE + textwrap.dedent(script)) == "True\n"


@pytest.mark.skipif(SANITIZER == "address", reason="it keeps what is freed for a while")
def test_memory_stays_flat_over_changing_shapes() -> None:
    script = """
    import resource
    model = sardonyx.load(make_model("MatMul", [a, a], symbolic=True), threads=2)
    rng = np.random.default_rng(0)

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def runs(count):
        for _ in range(count):
            m, k, n = rng.integers(1, 700, 3)
            model.run(None, {"x0": np.ones((m, k), np.float32), "x1": np.ones((k, n), np.float32)})

    runs(100)
    before = resident()
    runs(300)
    print(resident() - before < 8 << 20)
    """
    assert run_script(PRELUDE + textwrap.dedent(script)) == "True\n"


def test_runs_keep_to_their_memory_limit() -> None:
    a = np.ones((500, 500), np.float32)
    model = sardonyx.load(make_model("MatMul", [a, a], symbolic=True), memory_limit=4 << 20)
    wide = np.ones((500, 2000), np.float32)
    for _ in range(10):
        assert model.run(None, {"x0": a, "x1": a})[0][0, 0] == 500
        with pytest.raises(
            MemoryError, match=r"memory limit of 4194304; .*4000000 .*'node' \(MatMul"
        ):
            model.run(None, {"x0": a, "x1": wide})
    ones = np.ones(10**6, np.float32)
    sparse = np.eye(1, 10**6, dtype=np.float32)[0]
    model = sardonyx.load(make_model("NonZero", [ones]), memory_limit=4 << 20)
    assert model(sparse).shape == (1, 1)
    for each in (model, pickle.loads(pickle.dumps(model))):
        with pytest.raises(MemoryError, match=r"'node' \(NonZero\).*8000000 bytes.*4194304"):
            each(ones)


def test_subinterpreters_are_refused() -> None:
    script = """
    import warnings
    warnings.simplefilter("ignore")
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    text = (
        "try:\\n    import sardonyx\\n    print('loaded', flush=True)\\n"
        "except ImportError as error:\\n    print(error, flush=True)"
    )
    import sardonyx
    interpreters.run_string(interpreters.create(), text)
    """
    expected = "sardonyx runs in the main interpreter only, not in subinterpreters\n"
    assert run_script(script) == expected


def test_importing_loads_little_beyond_numpy() -> None:
    script = """
    import sys
    import numpy
    before = set(sys.modules)
    import sardonyx
    print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))
    """
    loaded = set(run_script(script).split())
    assert "sardonyx" in loaded
    assert not loaded & {"PIL", "asyncio", "concurrent", "json", "logging", "ml_dtypes"}


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python is built with a GIL"
)
def test_free_threaded_python_stays_free_threaded() -> None:
    script = """
    import sys
    import numpy as np
    import sardonyx
    from helpers import in_threads, make_model
    x = np.float32([1, -2, 3])
    model = sardonyx.load(make_model("Relu", [x]))
    def work(_):
        for _ in range(200):
            np.testing.assert_array_equal(model(x), [1, 0, 3])
            np.testing.assert_array_equal(model.run(None, {"x0": x})[0], [1, 0, 3])
    in_threads(work, 8)
    print(sys._is_gil_enabled())
    """
    assert run_script(script) == "False\n"
