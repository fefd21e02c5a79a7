"""The scenarios: what is promised, as a run that ends with claims that are met or not."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tests.apps.chaos_app import stream_piece
from tests.chaos.actions import Stage, requests_reach
from tests.chaos.daemon import Daemon, Deploy
from tests.chaos.soak import soak
from tests.chaos.staging import Claim, Plan, Result, all_done, latency_kept, no_stall, nothing_lost, staged
from tests.chaos.tally import Tally
from tests.chaos.wire import Lost, Wire


async def reload_storm(plan: Plan) -> list[Result]:
    """So many requests over so many reloads, by HUP and by ctl in turn."""
    async with staged("reload-storm", plan.options("--workers", "2")) as (stage, result):
        await asyncio.sleep(plan.quiet_s)
        first = stage.tally.requests
        for number in range(plan.reloads):
            await requests_reach(stage.tally, first + number * plan.requests // plan.reloads)
            await stage.perform("HUP" if number % 2 == 0 else "ctl reload")
        await requests_reach(stage.tally, plan.requests)
        await stage.perform("rest")
        reloads = sum(not outcome.error for outcome in stage.done if outcome.name != "rest")
        enough = stage.tally.requests >= plan.requests and reloads >= plan.reloads
        text = f"at least {plan.requests:,} requests over at least {plan.reloads} reloads"
        result.claims += [
            Claim(text, enough, f"{stage.tally.requests:,} over {reloads}"),
            latency_kept(stage.tally),
        ]
    return [result]


async def bad_deploys(plan: Plan) -> list[Result]:
    """Deployments that cannot be imported, answer 500, or hang at start; then a sound one."""
    options = plan.options("--workers", "2", "--health-path", "/healthz", "--boot-timeout", "4")
    async with staged("bad-deploys", options) as (stage, result):
        await asyncio.sleep(plan.quiet_s)
        for _ in range(3):
            for name in ("deploy with a broken import", "deploy that answers 500", "deploy that hangs at start"):
                await stage.perform(name)
            await stage.perform("ctl reload")
        await stage.perform("rest")
    return [result]


async def steering(plan: Plan) -> list[Result]:
    """Everything else that production does: scaling, restarts, coalesced reloads, a crash, a hang."""
    async with staged("steering", plan.options("--workers", "2", "--timeout", "2")) as (stage, result):
        await asyncio.sleep(plan.quiet_s)
        for _ in range(3):
            for name in (
                "ctl scale +1",
                "TTIN",
                "ctl restart",
                "kill -9",
                "TTOU",
                "three HUPs",
                "ctl scale -1",
                "hang",
            ):
                await stage.perform(name)
        await stage.perform("rest")
    return [result]


async def slow_start(plan: Plan) -> list[Result]:
    """One worker whose application takes long to start: reloads must not be felt."""
    options = plan.options("--workers", "1")
    async with staged("slow-start", options, startup_s=plan.startup_s) as (stage, result):
        await asyncio.sleep(plan.quiet_s)
        for _ in range(plan.slow_reloads):
            await stage.perform("HUP")
        await stage.perform("rest")
        result.claims.append(no_stall(stage.tally))
    return [result]


async def recycle(plan: Plan) -> list[Result]:
    """Workers that are replaced after so many requests, with one worker and with two."""
    results = []
    for workers in (1, 2):
        options = plan.options("--workers", str(workers), "--max-requests", "500", "--max-requests-jitter", "100")
        async with staged(f"recycle, {workers} worker{'s' * (workers > 1)}", options) as (stage, result):
            stage.tally.during = "recycling"
            await requests_reach(stage.tally, plan.recycled_requests // 2)
            count = len(stage.daemon.heard("worker.recycled"))
            result.claims += [
                Claim("workers were recycled", count > 0, f"{count} times in {stage.tally.requests} requests"),
                no_stall(stage.tally),
            ]
        results.append(result)
    return results


async def long_stream(plan: Plan) -> list[Result]:
    """One connection that streams through a reload and a TERM; then one that is longer than the whole budget."""
    results = []
    for budget_s, whole in ((plan.stream_s * 1.5, True), (4.0, False)):
        options = plan.options("--workers", "1", "--graceful-timeout", f"{budget_s:g}")
        with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
            began_at = time.monotonic()
            deploy = Deploy(Path(directory))
            daemon = await Daemon.start(deploy, *options)
            stage = Stage(daemon, deploy, Tally())
            stream = asyncio.create_task(_stream(daemon, plan.stream_s))
            try:
                await asyncio.sleep(plan.stream_s / 12)
                await stage.perform("HUP")
                await asyncio.sleep(plan.stream_s / 12)
                stopped_at = time.monotonic()
                code = await daemon.stop(within_s=budget_s + 10.0)
                took_s = time.monotonic() - stopped_at
                complete = await stream
            finally:
                stream.cancel()
                await daemon.end()
        name = f"long-stream, {plan.stream_s:g} s within {budget_s:g} s"
        result = Result(name, options, stage.tally, stage.done, time.monotonic() - began_at)
        result.claims = [
            all_done(stage.done),
            Claim("the stream is whole" if whole else "the stream is cut", complete == whole, f"whole: {complete}"),
            Claim("TERM is obeyed within the budget (and 4 s to kill)", took_s < budget_s + 4.0, f"{took_s:.1f} s"),
            Claim("TERM ends the daemon with 0", code == 0, f"exit code {code}"),
        ]
        results.append(result)
    return results


async def _stream(daemon: Daemon, length_s: float) -> bool:
    """True if one response of this length came whole and right."""
    pieces, size, every_s = int(length_s * 10), 1000, 0.1
    wire = await Wire.open(daemon.address)
    try:
        target = f"/stream?n=long&pieces={pieces}&bytes={size}&every_s={every_s}"
        wire.write(f"GET {target} HTTP/1.1\r\nhost: chaos\r\n\r\n".encode())
        answer = await wire.answer()
    except Lost:
        return False
    finally:
        wire.close()
    return answer.body == b"".join(stream_piece("long", index, size) for index in range(pieces))


SHORT: Mapping[str, tuple[str, ...]] = {
    "reloads": ("HUP", "ctl reload", "three HUPs"),
    "bad deploys": ("deploy with a broken import", "deploy that answers 500", "deploy that hangs at start"),
    "scaling": ("ctl scale +1", "TTIN", "ctl restart", "TTOU", "ctl scale -1"),
    "deaths": ("kill -9", "HUP", "hang"),
}
"""The short form: four groups of actions, one for each pair of event loop and parser in the test suite."""

SHORT_LIMITS: Mapping[str, tuple[str, ...]] = {
    "bad deploys": ("--boot-timeout", "10"),
    "deaths": ("--timeout", "1"),
}
"""Limits that a group waits for. The others keep the defaults: on a busy machine a boot was seen to take over 3 s."""


async def short(plan: Plan, group: str) -> Result:
    """One group of actions under load, then TERM under load."""
    options = plan.options(
        *("--workers", "2", "--health-path", "/healthz", "--drain-spread", "0.5", "--graceful-timeout", "10"),
        *SHORT_LIMITS.get(group, ()),
    )
    async with staged(f"short, {group} ({plan.loop}, {plan.http})", options) as (stage, result):
        await asyncio.sleep(plan.quiet_s)
        for name in SHORT[group]:
            await stage.perform(name)
        await stage.perform("rest")
        await term_under_load(stage)
    return result


async def term_under_load(stage: Stage) -> None:
    """Whoever was let in is answered; whoever comes later is refused, and leaves."""
    stage.tally.during = "TERM"
    stage.tally.stopping = True
    stage.daemon.signal(signal.SIGTERM)
    await stage.perform("late client")
    await stage.daemon.expect("master.stopped")


async def stops(plan: Plan) -> list[Result]:
    """TERM under load, again and again, every other time while a further worker is booting."""
    options = plan.options("--workers", "2", "--drain-spread", "0.5")
    whole = Result("stops", options, Tally(), [], 0.0)
    ended = 0
    for number in range(plan.stops):
        whole.tally.stopping = False
        async with staged("stop", options, tally=whole.tally) as (stage, result):
            await requests_reach(stage.tally, stage.tally.requests + 500)
            if number % 2:
                mark = stage.daemon.mark()
                stage.daemon.signal(signal.SIGTTIN)
                await stage.daemon.expect("worker.spawned", after=mark)
            await term_under_load(stage)
        whole.done += result.done
        whole.duration_s += result.duration_s
        ended += result.claims[-1].met
    whole.claims = [
        nothing_lost(whole.tally),
        all_done(whole.done),
        Claim("TERM ends the daemon with 0", ended == plan.stops, f"{ended} of {plan.stops}"),
    ]
    return [whole]


async def master_gone(plan: Plan) -> list[Result]:
    """`kill -9` of the master, and a new one on the same address while the orphaned workers still drain."""
    options = plan.options("--workers", "2", "--drain-spread", "2")
    async with staged("master-gone", options) as (stage, result):
        await asyncio.sleep(plan.quiet_s)
        orphaned: list[Daemon] = []
        try:
            for _ in range(plan.stops):
                await requests_reach(stage.tally, stage.tally.requests + 1000)
                stage.tally.during, stage.tally.absent = "kill -9 of the master", True
                orphaned.append(stage.daemon)
                stage.daemon.process.kill()
                stage.daemon = await Daemon.start(stage.deploy, *options, port=stage.daemon.address[1])
                stage.tally.during, stage.tally.absent = "a new master", False
            for daemon in orphaned:
                await daemon.ended()
        finally:
            for daemon in orphaned:
                await daemon.end()
        measured = f"{plan.stops} masters, {stage.tally.refused} connections refused meanwhile"
        result.claims.append(Claim("a new master starts, and the orphans end by themselves", True, measured))
    return [result]


SHORT_LOADS = (
    ("reloads", "uvloop", "httptools"),
    ("bad deploys", "asyncio", "h11"),
    ("scaling", "uvloop", "h11"),
    ("deaths", "asyncio", "httptools"),
)


async def short_all(plan: Plan) -> list[Result]:
    return [await short(replace(plan, quiet_s=1.0, loop=loop, http=http), group) for group, loop, http in SHORT_LOADS]


SCENARIOS: Mapping[str, Callable[[Plan], Awaitable[list[Result]]]] = {
    "reload-storm": reload_storm,
    "bad-deploys": bad_deploys,
    "steering": steering,
    "slow-start": slow_start,
    "recycle": recycle,
    "long-stream": long_stream,
    "stops": stops,
    "master-gone": master_gone,
    "soak": soak,
    "short": short_all,
}
LONG_FORM = ("reload-storm", "bad-deploys", "steering", "slow-start", "recycle", "long-stream", "stops", "master-gone")
