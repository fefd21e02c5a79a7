"""`supervisor-d init`: prints what runs one command line elsewhere; each command takes every setting of `run`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from supervisor_d.settings.flags import SettingsCommand

if TYPE_CHECKING:
    from supervisor_d.init.plan import Plan


@click.group(short_help="Print what runs an application elsewhere.")
def init() -> None:
    """Print what runs an application elsewhere, for the very command line that is given."""


@init.command(
    "systemd",
    cls=SettingsCommand,
    short_help="A systemd unit.",
    params=[click.Option(["--socket"], is_flag=True, help="The .socket unit that opens the listeners.")],
)
def init_systemd(flags: Mapping[str, object], socket: bool) -> None:
    """Print the unit that runs APP with these settings, from this directory, with this interpreter.

    Save it as /etc/systemd/system/NAME.service. With --socket the matching NAME.socket is printed: systemd then opens
    the listeners, and nothing is refused while the service restarts.
    """
    from supervisor_d.init import systemd  # here, as below: other commands need not load what only these do

    plan = planned(flags)
    click.echo(systemd.socket(plan) if socket else systemd.service(plan), nl=False)


def planned(flags: Mapping[str, object]) -> Plan:
    """The plan for what the command line and the environment say."""
    from supervisor_d.init.plan import plan_of
    from supervisor_d.settings.resolve import resolve

    return plan_of(resolve(flags, os.environ))
