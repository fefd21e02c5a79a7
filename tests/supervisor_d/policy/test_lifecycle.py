"""The table of a worker's life is complete, and says nothing twice."""

from __future__ import annotations

from itertools import product

import pytest

from supervisor_d.policy.lifecycle import (
    ALIVE,
    COMING,
    IMPOSSIBLE,
    LEAVING,
    LIFECYCLE,
    UP,
    VACANT,
    Cause,
    IllegalTransition,
    next_state,
)
from supervisor_d.policy.slot import ALARMS
from supervisor_d.vocabulary import Slot
from supervisor_d.vocabulary.status import SlotState

ALLOWED = {(state, cause) for state, row in LIFECYCLE.items() for cause in row}
ALL = set(product(SlotState, Cause))


def test_every_pair_of_state_and_cause_is_either_allowed_or_impossible() -> None:
    impossible = set().union(*IMPOSSIBLE.values())
    assert ALLOWED | impossible == ALL, sorted(map(str, ALL - ALLOWED - impossible))
    assert not ALLOWED & impossible, sorted(map(str, ALLOWED & impossible))


def test_every_impossible_pair_stands_under_one_reason_only() -> None:
    assert sum(len(pairs) for pairs in IMPOSSIBLE.values()) == len(set().union(*IMPOSSIBLE.values()))


@pytest.mark.parametrize(("state", "cause"), sorted(ALL - ALLOWED, key=str))
def test_an_impossible_pair_raises_and_names_the_slot(state: SlotState, cause: Cause) -> None:
    with pytest.raises(IllegalTransition) as illegal:
        next_state(Slot(7), state, cause)
    assert (illegal.value.slot, illegal.value.state, illegal.value.cause) == (7, state, cause)
    assert "slot 7" in str(illegal.value)


def test_an_impossible_pair_is_the_fault_of_a_worker_that_said_it_and_else_of_the_daemon() -> None:
    said = IllegalTransition(Slot(2), SlotState.READY, Cause.BOOTED)
    assert (said.fault, str(said)) == ("worker", "slot 2 is ready: the worker may not say booted now")
    for state, cause in (
        (SlotState.EMPTY, Cause.BOOTED),
        (SlotState.READY, Cause.SPAWN),
        (SlotState.READY, Cause.SPAWNED),
    ):
        assert IllegalTransition(Slot(2), state, cause).fault == "daemon"


def test_every_living_state_can_end_and_be_killed() -> None:
    for state in ALIVE:
        assert next_state(Slot(1), state, Cause.EXITED) is SlotState.EMPTY
        if state is not SlotState.KILLING:
            assert next_state(Slot(1), state, Cause.KILL) is SlotState.KILLING


def test_the_groups_of_states_are_all_states() -> None:
    assert set(SlotState) == ALIVE | VACANT
    assert COMING.isdisjoint(UP)
    assert COMING.isdisjoint(LEAVING)


def test_every_state_says_which_alarms_mean_something_in_it() -> None:
    assert set(ALARMS) == set(SlotState)
