"""systemd-journald on the machine of the tests, with a journal in memory, and what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from tests.helpers.machine import Machine

JOURNAL_SOCKET: Final = """\
[Unit]
DefaultDependencies=no
[Socket]
ListenDatagram=/run/systemd/journal/socket
ListenStream=/run/systemd/journal/stdout
PassCredentials=yes
SocketMode=0666
Service=systemd-journald.service
"""

JOURNAL_SERVICE: Final = """\
[Unit]
DefaultDependencies=no
[Service]
Type=notify
ExecStart=/lib/systemd/systemd-journald
Sockets=systemd-journald.socket
RuntimeDirectory=systemd/journal
RuntimeDirectoryPreserve=yes
StandardOutput=null
"""


def start_journal(machine: Machine) -> None:
    machine.add("systemd-journald.socket", JOURNAL_SOCKET)
    machine.add("systemd-journald.service", JOURNAL_SERVICE)
    machine.ctl("start", "systemd-journald.socket", "systemd-journald.service")


def entries(machine: Machine, unit: str) -> Iterator[Mapping[str, object]]:
    """What the journal has of a unit, oldest first, with the journal's own fields."""
    machine.run("journalctl", "--sync")
    for line in machine.run("journalctl", "--no-pager", "-o", "json", "-u", unit).stdout.splitlines():
        entry: object = json.loads(line)
        assert isinstance(entry, dict)
        yield entry
