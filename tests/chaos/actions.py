"""What is done to a daemon under load; each action asserts its own outcome and raises ActionFailed if it differs."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.apps.chaos_app import HANG_BYTES
from tests.chaos.daemon import EXPECT_TIMEOUT_S, ActionFailed, Daemon, Deploy, Verdict
from tests.chaos.owned import owned_ports, stop_and_list
from tests.chaos.tally import QUIET, Tally
from tests.chaos.wire import Lost, Wire


@dataclass(frozen=True, slots=True)
class Outcome:
    """One action that was performed; `error` is empty if it went as it should."""

    name: str
    at_s: float
    duration_s: float
    error: str = ""


@dataclass(slots=True)
class Stage:
    """Everything an action may touch, and the record of what was done."""

    daemon: Daemon
    deploy: Deploy
    tally: Tally
    done: list[Outcome] = field(default_factory=list)

    async def perform(self, name: str) -> Outcome:
        """Performs one action of ACTIONS; a failure is recorded, and the load goes on."""
        at, began_at = self.tally.elapsed_s(), time.monotonic()
        before, self.tally.during = self.tally.during, name
        error = ""
        try:
            await ACTIONS[name](self)
        except (ActionFailed, TimeoutError) as failure:
            error = str(failure) or repr(failure)
        finally:
            self.tally.during = before if before != QUIET else f"after {name}"
        outcome = Outcome(name, round(at, 3), round(time.monotonic() - began_at, 3), error)
        self.done.append(outcome)
        return outcome


def check(condition: bool, claim: str, *evidence: object) -> None:
    if not condition:
        raise ActionFailed(f"not so: {claim} {' '.join(map(str, evidence))}")


async def reload_by_hup(stage: Stage) -> None:
    await _reload(stage, _hup)


async def reload_by_ctl(stage: Stage) -> None:
    await _reload(stage, _ctl_reload)


async def _hup(stage: Stage) -> None:
    stage.daemon.signal(signal.SIGHUP)


async def _ctl_reload(stage: Stage) -> None:
    verdict = await stage.daemon.ctl("reload")
    check(verdict.exit_code == 0, "ctl reload exits 0", verdict)


async def _reload(stage: Stage, ask: Callable[[Stage], Awaitable[None]]) -> None:
    before = await stage.daemon.slots()
    mark = stage.daemon.mark()
    await ask(stage)
    await stage.daemon.expect("reload.committed", after=mark, unless=("reload.rolled_back",))
    after = await stage.daemon.slots()
    check(not before.keys() & after.keys(), "a committed reload replaces every worker", before, after)
    check(len(after) == len(before), "a reload keeps the number of workers", before, after)


async def three_hups(stage: Stage) -> None:
    """Two HUPs during a reload coalesce: one more reload follows the running one."""
    mark = stage.daemon.mark()
    stage.daemon.signal(signal.SIGHUP)
    await stage.daemon.expect("reload.started", after=mark)
    for times in (1, 2):
        stage.daemon.signal(signal.SIGHUP)
        await stage.daemon.expect("reload.coalesced", after=mark, times=times)
    await stage.daemon.expect("reload.committed", after=mark, times=2, unless=("reload.rolled_back",))
    check(len(stage.daemon.heard("reload.started", after=mark)) == 2, "three HUPs make two reloads")


async def scale_up(stage: Stage) -> None:
    await _scale(stage, +1)


async def scale_down(stage: Stage) -> None:
    await _scale(stage, -1)


async def _scale(stage: Stage, change: int) -> None:
    before = await stage.daemon.slots()
    mark = stage.daemon.mark()
    verdict = await stage.daemon.ctl("scale", f"{change:+d}")
    check(verdict.exit_code == 0, "ctl scale exits 0", verdict)
    await _scaled(stage, before, change, mark)


async def _scaled(stage: Stage, before: Mapping[int, int], change: int, mark: int) -> None:
    if change > 0:
        await stage.daemon.expect("worker.ready", after=mark)
    else:
        await stage.daemon.expect("worker.exited", after=mark)
    after = await stage.daemon.slots()
    check(len(after) == len(before) + change, "scaling changes the number of workers", before, after)
    kept = before.keys() & after.keys()
    check(len(kept) == min(len(before), len(after)), "scaling leaves the other workers alone", before, after)


async def ttin(stage: Stage) -> None:
    before, mark = await stage.daemon.slots(), stage.daemon.mark()
    stage.daemon.signal(signal.SIGTTIN)
    await _scaled(stage, before, +1, mark)


async def ttou(stage: Stage) -> None:
    before, mark = await stage.daemon.slots(), stage.daemon.mark()
    stage.daemon.signal(signal.SIGTTOU)
    await _scaled(stage, before, -1, mark)


async def restart(stage: Stage) -> None:
    before = await stage.daemon.slots()
    pid, slot = min(before.items())
    verdict = await stage.daemon.ctl("restart", str(slot))
    check(verdict.exit_code == 0, "ctl restart exits 0", verdict)
    await stage.daemon.expect("worker.exited", pid=pid)
    after = await stage.daemon.slots()
    check(pid not in after, "the restarted worker is gone", before, after)
    check(len(after) == len(before), "a restart keeps the number of workers", before, after)


async def crash(stage: Stage) -> None:
    """SIGKILL from outside. What was in flight there is counted apart: its process is stopped first, so that the
    list of its connections is exact."""
    before, mark = await stage.daemon.slots(), stage.daemon.mark()
    pid = min(before)
    since_s = stage.tally.elapsed_s()
    stage.tally.doom(await asyncio.to_thread(stop_and_list, pid, stage.daemon.address[1]), since_s=since_s)
    os.kill(pid, signal.SIGKILL)
    crashed = await stage.daemon.expect("worker.crashed", after=mark, pid=pid)
    check(crashed["signal"] == "SIGKILL", "the log names the signal", crashed)
    await stage.daemon.expect("worker.ready", after=mark)
    after = await stage.daemon.slots()
    check(len(after) == len(before), "a crashed worker is replaced", before, after)
    check(before.keys() - after.keys() == {pid}, "a crash leaves the other workers alone", before, after)


async def hang(stage: Stage) -> None:
    """A request that blocks the event loop of its worker for an hour: told, replaced, killed.

    What is in flight on that worker when it is killed is counted apart. Its connections are listed when it begins to
    answer, which names it, and again when it is suspected: it may have accepted some before its loop stopped, but none
    since.
    """
    mark, since_s, port = stage.daemon.mark(), stage.tally.elapsed_s(), stage.daemon.address[1]
    wire = await Wire.open(stage.daemon.address)
    try:
        wire.write(b"GET /hang?seconds=3600 HTTP/1.1\r\nhost: chaos\r\n\r\n")
        async with asyncio.timeout(EXPECT_TIMEOUT_S):
            _, fields = await wire.head()
        pid = int(fields["x-pid"])
        stage.tally.doom(await asyncio.to_thread(owned_ports, pid, port), since_s=since_s)
        await stage.daemon.expect("worker.suspected", after=mark, pid=pid)
        stage.tally.doom(await asyncio.to_thread(owned_ports, pid, port), since_s=since_s)
        told = await stage.daemon.expect("worker.hung", after=mark, pid=pid)
        check("in hang" in json_text(told), "the incident names the function that hangs", told)
        await stage.daemon.expect("worker.killed", after=mark, pid=pid)
        try:
            async with asyncio.timeout(EXPECT_TIMEOUT_S):
                await wire.take(HANG_BYTES + 1)
        except Lost:
            pass
        else:
            raise ActionFailed("a request that hangs for an hour was answered")
    finally:
        wire.abort()
    await stage.daemon.settle()
    check(pid not in await stage.daemon.slots(), "the hung worker is replaced")


def json_text(event: Mapping[str, object]) -> str:
    return " ".join(map(str, event.values()))


async def broken_import(stage: Stage) -> None:
    stage.deploy.broken_import()
    await _refused_deploy(stage, "a_module_that_was_not_deployed")


async def answering_500(stage: Stage) -> None:
    stage.deploy.answering_500()
    await _refused_deploy(stage, "500")


async def hanging_start(stage: Stage) -> None:
    stage.deploy.hanging_start()
    await _refused_deploy(stage, "not ready within")


async def _refused_deploy(stage: Stage, reason: str) -> None:
    """`ctl reload` exits 1 and says why; the same processes serve as before. The deployment is mended afterwards."""
    try:
        before = await stage.daemon.slots()
        verdict: Verdict = await stage.daemon.ctl("reload")
        check(verdict.exit_code == 1, "ctl reload exits 1 for a bad deployment", verdict)
        check(reason in verdict.errors, f"ctl reload says the reason ({reason})", verdict)
        after = await stage.daemon.slots()
        check(before == after, "a refused deployment leaves the same processes", before, after)
    finally:
        stage.deploy.sound()


async def rest(stage: Stage) -> None:
    """Nothing, until nothing is parked or draining any more."""
    await stage.daemon.settle()


async def late_client(stage: Stage) -> None:
    """Whoever comes when the listeners are closed is refused: neither let in and reset, nor kept waiting."""
    await stage.daemon.expect("socket.closed")
    try:
        wire = await asyncio.wait_for(Wire.open(stage.daemon.address), EXPECT_TIMEOUT_S)
    except Lost as lost:
        check(lost.why == "ECONNREFUSED", "a late client is refused", lost)
    else:
        wire.abort()
        raise ActionFailed("a client was let in after the listeners were closed")


ACTIONS: Mapping[str, Callable[[Stage], Awaitable[None]]] = {
    "HUP": reload_by_hup,
    "ctl reload": reload_by_ctl,
    "three HUPs": three_hups,
    "ctl scale +1": scale_up,
    "ctl scale -1": scale_down,
    "TTIN": ttin,
    "TTOU": ttou,
    "ctl restart": restart,
    "kill -9": crash,
    "hang": hang,
    "deploy with a broken import": broken_import,
    "deploy that answers 500": answering_500,
    "deploy that hangs at start": hanging_start,
    "late client": late_client,
    "rest": rest,
}
"""Name of an action -> what it does and asserts."""


async def requests_reach(tally: Tally, count: int) -> None:
    """Returns when the load has come so far."""
    reached = asyncio.Event()
    tally.when(count, reached.set)
    await reached.wait()
