"""admin-bind opens as bind does, and takes a passed socket only by its name."""

from __future__ import annotations

import socket

import pytest

from supervisor_d.errors import ListenerError
from supervisor_d.host.sockets.activation import Passed, chosen
from supervisor_d.host.sockets.admin_listener import open_admin_listeners
from supervisor_d.settings.values.address import parse_address
from tests.helpers.deadline import GENEROUS_S


def test_a_name_that_was_not_passed_is_refused() -> None:
    with pytest.raises(ListenerError, match=r"fd://admin: no socket of this name was passed \(admin-bind, from flag"):
        open_admin_listeners(parse_address("fd://admin"), "flag --admin-bind", 0o660, {})


def test_a_descriptor_is_taken_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        address = "{}:{}".format(*given.getsockname())
        (taken,) = open_admin_listeners(parse_address(f"fd://{given.fileno()}"), "flag", 0o660, {})
        given.detach()
    assert taken.address == address
    taken.close()


def test_a_free_port_is_bound() -> None:
    (bound,) = open_admin_listeners(parse_address("127.0.0.1:0"), "flag", 0o660, {})
    with socket.create_connection(("127.0.0.1", int(bound.address.rpartition(":")[2])), timeout=GENEROUS_S):
        bound.close()


def test_without_names_in_bind_every_passed_socket_is_served() -> None:
    passed = [Passed(3, "web"), Passed(4, "")]
    assert chosen(passed, [parse_address("127.0.0.1:8000")], "default") == passed
