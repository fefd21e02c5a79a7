"""What a child is relieved of where the process that forks has no descriptor left."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.helpers.worker import ROOT

FORKING = """
import contextlib, json, os, resource, select, socket, sys
from server_core.runtime.forked_child import Belongings, withhold

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
accepted, _ = listener.accept()
pipe = socket.socketpair()[0]
poller = select.epoll()
belongings = Belongings(print, [listener.fileno()], [pipe.fileno()])
belongings.add_poller(poller)
withhold(belongings)
poller.register(listener)
reading, writing = os.pipe()
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
limit = writing + 10 if sys.argv[1] == "full" else 3
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
fillers = []
with contextlib.suppress(OSError):
    while True:
        fillers.append(os.dup(writing))
assert bool(fillers) == (sys.argv[1] == "full")
if os.fork() == 0:
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (limit, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    watched = "tfd:" in open(f"/proc/self/fdinfo/{poller.fileno()}").read()
    files = {
        name: os.readlink(f"/proc/self/fd/{sock.fileno()}")
        for name, sock in {"listener": listener, "accepted": accepted, "pipe": pipe}.items()
    }
    print(json.dumps({**files, "poller": watched}), flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize("which", ["full", "lowered"])
def test_a_child_has_nothing_of_its_worker_even_where_no_descriptor_is_left(which: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORKING, which], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert ended.stderr == ""
    null = "/dev/null"
    assert json.loads(ended.stdout) == {"listener": null, "accepted": null, "pipe": null, "poller": False}
