"""`hello` in a process whose other thread computes all the time, as a synchronous endpoint in a thread pool may."""

from __future__ import annotations

import threading

from tests.bench.apps import hello

__all__ = ["hello"]


def compute() -> None:
    while True:
        sum(range(1000))


threading.Thread(target=compute, name="computes", daemon=True).start()
