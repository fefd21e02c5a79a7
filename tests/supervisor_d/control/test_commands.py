"""The table of commands: that it is sound, and that everything made from it agrees with it."""

from __future__ import annotations

import pytest

from supervisor_d.control.command_types import Asked, Command
from supervisor_d.control.commands import COMMANDS, OPEN_COMMANDS, command_of
from supervisor_d.control.messages import Refused, Request
from supervisor_d.control.routing import match, understand
from supervisor_d.vocabulary import Origin, RestartRequested, ScaleRequested, Slot, Ticket
from tests.helpers.views import a_view

ORIGIN = Origin("control", "x", 1, 0)
DOCUMENTED = {
    ("GET", "/v1/status"),
    ("GET", "/v1/workers"),
    ("GET", "/v1/capacity"),
    ("GET", "/v1/config"),
    ("GET", "/v1/events"),
    ("GET", "/v1/incidents"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("POST", "/v1/reload"),
    ("POST", "/v1/scale"),
    ("POST", "/v1/stop"),
    ("POST", "/v1/workers/{slot}/restart"),
    ("POST", "/v1/workers/{slot}/dump"),
}


def test_the_table_is_the_documented_interface_and_no_more() -> None:
    assert {(command.method, command.path) for command in COMMANDS} == DOCUMENTED


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.path)
def test_a_command_either_reads_or_acts_and_reading_is_get(command: Command) -> None:
    assert (command.read is None) != (command.act is None)
    assert (command.method == "GET") == (command.read is not None)
    assert command.summary.endswith(".")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.path)
def test_every_command_is_reached_by_its_own_path_and_gives_what_it_promises(command: Command) -> None:
    call = understand(Request(command.method, command.path.replace("{slot}", "3")))
    assert call.command is command
    if command.read is not None:
        assert command.read(a_view(), {}).status == 200
    elif command.act is not None:
        values = {"by": 1} if command.path == "/v1/scale" else {}
        fact = command.act(Asked(ORIGIN, Ticket(9), call.slot, values))
        assert (fact.origin, fact.ticket) == (ORIGIN, 9)  # type: ignore[union-attr]  # every one of them has both


def test_the_pattern_s_slot_is_read_and_nothing_else_is_taken_for_it() -> None:
    pattern = "/v1/workers/{slot}/restart"
    assert match(pattern, "/v1/workers/12/restart") == 12
    assert match(pattern, "/v1/workers//restart") is None
    assert match(pattern, "/v1/workers/1/2/restart") is None
    assert match(pattern, "/v1/workers/1/dump") is None
    for text in ("0", "-1", "4096", "00000000001", "\u0663"):
        with pytest.raises(Refused):
            match(pattern, f"/v1/workers/{text}/restart")


def test_scaling_knows_the_new_number_from_a_difference() -> None:
    absolute = act("/v1/scale", {"workers": 5})
    assert isinstance(absolute, ScaleRequested)
    assert (absolute.change, absolute.relative) == (5, False)
    relative = act("/v1/scale", {"by": -3})
    assert isinstance(relative, ScaleRequested)
    assert (relative.change, relative.relative) == (-3, True)


def act(path: str, values: dict[str, int]) -> object:
    call = understand(Request("POST", path, body=values))
    assert call.command.act is not None
    return call.command.act(Asked(ORIGIN, None, Slot(0), call.values))


def test_a_restart_that_is_not_waited_for_is_one_still() -> None:
    call = understand(Request("POST", "/v1/workers/2/restart", body={"wait": False}))
    assert not call.waits
    assert call.command.act is not None
    assert call.command.act(Asked(ORIGIN, None, call.slot, call.values)) == RestartRequested(ORIGIN, Slot(2), None)


def test_a_row_of_ctl_is_found_by_its_word() -> None:
    assert command_of("scale").summary == "Change the number of workers."
    with pytest.raises(KeyError):
        command_of("upgrade")


def test_to_anybody_only_probes_and_figures_are_open_and_nothing_that_acts() -> None:
    assert {command.path for command in OPEN_COMMANDS} == {"/healthz", "/readyz", "/metrics"}
    assert all(command.act is None for command in OPEN_COMMANDS)
    with pytest.raises(Refused, match="no such path: /v1/stop; there are /metrics, /healthz, /readyz"):
        understand(Request("POST", "/v1/stop"), OPEN_COMMANDS)
    with pytest.raises(Refused, match="POST is not offered, only GET"):
        understand(Request("POST", "/healthz"), OPEN_COMMANDS)
