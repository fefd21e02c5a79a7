"""Settings as the policy's terms."""

from __future__ import annotations

import dataclasses

import pytest

from server_core.settings.declaration import ServerSettings
from supervisor_d.settings.declaration import DaemonSettings, Settings
from supervisor_d.settings.policy_terms import most_workers, terms
from supervisor_d.settings.values.capacity import usable_cpus
from supervisor_d.settings.values.value_types import AUTO
from supervisor_d.vocabulary import Terms

DERIVED = ("beat_s", "watch_s", "exit_when_failed", "graceful_timeout", "fit_memory", "memory_limited", "births")
"""Terms that are not simply the setting of their name."""


def test_every_term_is_the_setting_of_its_name() -> None:
    daemon = DaemonSettings(
        workers=7,
        timeout=40.0,
        boot_timeout=41.0,
        shutdown_delay=42.0,
        soak=43.0,
        surge=44,
        park=False,
        max_age=45.0,
        max_memory=46,
        max_workers=48,
    )
    made = terms(Settings(daemon=daemon, server=ServerSettings(graceful_timeout=47.0)), pid1=False)
    for field in dataclasses.fields(Terms):
        if field.name not in DERIVED:
            assert getattr(made, field.name) == getattr(daemon, field.name), field.name
    assert made.graceful_timeout == 47.0


@pytest.mark.parametrize(("cpus", "most"), [(1, 32), (2, 32), (4, 64), (64, 1024), (256, 1024)])
def test_the_bound_of_scaling_is_a_generous_multiple_of_the_cpus(cpus: int, most: int) -> None:
    assert most_workers(cpus) == most


def test_the_bound_is_never_below_the_workers_that_the_setting_asks_for() -> None:
    made = terms(Settings(daemon=DaemonSettings(workers=1000), server=ServerSettings()), pid1=False)
    assert made.max_workers == max(1000, most_workers(usable_cpus().count))
    assert made.births >= 4


def test_auto_workers_are_counted() -> None:
    made = terms(Settings(daemon=DaemonSettings(workers=AUTO), server=ServerSettings()), pid1=False)
    assert made.workers == usable_cpus().count


def test_a_memory_limit_is_a_term() -> None:
    settings = Settings(daemon=DaemonSettings(workers=1), server=ServerSettings())
    assert not terms(settings, pid1=False).memory_limited
    assert terms(settings, pid1=False, is_memory_limited=True).memory_limited


def test_only_auto_with_a_choice_is_fitted_into_memory() -> None:
    def is_fitted(workers: int, *, is_memory_limited: bool = True) -> bool:
        settings = Settings(daemon=DaemonSettings(workers=workers), server=ServerSettings())
        return terms(settings, pid1=False, is_memory_limited=is_memory_limited).fit_memory

    assert is_fitted(AUTO) is (usable_cpus().count > 1)
    assert not is_fitted(AUTO, is_memory_limited=False)
    assert not is_fitted(4)


@pytest.mark.parametrize(
    ("timeout", "beat_s", "watch_s"),
    [(0.0, 1.0, 10.0), (600.0, 1.0, 10.0), (30.0, 1.0, 7.5), (4.0, 1.0, 1.0), (3.0, 0.75, 0.75), (1.0, 0.25, 0.25)],
)
def test_a_timeout_holds_four_beats_and_four_looks_at_them(timeout: float, beat_s: float, watch_s: float) -> None:
    made = terms(Settings(daemon=DaemonSettings(timeout=timeout), server=ServerSettings()), pid1=False)
    assert (made.beat_s, made.watch_s) == (beat_s, watch_s)


@pytest.mark.parametrize(
    ("setting", "pid1", "exits"),
    [("auto", True, True), ("auto", False, False), ("on", False, True), ("off", True, False)],
)
def test_exit_when_failed_is_on_as_pid_1_unless_said_otherwise(setting: str, pid1: bool, exits: bool) -> None:
    made = terms(Settings(daemon=DaemonSettings(exit_when_failed=setting), server=ServerSettings()), pid1=pid1)
    assert made.exit_when_failed is exits
