"""Applications whose first line patches the standard library for green threads, as gevent and eventlet do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.helpers.daemon import PID_APP, running

PATCHES: Final = {
    "as gevent": """
import _thread, os, select, threading

def replaced(*args, **kwargs):
    raise AssertionError("there is no hub in this thread")

del select.epoll
select.poll = os.fork = os.waitpid = replaced
_thread.start_new_thread = threading._start_new_thread = replaced
threading.get_ident = lambda: 1
threading.main_thread()._ident = 1
del threading.Thread.native_id
for lock in ("Lock", "RLock", "_allocate_lock"):
    setattr(threading, lock, replaced)
""",
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
HANGING: Final = """
async def app(scope, receive, send, answer=app):
    while scope.get("path") == "/hang":
        pass
    await answer(scope, receive, send)
"""


@pytest.fixture(params=sorted(PATCHES))
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param in ("gevent", "eventlet"):
        pytest.importorskip(request.param)
    (tmp_path / "app.py").write_text(PATCHES[request.param] + "\n" + PID_APP + HANGING)
    return tmp_path


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("flags", [["--no-template"], [], ["--preload"]], ids=["none", "template", "preload"])
def test_a_patched_application_boots_and_serves(directory: Path, flags: list[str], loop: str) -> None:
    with running("--workers", "2", "--loop", loop, *flags, directory=directory) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        assert daemon.get()[0] == 200
        assert len(daemon.heard.named("zygote.refused")) == ("--preload" in flags)
        assert daemon.ctl("stop").returncode == 0
        assert daemon.wait() == 0


def test_a_patched_application_that_hangs_is_found_out(directory: Path) -> None:
    with running("--timeout", "1", directory=directory) as daemon:
        daemon.heard.expect("worker.ready")
        with pytest.raises(OSError):
            daemon.get("/hang")
        daemon.heard.expect("worker.hung", kind="loop_blocked")
        daemon.heard.expect("worker.ready", times=2)
