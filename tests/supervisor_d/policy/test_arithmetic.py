"""The pure functions of the policy, one by one."""

from __future__ import annotations

import pytest

from server_core.contract.scoreboard import SLOTS_MAX
from supervisor_d.policy import reconciliation
from supervisor_d.policy.canary import Tally, fault, limit
from supervisor_d.policy.fleet import SLOT_LAST
from supervisor_d.policy.liveness import hard_after_s
from supervisor_d.policy.restart import (
    BACKOFF_MAX_S,
    INTENSITY_MIN,
    JITTER,
    STORM_DELAY_S,
    delay_s,
    is_storm,
    remember,
    share,
)
from supervisor_d.policy.scaling import TARGET_MAX, new_target, refusal
from supervisor_d.policy.shutdown import total_budget_s
from supervisor_d.policy.state import PolicyState, sizing_of
from supervisor_d.policy.supervisor import Supervisor
from supervisor_d.policy.weighing import Weighing
from supervisor_d.vocabulary import Generation, Instant, Observation, Slot, SpawnWorker, Started, Terms
from supervisor_d.vocabulary.status import DaemonState, SlotState

SLOT = Slot(3)


def seen(requests: int, errors: int) -> Observation:
    return Observation(Instant(1.0), Instant(1.0), requests_total=requests, responses_5xx=errors)


def test_the_back_off_doubles_from_a_tenth_of_a_second_to_thirty_seconds() -> None:
    delays = [delay_s(failures, booted=False, storm=False, seed=0, slot=SLOT) for failures in range(1, 12)]
    for doublings, delay in enumerate(delays):
        plain = 0.1 * 2**doublings
        assert min(plain * (1 - JITTER), BACKOFF_MAX_S) <= delay <= min(plain * (1 + JITTER), BACKOFF_MAX_S)
    assert delay_s(5000, booted=False, storm=False, seed=0, slot=SLOT) == BACKOFF_MAX_S


def test_the_first_death_of_a_worker_that_served_costs_no_wait_but_in_a_storm() -> None:
    assert delay_s(1, booted=True, storm=False, seed=0, slot=SLOT) == 0.0
    assert delay_s(1, booted=True, storm=True, seed=0, slot=SLOT) == STORM_DELAY_S
    assert delay_s(2, booted=True, storm=True, seed=0, slot=SLOT) == STORM_DELAY_S
    assert delay_s(2, booted=True, storm=False, seed=0, slot=SLOT) < STORM_DELAY_S


def test_the_jitter_is_the_same_for_the_same_seed_and_differs_between_slots() -> None:
    assert share(1, SLOT, 2) == share(1, SLOT, 2)
    assert len({share(1, Slot(slot), 2) for slot in range(1, 9)}) == 8
    assert all(0.0 <= share(seed, SLOT, 1) < 1.0 for seed in range(50))


def test_deaths_count_for_a_period_only() -> None:
    deaths: list[Instant] = []
    for at in (0.0, 5.0, 10.0, 16.0):
        deaths = remember(deaths, Instant(at))
    assert deaths == [16.0, 10.0]


def test_a_storm_is_more_deaths_than_two_rounds_of_the_fleet() -> None:
    assert not is_storm([Instant(0.0)] * INTENSITY_MIN, 1)
    assert is_storm([Instant(0.0)] * (INTENSITY_MIN + 1), 1)
    assert not is_storm([Instant(0.0)] * 16, 8)
    assert is_storm([Instant(0.0)] * 17, 8)


@pytest.mark.parametrize(
    ("target", "change", "relative", "wanted"),
    [
        (2, 5, False, 5),
        (2, 0, False, 1),
        (2, 1, True, 3),
        (2, -1, True, 1),
        (2, -9, True, 1),
        (2, TARGET_MAX, False, TARGET_MAX),
    ],
)
def test_a_target_is_at_least_one(target: int, change: int, relative: bool, wanted: int) -> None:
    assert new_target(target, change, relative=relative) == wanted


@pytest.mark.parametrize(
    ("target", "wanted", "force", "said"),
    [
        (2, 10, False, None),
        (2, 11, False, "at most 10 (max-workers), not 11"),
        (2, 11, True, None),
        (20, 20, False, None),
        (20, 15, False, None),
        (20, 21, False, "at most 10 (max-workers), not 21"),
        (2, TARGET_MAX, True, None),
        (2, TARGET_MAX + 1, True, f"at most {TARGET_MAX}, not"),
    ],
)
def test_more_than_the_bound_is_refused_unless_forced_and_less_never(
    target: int, wanted: int, force: bool, said: str | None
) -> None:
    reason = refusal(target, wanted, 10, force=force)
    assert (reason is None) if said is None else (said in str(reason))


def test_the_highest_slot_is_the_scoreboards_last_record() -> None:
    assert SLOT_LAST == SLOTS_MAX - 1
    assert TARGET_MAX == SLOTS_MAX // 4


def test_a_full_scoreboard_is_no_reason_to_fail() -> None:
    terms = Terms(births=SLOT_LAST + 5)
    policy = PolicyState(terms, 0, 1, sizing_of(terms))
    reconciliation.staff(policy, Generation(1), SLOT_LAST + 5)
    orders = policy.outbox.take()
    assert len(orders) == SLOT_LAST
    assert orders[-1] == SpawnWorker(Slot(SLOT_LAST), Generation(1), SLOT_LAST - 1)


def test_more_workers_than_fit_at_start_are_as_many_as_fit() -> None:
    policy = Supervisor(Terms(workers=TARGET_MAX + 7, births=TARGET_MAX + 7))
    assert len(policy.receive(Started(), Instant(0.0))) == TARGET_MAX


def test_the_hard_limit_is_a_third_of_the_timeout_within_bounds() -> None:
    assert [hard_after_s(timeout) for timeout in (1.0, 3.0, 12.0, 30.0, 300.0)] == [1.0, 1.0, 4.0, 10.0, 10.0]


def test_the_budget_of_a_stop_is_the_sum_of_its_rungs() -> None:
    assert total_budget_s(Terms(shutdown_delay=5.0, graceful_timeout=30.0)) == 38.0


def test_too_few_requests_convict_nobody() -> None:
    old, new = Tally(), Tally()
    new.note(SLOT, 1, seen(19, 19))
    assert fault(old, new) is None
    new.note(SLOT, 1, seen(20, 20))
    assert fault(old, new) is not None


def test_an_old_generation_in_trouble_excuses_the_new_one_up_to_a_point() -> None:
    assert limit(0.0) == pytest.approx(0.1)
    assert limit(0.05) == pytest.approx(0.3)
    assert limit(0.5) == pytest.approx(0.75)
    old, new = Tally(), Tally()
    old.note(SLOT, 1, seen(100_000, 0))
    old.note(SLOT, 1, seen(100_100, 50))
    new.note(SLOT, 2, seen(100, 70))
    assert fault(old, new) is None
    new.note(SLOT, 2, seen(200, 190))
    assert "190 of 200" in str(fault(old, new))


def test_traffic_is_welcome_only_while_somebody_serves_and_nobody_stops() -> None:
    policy = Supervisor(Terms())
    status = policy.status(Instant(0.0))
    assert status.state is DaemonState.STARTING
    assert not status.accepts_traffic


@pytest.mark.parametrize(("grows_by", "at_most"), [(40, 141), (5, 126), (0.5, 121)])
def test_a_worker_that_grows_is_found_soon_after_it_has_reached_max_memory(grows_by: float, at_most: float) -> None:
    """In MB, from 20 to a limit of 120; with a look every 30 s it was 603 MB at 40 MB/s."""
    terms = Terms(max_memory=120 << 20)
    policy = PolicyState(terms, 0, 1, sizing_of(terms))
    handle = policy.fleet.handle(SLOT)
    handle.state, handle.serves = SlotState.READY, True
    weighing, size, looks = Weighing(), 0.0, 0
    while size < 120:
        for slot in weighing.due(policy):
            size, looks = 20 + grows_by * policy.now, looks + 1
            weighing.note(policy, policy.fleet.handle(slot), int(size * (1 << 20)))
        assert weighing.next_deadline is not None
        policy.now = weighing.next_deadline
    assert size <= at_most
    assert looks < 60
