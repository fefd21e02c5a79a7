"""What can come a thousand at once is told singly while it is little, and summed up beyond that."""

from __future__ import annotations

from supervisor_d.host.journal.condensed_log import CONDENSED, SINGLE_MAX, CondensedLog
from supervisor_d.host.reactor import Reactor
from supervisor_d.log import ALL_EVENTS
from supervisor_d.vocabulary import Instant, Started
from tests.helpers.logs import Remembered


def test_a_few_are_told_singly_and_nothing_is_summed_up() -> None:
    log = Remembered()
    condensed = CondensedLog(log, Reactor())
    for pid in range(SINGLE_MAX):
        condensed("process.reaped", pid=pid, exit_code=0, signal=None)
    condensed.flush()
    assert [told["pid"] for told in log.named("process.reaped")] == list(range(SINGLE_MAX))
    assert len(log.events) == SINGLE_MAX


def test_a_flood_is_one_line_at_the_end_of_its_period_with_its_counts() -> None:
    log, reactor = Remembered(), Reactor()
    condensed = CondensedLog(log, reactor)
    for pid in range(1500):
        condensed("process.reaped", pid=pid, exit_code=None, signal="SIGKILL" if pid % 3 else "SIGTERM")
    assert len(log.events) == SINGLE_MAX
    reactor.at(Instant(0.0), lambda: None)
    while not log.named("process.summed"):  # its deadline is what the reactor waits for
        reactor.at(Instant(0.0), lambda: reactor.tell(Started()))
        reactor.wait(None)
    (summed,) = log.named("process.summed")
    assert (summed["of"], summed["count"]) == ("process.reaped", 1500 - SINGLE_MAX)
    kinds = summed["kinds"]
    assert isinstance(kinds, dict)
    assert list(kinds) == ["signal=SIGKILL", "signal=SIGTERM"]
    assert sum(kinds.values()) == summed["count"]
    condensed("process.reaped", pid=1, exit_code=0, signal=None)
    assert len(log.named("process.reaped")) == SINGLE_MAX + 1


def test_many_kinds_stay_one_line_and_every_other_event_passes() -> None:
    log = Remembered()
    condensed = CondensedLog(log, Reactor())
    for pid in range(500):
        condensed("process.killed", pid=pid, name=f"job-{pid}")
        condensed("log.reopened", origin="x")
    condensed.flush()
    (summed,) = log.named("process.summed")
    kinds = summed["kinds"]
    assert isinstance(kinds, dict)
    assert (len(kinds), kinds["others"]) == (6, 500 - SINGLE_MAX - 5)
    assert len(log.named("log.reopened")) == 500


def test_the_keys_that_tell_kinds_apart_are_declared() -> None:
    for event, keys in CONDENSED.items():
        assert set(keys) <= set(ALL_EVENTS[event].keys)
