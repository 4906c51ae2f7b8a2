"""Runs in the background: futures that end the run when they are cancelled."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sardonyx._core import CancelFlag

_executor: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def _forget_threads() -> None:
    """A forked process has none of its parent's threads."""
    global _executor, _lock
    _executor, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


class Run(Future[list[Any]]):
    """A run on its way. `cancel` ends it within milliseconds wherever it is.

    A run that had begun then raises `sardonyx.Cancelled` from `result`, one that had not
    `concurrent.futures.CancelledError`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._token = CancelFlag()

    def cancel(self) -> bool:
        """Ends the run; False where it is done already."""
        self._token.cancel()
        return super().cancel() or not self.done()

    def _work(self, work: Callable[[CancelFlag], list[Any]]) -> None:
        if not self.set_running_or_notify_cancel():
            return
        try:
            self.set_result(work(self._token))
        except BaseException as error:
            self.set_exception(error)


def start(work: Callable[[CancelFlag], list[Any]]) -> Run:
    """Calls `work` with the future's token on one of the threads kept for such runs."""
    global _executor
    run = Run()
    with _lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(thread_name_prefix="sardonyx")
    _executor.submit(run._work, work)
    return run
