"""The same clients against other servers, one after another: two workers, a HUP each second, nothing else.

Every peer is run as its documentation says, at a pinned version, in a virtual environment of its own.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.bench.venv import python_of
from tests.chaos.actions import Outcome
from tests.chaos.daemon import EXPECT_TIMEOUT_S, ActionFailed, Deploy, environment
from tests.chaos.load import Load
from tests.chaos.staging import Claim, Result, nothing_lost
from tests.chaos.tally import Tally
from tests.chaos.wire import Address, Lost, Wire

OURS = "supervisor-d"
HUP_EVERY_S = 1.0
QUIET_S = 5.0
AFTER_S = 5.0
"""The load goes on this long after the last HUP, so that what it started can end."""


PEERS: Mapping[str, str] = {
    OURS: "{python} -P -m supervisor_d run deploy:app --app-dir . --workers 2 --bind 127.0.0.1:{port} --log-level error"
    " --control-socket off",
    "gunicorn -k asgi": "{bin}gunicorn -k asgi -w 2 -b 127.0.0.1:{port} --log-level error deploy:app",
    "uvicorn --workers": "{bin}uvicorn --workers 2 --port {port} --log-level error deploy:app",
    "granian": "{bin}granian --interface asgi --workers 2 --port {port} --log-level error deploy:app",
    "hypercorn": "{bin}hypercorn -w 2 -b 127.0.0.1:{port} --log-level error deploy:app",
}
"""Name of a server -> the command that starts it."""


async def side_by_side(directory: Path | None, seconds: float) -> list[Result]:
    """One result for each server, ours first. What a peer loses is a finding, not a failure of ours."""
    programs = (await asyncio.to_thread(python_of, directory)).parent
    results = []
    for name, command in PEERS.items():
        print(f"  {name} ...", file=sys.stderr, flush=True)
        results.append(await one_peer(name, command, programs, seconds))
    return results


async def one_peer(name: str, command: str, programs: Path, seconds: float) -> Result:
    address = free_address()
    filled = shlex.split(command.format(port=address[1], bin=f"{programs}/", python=sys.executable))
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        deploy = Deploy(Path(directory))
        process = await asyncio.create_subprocess_exec(
            *filled,
            cwd=directory,
            env=environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            await answers(address, process)
            tally = Tally()
            load = Load(address, tally)
            load.start()
            done = await hups(process, tally, seconds)
            await load.stop()
        finally:
            end_group(process.pid)
            await process.wait()
        tally.settle(deploy.has_had())
    shown = tuple(shlex.split(command.format(port="PORT", bin="", python="python")))
    claims = [nothing_lost(tally)] if name == OURS else []
    alive = not any(outcome.error for outcome in done)
    claims += [Claim("the server is there to the end", alive, f"{len(done)} HUPs")] if name == OURS else []
    return Result(f"HUP each second: {name}", shown, tally, done, time.monotonic() - began_at, claims)


async def hups(process: asyncio.subprocess.Process, tally: Tally, seconds: float) -> list[Outcome]:
    """A HUP each second, as long as the server lives; the last outcome has the error if it does not."""
    await asyncio.sleep(QUIET_S)
    tally.during = "HUPs"
    done: list[Outcome] = []
    for _ in range(int(seconds / HUP_EVERY_S)):
        try:
            process.send_signal(signal.SIGHUP)
        except ProcessLookupError:
            error = f"the server is gone (exit status {process.returncode})"
            return [*done, Outcome("HUP", round(tally.elapsed_s(), 3), 0.0, error)]
        done.append(Outcome("HUP", round(tally.elapsed_s(), 3), 0.0))
        await asyncio.sleep(HUP_EVERY_S)
    await asyncio.sleep(AFTER_S)
    return done


def free_address() -> Address:
    """An address that nobody uses now: peers do not tell which port they got."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address: Address = sock.getsockname()
        return address


async def answers(address: Address, process: asyncio.subprocess.Process) -> None:
    """Returns when the server answers; TimeoutError if it never does, ActionFailed if it is gone."""
    async with asyncio.timeout(EXPECT_TIMEOUT_S):
        while True:
            try:
                wire = await Wire.open(address)
                try:
                    wire.write(b"GET /healthz HTTP/1.1\r\nhost: chaos\r\nconnection: close\r\n\r\n")
                    if (await wire.answer()).status == 200:
                        return
                finally:
                    wire.close()
            except Lost:
                if process.returncode is not None:
                    raise ActionFailed(f"the server did not start: exit status {process.returncode}") from None
            await asyncio.sleep(0.05)


def end_group(pid: int) -> None:
    """Some peers leave workers behind when their master dies: the whole group that was started is killed."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # nobody is left
        pass
