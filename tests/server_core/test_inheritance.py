"""What a child is relieved of where the process that forks has no descriptor left."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.helpers.worker import ROOT

FORKING = """
import contextlib, json, os, resource, select, socket
from server_core.inheritance import Belongings, withhold

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
resource.setrlimit(resource.RLIMIT_NOFILE, (writing + 10, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
fillers = []
with contextlib.suppress(OSError):
    while True:
        fillers.append(os.dup(writing))
assert fillers
if os.fork() == 0:
    os.close(fillers.pop())
    watched = "tfd:" in open(f"/proc/self/fdinfo/{poller.fileno()}").read()
    files = {
        name: os.readlink(f"/proc/self/fd/{sock.fileno()}")
        for name, sock in {"listener": listener, "accepted": accepted, "pipe": pipe}.items()
    }
    print(json.dumps({**files, "poller": watched}), flush=True)
    os._exit(0)
os.wait()
"""


def test_a_child_has_nothing_of_its_worker_even_where_no_descriptor_is_left() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert ended.stderr == ""
    null = "/dev/null"
    assert json.loads(ended.stdout) == {"listener": null, "accepted": null, "pipe": null, "poller": False}
