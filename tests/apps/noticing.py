"""An application that says, through the gate, by which ways it hears that its worker drains."""

import asyncio
import copy
import json
import os
import signal
import sys
import types

from tests.apps.gated import answer, tell

NAME = "supervisor_d.draining"
WAY = os.environ["WAY"]


def hear(number, _frame):
    tell(f"handler {number}")


def quit_at_once(number, _frame):
    sys.exit(1)


def fail(number, _frame):
    raise LookupError("no pidfile")


if WAY == "import":
    signal.signal(signal.SIGTERM, hear)
    signal.signal(signal.SIGINT, hear)
if WAY == "import-int":
    signal.signal(signal.SIGINT, hear)
if WAY == "exit":
    signal.signal(signal.SIGTERM, quit_at_once)
if WAY == "fail":
    signal.signal(signal.SIGTERM, fail)
if WAY == "uvicorn":

    class Server:
        def handle_exit(self, number, _frame):
            self._captured_signals.append(number)
            self.should_exit = True

    Server.handle_exit.__module__ = "uvicorn.server"
    uvicorn = sys.modules["uvicorn.server"] = types.ModuleType("uvicorn.server")
    uvicorn.Server = Server
    original = Server.handle_exit

    def patched(*arguments):
        tell("uvicorn")
        original(*arguments)

    Server.handle_exit = patched


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if WAY == "start-up":
            signal.signal(signal.SIGTERM, hear)
        if WAY == "loop":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, tell, "loop")
        scope["state"]["same"] = scope["state"][NAME] is scope["extensions"][NAME]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    draining = scope["extensions"][NAME]
    assert scope["state"]["same"]
    assert scope["state"][NAME] is draining
    assert copy.deepcopy(scope["extensions"])[NAME] is draining
    assert json.dumps(draining) == "{}"
    if scope["path"] == "/late":
        signal.signal(signal.SIGTERM, hear)
    if scope["path"] in ("/installs", "/removes"):
        if scope["path"] == "/installs":
            signal.signal(signal.SIGTERM, hear)
        else:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, tell, "loop")
            loop.remove_signal_handler(signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        while not hasattr(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), "should_exit"):
            await asyncio.sleep(0.01)
        wakes_up = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakes_up, warn_on_full_buffer=False)
        await answer(send, b"taken back" if wakes_up != -1 else b"taken back, without a wake-up descriptor")
        return
    assert not draining.is_set()
    owner = signal.getsignal(signal.SIGTERM)
    tell("waiting")
    await draining
    assert draining.is_set()
    await draining.wait()
    said = getattr(getattr(owner, "__self__", None), "should_exit", None)
    await answer(send, f"draining {said}".encode())
