"""The soak: three daemons for minutes, under load and abuse, and what they hold before and after.

One is reloaded again and again, and one has its workers killed, each after half a minute of life, so that no back-off
makes them fewer: nothing may grow in their masters. The third, with TLS, is left alone: nothing may grow in its
workers, which live as long as it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.abuse import PLAIN, SECURE, Abuser
from tests.chaos.daemon import ActionFailed, Daemon, Deploy
from tests.chaos.growth import MASTER_MIB, TEMPLATE_DESCRIPTORS, WORKER_MIB, Holding, at_rest, grown
from tests.chaos.load import MIX, Load
from tests.chaos.owned import stop_and_list
from tests.chaos.staging import Claim, Plan, Result, nothing_lost
from tests.chaos.tally import Tally
from tests.helpers.certificates import authority

WARM_S: Final = 20.0
"""Under the same load before anything is measured: imports, buffers and pools are there then."""
LIGHT: Final = {kind: max(1, count // 6) for kind, count in MIX.items()}
"""All kinds, few of each: what is left of the machine starts workers."""
ABUSERS: Final = 3
KILLED_WORKERS: Final = 32
"""So many that each has been ready for STEADY_S (policy/restart.py) when its turn has come again."""


@dataclass(slots=True)
class Tended:
    """One daemon of the soak, its clients, and what its processes held."""

    name: str
    options: tuple[str, ...]
    daemon: Daemon
    tally: Tally
    abusers: list[Abuser]
    before: dict[str, Holding] = field(default_factory=dict)
    after: dict[str, Holding] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def loaded(self, client: ssl.SSLContext | None) -> AsyncIterator[None]:
        """Clients of all kinds; those of TLS are a loop of their own."""
        load = Load(self.daemon.address, self.tally, mix=LIGHT)
        tasks = [asyncio.create_task(abuser.run()) for abuser in self.abusers]
        if client is not None:
            tasks += [asyncio.create_task(self._ask_securely(client)) for _ in range(ABUSERS)]
        else:
            load.start()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await load.stop()
        for each in ended:
            if isinstance(each, Exception):
                raise each

    async def _ask_securely(self, client: ssl.SSLContext) -> None:
        """Kept connections, twenty requests each."""
        while True:
            reader, writer = await asyncio.open_connection(
                *self.daemon.address, ssl=client, server_hostname="localhost"
            )
            with contextlib.closing(writer):
                for _ in range(20):
                    writer.write(b"GET /hello?n=tls HTTP/1.1\r\nhost: localhost\r\n\r\n")
                    head = await reader.readuntil(b"\r\n\r\n")
                    if not head.startswith(b"HTTP/1.1 200 ") or await reader.readexactly(10) != b"hello tls\n":
                        raise ActionFailed(f"a wrong answer by TLS: {head!r}")
                    self.tally.right["TLS GET"] += 1
                    await asyncio.sleep(0.02)

    async def hold(self, *, workers: bool) -> dict[str, Holding]:
        """What each process holds now that no client is left."""
        pids = {"master": self.daemon.process.pid}
        if workers:
            pids |= {f"worker {slot}": pid for pid, slot in (await self.daemon.slots()).items()}
        return {name: await at_rest(pid, self.before.get(name)) for name, pid in pids.items()}

    def claims(self) -> list[Claim]:
        made = []
        for name, before in self.before.items():
            after = self.after[name]
            limit = MASTER_MIB if name == "master" else WORKER_MIB
            more = TEMPLATE_DESCRIPTORS if name == "master" else 0
            text = f"{name}: no thread, at most {more} descriptors and at most {limit:g} MiB more"
            made.append(Claim(text, not grown(before, after, limit, more), f"{before}; after: {after}"))
        return made


@contextlib.asynccontextmanager
async def tended(name: str, *options: str, client: ssl.SSLContext | None) -> AsyncIterator[Tended]:
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        daemon = await Daemon.start(Deploy(Path(directory)), *options)
        abuses = SECURE if client is not None else PLAIN
        abusers = [Abuser(daemon.address, abuses, client, seed) for seed in range(ABUSERS)]
        try:
            yield Tended(name, options, daemon, Tally(), abusers)
            await daemon.stop()
        finally:
            await daemon.end()


async def soak(plan: Plan) -> list[Result]:
    """All three for as long as the plan says."""
    began_at = time.monotonic()
    pair, client = authority().pair("localhost"), authority().client()
    options = plan.options("--drain-spread", "0.5", "--graceful-timeout", "20")
    many = ("--workers", str(KILLED_WORKERS), "--max-workers", str(KILLED_WORKERS))
    secure = ("--workers", "2", "--ssl-certfile", pair.certificate, "--ssl-keyfile", pair.key)
    async with (
        tended("reloaded", *options, "--workers", "2", client=None) as reloaded,
        tended("killed", *options, *many, client=None) as killed,
        tended("left alone", *secure, client=client) as calm,
    ):
        all_three = (reloaded, killed, calm)
        async with reloaded.loaded(None), killed.loaded(None), calm.loaded(client):
            await asyncio.sleep(WARM_S)
        for each in all_three:
            each.before = await each.hold(workers=each is calm)
        reloaded.tally.during = killed.tally.during = "soak"
        end_at = time.monotonic() + plan.soak_s
        async with reloaded.loaded(None), killed.loaded(None), calm.loaded(client):
            reloads, crashes = await asyncio.gather(reload(reloaded, plan, end_at), crash(killed, plan, end_at))
            await reloaded.daemon.settle()
        for each in all_three:
            each.after = await each.hold(workers=each is calm)
    lasted_s = time.monotonic() - began_at
    abused = sum(abuser.done for each in all_three for abuser in each.abusers)
    text = f"{plan.soak_s:g} s, {plan.soak_reloads} reloads, {plan.soak_crashes} crashes"
    measured = f"{lasted_s:.0f} s, {reloads}, {crashes}; {abused:,} clients that aborted or sent garbage"
    met = reloads >= plan.soak_reloads and crashes >= plan.soak_crashes
    results = []
    for each in all_three:
        result = Result(f"soak, {each.name}", each.options, each.tally, [], lasted_s)
        answered = each.tally.right.total()
        result.claims = [
            Claim(text, met, measured),
            nothing_lost(each.tally),
            Claim("requests are answered", answered > 0, f"{answered:,}"),
            *each.claims(),
        ]
        results.append(result)
    return results


async def reload(tended: Tended, plan: Plan, end_at: float) -> int:
    """One reload after the other until then, and until there were enough; how many there were."""
    reloads = 0
    while time.monotonic() < end_at or reloads < plan.soak_reloads:
        mark = tended.daemon.mark()
        tended.daemon.signal(signal.SIGHUP)
        await tended.daemon.expect("reload.committed", after=mark, unless=("reload.rolled_back",))
        reloads += 1
    return reloads


async def crash(tended: Tended, plan: Plan, end_at: float) -> int:
    """SIGKILL to the worker that has lived longest, evenly until then; how many there were.

    What was in flight there is counted apart (actions.crash).
    """
    every_s, crashes, port = (end_at - time.monotonic()) / plan.soak_crashes, 0, tended.daemon.address[1]
    living = deque(await tended.daemon.slots())
    while crashes < plan.soak_crashes:
        mark, since_s, pid = tended.daemon.mark(), tended.tally.elapsed_s(), living.popleft()
        tended.tally.doom(await asyncio.to_thread(stop_and_list, pid, port), since_s=since_s)
        os.kill(pid, signal.SIGKILL)
        await tended.daemon.expect("worker.crashed", after=mark, pid=pid)
        living.append(int(str((await tended.daemon.expect("worker.ready", after=mark))["pid"])))
        crashes += 1
        await asyncio.sleep(max(0.0, end_at - every_s * (plan.soak_crashes - crashes) - time.monotonic()))
    return crashes
