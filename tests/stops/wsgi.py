"""WSGI frameworks under reloads and recycling, with clients that ask without a pause; and what of it was lost.

A client keeps its connection, and opens another one when the server has said `Connection: close`. A request is lost if
it has no answer, or another one than 200 with what was asked for: hello, a form, a body of 64 KiB, a stream of parts.
"""

from __future__ import annotations

import http.client
import importlib.util
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.frameworks.wsgi_apps import PARTS
from tests.helpers.daemon import DEADLINE_S, Daemon, running

FRAMEWORKS: Final = ("flask", "django", "bottle", "pyramid")
CLIENTS: Final = 6
WAYS: Final = (("--threads", "4"), ("--threads", "1"), ("--threads", "4", "--preload"))
MAX_REQUESTS: Final = 500
BODY: Final = bytes(range(256)) * 256
STREAM: Final = b"".join(b"%d\n" % number for number in range(PARTS))

ASKED: Final = (
    ("GET", "/hello/you", None, b"hello you"),
    ("POST", "/form", b"text=some+words", b"some words"),
    ("POST", "/raw", BODY, BODY),
    ("GET", "/stream", None, STREAM),
)


@dataclass
class Asking:
    """What the clients of one run have seen."""

    asked: int = 0
    lost: list[str] = field(default_factory=list)
    is_over: bool = False


def there() -> Iterator[str]:
    """The frameworks that can be imported."""
    return (name for name in FRAMEWORKS if importlib.util.find_spec(name) is not None)


def ask_on(address: tuple[str, int], seen: Asking, lock: threading.Lock) -> None:
    """One client's life."""
    client = http.client.HTTPConnection(*address, timeout=DEADLINE_S)
    for method, path, body, wanted in itertools.cycle(ASKED):
        if seen.is_over:
            break
        fields = {"Content-Type": "application/x-www-form-urlencoded"} if path == "/form" else {}
        try:
            client.request(method, path, body, fields)
            response = client.getresponse()
            got = response.read()
            wrong = "" if (response.status, got) == (200, wanted) else f"{response.status}, {len(got)} bytes"
        except (OSError, http.client.HTTPException) as error:
            wrong = repr(error)
            client.close()
        with lock:
            seen.asked += 1
            if wrong:
                seen.lost.append(f"{method} {path}: {wrong}")
    client.close()


def reload_under_load(daemon: Daemon, reloads: int) -> Asking:
    """So many reloads one after the other, with the clients asking."""
    seen, lock, failed = Asking(), threading.Lock(), 0
    clients = [threading.Thread(target=ask_on, args=(daemon.address(), seen, lock)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for number in range(1, reloads + 1):
            done = daemon.ctl("reload")
            if done.returncode == 0:  # read: a full pipe of standard error would stop a boot
                daemon.heard.expect("reload.committed", times=number - failed)
            else:
                failed += 1
                seen.lost.append(f"ctl reload: exit code {done.returncode}: {done.stderr.strip()}")
    finally:
        seen.is_over = True
        for client in clients:
            client.join()
    return seen


def table(reloads: int) -> Iterator[tuple[str, Asking]]:
    """(what was run, what came of it) for each framework and way."""
    for name, way in itertools.product(there(), WAYS):
        flags = ("--workers", "2", "--max-requests", str(MAX_REQUESTS), "--factory", *way)
        with running(*flags, app=f"tests.frameworks.wsgi_apps:{name}") as daemon:
            daemon.heard.expect("worker.ready", times=2)
            seen = reload_under_load(daemon, reloads)
            crashed = [str(event) for event in daemon.heard.named("worker.crashed")]
            seen.lost += crashed
        yield f"{name} {' '.join(way)}", seen
