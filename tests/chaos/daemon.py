"""The daemon under test: start it, hear its events, steer it, and end everything that was started.

Subscribe, act, expect: `mark = daemon.mark()`, act, `await daemon.expect("reload.committed", after=mark)`. A wait
blocks until the fact comes; one generous deadline is paid only on failure, which tells the last events.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.wire import Address

ROOT = Path(__file__).resolve().parents[2]
EXPECT_TIMEOUT_S = 60.0

TURNS = ("worker.parked", "worker.resumed", "worker.draining", "worker.exited", "worker.crashed")
"""Events after which a worker is, or is no longer, on its way out."""

Event = dict[str, object]


class ActionFailed(AssertionError):
    """The server under test did not do what the action asked of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a `ctl` command ended."""

    exit_code: int
    output: str
    errors: str


class Deploy:
    """What is deployed: one small module in a directory of its own, rewritten by every deployment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._journal = directory / "messages"
        self.sound()

    def write(self, *lines: str) -> None:
        """The module in one step, so that no server ever imports half of it."""
        draft = self.directory / "deploy.py.new"
        draft.write_text("\n".join(lines) + "\n")
        draft.replace(self.directory / "deploy.py")

    def sound(self, *, label: str = "sound", startup_s: float = 0.0) -> None:
        self._call(f"label={label!r}, startup_s={startup_s!r}")

    def broken_import(self) -> None:
        self.write("import a_module_that_was_not_deployed")

    def answering_500(self) -> None:
        self._call("label='faulty', status=500")

    def hanging_start(self) -> None:
        self._call("label='hanging', startup_s=3600.0")

    def _call(self, arguments: str) -> None:
        journal = f"journal={str(self._journal)!r}"
        self.write("from tests.apps.chaos_app import application", f"app = application({arguments}, {journal})")

    def has_had(self) -> set[str]:
        """The WebSocket messages that any process of the application was given."""
        return set(self._journal.read_text().splitlines()) if self._journal.exists() else set()


def environment() -> dict[str, str]:
    """The environment of every server under test: it can import this checkout, and leaves no bytecode behind.

    Bytecode is told from its source by time and size: a deployment within the same second could be missed.
    """
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


class Daemon:
    """One running daemon; made by `start`, ended by `stop`, or killed with its process group by `end`."""

    def __init__(self, process: asyncio.subprocess.Process, runner: asyncio.subprocess.Process, control: str) -> None:
        self.process = process
        self._runner = runner
        self.control = control
        self.address: Address = ("127.0.0.1", 0)
        self.events: list[Event] = []
        self.noise: list[str] = []
        self._heard = asyncio.Condition()
        self._reader = asyncio.create_task(self._listen())

    @staticmethod
    async def start(deploy: Deploy, *options: str, port: int = 0) -> Daemon:
        """A daemon whose wanted number of workers is ready, on this port or a free one."""
        control = str(deploy.directory / "control.sock")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "supervisor_d", "run", "deploy:app", "--app-dir", str(deploy.directory)),
            *(
                "--bind",
                f"127.0.0.1:{port}",
                "--control-socket",
                control,
                "--log-format",
                "json",
                "--log-level",
                "debug",
            ),
            *options,
            env=environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=True,
        )
        runner = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tests.chaos.ctl_runner"),
            env=environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=True,
        )
        daemon = Daemon(process, runner, control)
        try:
            bound = await daemon.expect("socket.bound")
            daemon.address = ("127.0.0.1", int(str(bound["address"]).rpartition(":")[2]))
            started = await daemon.expect("master.started")
            await daemon.expect("worker.ready", times=int(str(started["workers"])))
        except BaseException:
            await daemon.end()
            raise
        return daemon

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self._heard:
                try:
                    event = json.loads(line)
                except ValueError:
                    event = None
                if isinstance(event, dict) and "event" in event:
                    self.events.append(event)
                else:
                    self.noise.append(line.decode("utf-8", "replace"))
                self._heard.notify_all()
        async with self._heard:
            self._heard.notify_all()

    def mark(self) -> int:
        """A place in the stream of events: what is heard later is `after` it."""
        return len(self.events)

    def heard(self, name: str, *, after: int = 0, **fields: object) -> list[Event]:
        wanted = {"event": name, **fields}
        return [event for event in self.events[after:] if wanted.items() <= event.items()]

    async def expect(
        self, name: str, *, after: int = 0, times: int = 1, unless: Sequence[str] = (), **fields: object
    ) -> Event:
        """The last of so many such events; ActionFailed if one named in `unless` comes first."""
        try:
            async with asyncio.timeout(EXPECT_TIMEOUT_S), self._heard:
                while len(found := self.heard(name, after=after, **fields)) < times:
                    for forbidden in unless:
                        if self.heard(forbidden, after=after):
                            raise ActionFailed(f"{forbidden} instead of {name}\n{self.transcript(after)}")
                    if self._reader.done():
                        raise ActionFailed(f"the daemon is gone; {name} never came\n{self.transcript(after)}")
                    await self._heard.wait()
                return found[times - 1]
        except TimeoutError:
            raise ActionFailed(f"no {name} in {EXPECT_TIMEOUT_S:g} s\n{self.transcript(after)}") from None

    def transcript(self, after: int = 0) -> str:
        """The last events and whatever else was written to standard error, for whoever has to understand a failure."""
        return "\n".join([*map(json.dumps, self.events[after:][-40:]), *self.noise[-40:]])

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ctl(self, *arguments: str) -> Verdict:
        """One command of `ctl`, run to its end; see ctl_runner.py for why not from here."""
        assert self._runner.stdin is not None
        assert self._runner.stdout is not None
        self._runner.stdin.write(json.dumps(["--socket", self.control, *arguments]).encode() + b"\n")
        async with asyncio.timeout(EXPECT_TIMEOUT_S):
            exit_code, output, errors = json.loads(await self._runner.stdout.readline())
        return Verdict(exit_code, output, errors)

    async def slots(self) -> dict[int, int]:
        """Slot by pid of every worker that is ready."""
        verdict = await self.ctl("status", "--json")
        if verdict.exit_code != 0:
            raise ActionFailed(f"ctl status: {verdict}")
        slots = json.loads(verdict.output)["slots"]
        return {slot["pid"]: slot["slot"] for slot in slots if slot["state"] == "ready"}

    async def settle(self) -> None:
        """Returns when no worker is parked or draining any more: what was begun is over."""
        try:
            async with asyncio.timeout(EXPECT_TIMEOUT_S), self._heard:
                while self._leaving():
                    await self._heard.wait()
        except TimeoutError:
            raise ActionFailed(f"still leaving: {self._leaving()}\n{self.transcript()}") from None

    def _leaving(self) -> list[object]:
        last = {event["pid"]: event["event"] for event in self.events if event["event"] in TURNS}
        return [pid for pid, turn in last.items() if turn in ("worker.parked", "worker.draining")]

    async def stop(self, *, within_s: float = EXPECT_TIMEOUT_S) -> int:
        """TERM, and the exit code; whatever is left after the deadline is killed."""
        try:
            if self.process.returncode is None:
                self.signal(signal.SIGTERM)
            async with asyncio.timeout(within_s):
                code = await self.process.wait()
                await self._reader
        finally:
            await self.end()
        return code

    async def ended(self) -> None:
        """Returns when the last process that was started here has closed its standard error; nothing is told to end."""
        try:
            async with asyncio.timeout(EXPECT_TIMEOUT_S):
                await asyncio.shield(self._reader)
        except TimeoutError:
            raise ActionFailed(f"somebody is still there\n{self.transcript()}") from None

    async def end(self) -> None:
        """Nothing that was started here is left: each leads a process group of its own, and the groups are killed."""
        for leader in (self.process, self._runner):
            try:
                os.killpg(leader.pid, signal.SIGKILL)
            except ProcessLookupError:  # all gone already, as after a proper stop
                pass
            await leader.communicate() if leader is self._runner else await leader.wait()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
