"""An exception in the master's own work is told, kept and counted; only many of them end anything."""

from __future__ import annotations

import pytest

from supervisor_d.faults import FAULTS_MAX, FaultBarrier


class Remembered:
    """What a barrier logs, keeps and asks for."""

    def __init__(self) -> None:
        self.logged: list[tuple[str, dict[str, object]]] = []
        self.kept: list[tuple[str, str, str]] = []
        self.given_up: list[str] = []
        self.barrier = FaultBarrier(self.log, lambda *fault: self.kept.append(fault), self.given_up.append)

    def log(self, event: str, /, **fields: object) -> None:
        self.logged.append((event, fields))


@pytest.fixture
def remembered() -> Remembered:
    return Remembered()


def divide() -> None:
    _ = 1 / 0


def test_work_that_succeeds_gives_its_result_and_is_not_told(remembered: Remembered) -> None:
    assert remembered.barrier.run("adding", lambda: 1 + 1) == 2
    assert remembered.logged == remembered.kept == []


def test_a_failure_is_logged_with_its_traceback_and_kept(remembered: Remembered) -> None:
    assert remembered.barrier.run("dividing", divide) is None
    ((event, fields),) = remembered.logged
    assert event == "master.faulted"
    assert fields["work"] == "dividing"
    assert fields["error"] == "ZeroDivisionError: division by zero"
    assert "in divide" in str(fields["traceback"])
    assert remembered.kept == [("dividing", fields["error"], fields["traceback"])]


def test_failures_that_come_again_and_again_give_up_once_and_then_are_raised(remembered: Remembered) -> None:
    for _ in range(FAULTS_MAX - 1):
        remembered.barrier.run("dividing", divide)
    assert not remembered.given_up
    remembered.barrier.run("dividing", divide)
    ((reason),) = remembered.given_up
    assert reason.startswith("10 failures within 60 s, the last one dividing: ")
    for _ in range(FAULTS_MAX - 1):
        remembered.barrier.run("dividing", divide)
    with pytest.raises(ZeroDivisionError):
        remembered.barrier.run("dividing", divide)
    assert len(remembered.given_up) == 1


def test_a_failure_that_is_one_clients_cuts_that_one_off_and_counts_for_nothing_else(remembered: Remembered) -> None:
    cut: list[Exception] = []
    for _ in range(3 * FAULTS_MAX):
        remembered.barrier.run("serving", divide, cut.append)
    assert len(cut) == len(remembered.kept) == 3 * FAULTS_MAX
    assert not remembered.given_up


def test_a_failure_to_cut_off_is_one_of_shared_work(remembered: Remembered) -> None:
    def fail(_: Exception) -> None:
        raise OSError("no more")

    for _ in range(FAULTS_MAX):
        remembered.barrier.run("serving", divide, fail)
    assert [work for work, _, _ in remembered.kept[:2]] == ["serving", "cutting off after serving"]
    assert len(remembered.given_up) == 1


def test_a_log_that_cannot_be_written_ends_nothing(remembered: Remembered, capfd: pytest.CaptureFixture[str]) -> None:
    def broken(event: str, /, **fields: object) -> None:
        raise BrokenPipeError(event, fields)

    barrier = FaultBarrier(broken, lambda *_: None, remembered.given_up.append)
    assert barrier.run("dividing", divide) is None
    assert "ZeroDivisionError" in capfd.readouterr().err
