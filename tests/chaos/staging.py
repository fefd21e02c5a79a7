"""What a scenario is made of: the plan, a daemon under load, claims, and the result that is reported."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.actions import Outcome, Stage
from tests.chaos.daemon import Daemon, Deploy
from tests.chaos.load import Load
from tests.chaos.tally import Tally

STALL_LIMIT_S = 0.100
"""The longest that a request may take where a scenario promises no stall."""

QUIET_S = 10.0
"""Length of the quiet phase that latencies are compared with: about 10,000 requests, so that a 99.9th percentile
rests on ten of them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything: the long form by default. `loop` and `http` are the server's settings."""

    requests: int = 100_000
    reloads: int = 50
    loop: str = "auto"
    http: str = "auto"
    quiet_s: float = QUIET_S
    startup_s: float = 5.0
    stream_s: float = 60.0
    slow_reloads: int = 20
    recycled_requests: int = 50_000
    stops: int = 10
    soak_s: float = 600.0
    soak_reloads: int = 300
    soak_crashes: int = 500

    def options(self, *more: str) -> tuple[str, ...]:
        return ("--loop", self.loop, "--http", self.http, *more)


@dataclass(frozen=True, slots=True)
class Claim:
    """One promise and what was measured."""

    text: str
    met: bool
    measured: str


@dataclass(slots=True)
class Result:
    """One scenario as it was run."""

    name: str
    options: tuple[str, ...]
    tally: Tally
    done: list[Outcome]
    duration_s: float
    claims: list[Claim] = field(default_factory=list)
    cpu_waited: float | None = None
    """Share of the time in which somebody on this machine waited for a CPU; None if the kernel does not tell."""

    @property
    def passed(self) -> bool:
        return all(claim.met for claim in self.claims)


@contextlib.asynccontextmanager
async def staged(
    name: str, options: Sequence[str], *, startup_s: float = 0.0, tally: Tally | None = None
) -> AsyncIterator[tuple[Stage, Result]]:
    """A daemon under load, and the result that fills; at the end the load stops first, then the daemon."""
    began_at, waited_s = time.monotonic(), cpu_waited_s()
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        deploy = Deploy(Path(directory))
        deploy.sound(startup_s=startup_s)
        daemon = await Daemon.start(deploy, *options)
        stage = Stage(daemon, deploy, tally or Tally())
        result = Result(name, tuple(options), stage.tally, stage.done, 0.0)
        load = Load(daemon.address, stage.tally)
        try:
            load.start()
            yield stage, result
            await load.stop()
            code = await stage.daemon.stop()
        finally:
            await load.stop()
            await stage.daemon.end()
            stage.tally.settle(deploy.has_had())
    result.duration_s = time.monotonic() - began_at
    if waited_s is not None:
        result.cpu_waited = ((cpu_waited_s() or 0.0) - waited_s) / result.duration_s
    result.claims[:0] = [nothing_lost(stage.tally), all_done(stage.done)]
    result.claims.append(Claim("TERM ends the daemon with 0", code == 0, f"exit code {code}"))


def cpu_waited_s() -> float | None:
    """Seconds since boot in which some task was runnable and had no CPU (pressure stall information, Linux 4.20)."""
    try:
        some = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except OSError:  # a kernel without it, or not Linux
        return None
    return int(some.rpartition("total=")[2]) / 1e6


def nothing_lost(tally: Tally) -> Claim:
    crossed = f"; {len(tally.crossed)} WebSocket messages crossed a close frame and were sent again"
    return Claim(
        "no request is lost", not tally.lost, f"{len(tally.lost)} of {tally.requests}{crossed if tally.crossed else ''}"
    )


def all_done(done: Sequence[Outcome]) -> Claim:
    failed = [outcome for outcome in done if outcome.error]
    measured = f"{len(done) - len(failed)} of {len(done)}"
    for outcome in failed[:3]:
        measured += f"; {outcome.name} at {outcome.at_s} s: {outcome.error[:2000]}"
    return Claim("every action has the outcome it should", not failed, measured)


def no_stall(tally: Tally) -> Claim:
    longest = max(tally.spread(quiet=True).maximum, tally.spread(quiet=False).maximum)
    measured = f"{longest * 1000:.1f} ms (the client's own longest stall: {tally.own_stall_s * 1000:.1f} ms)"
    return Claim(f"no request takes over {STALL_LIMIT_S * 1000:g} ms", longest <= STALL_LIMIT_S, measured)


def latency_kept(tally: Tally) -> Claim:
    quiet, acting = tally.spread(quiet=True), tally.spread(quiet=False)
    limit = 3 * quiet.p999 + 0.050
    measured = (
        f"{acting.maximum * 1000:.1f} ms, limit {limit * 1000:.1f} ms "
        f"(the client's own longest stall: {tally.own_stall_s * 1000:.1f} ms)"
    )
    text = "the longest latency stays under 3 x the quiet 99.9th percentile + 50 ms"
    return Claim(text, acting.maximum < limit, measured)
