"""`supervisor-d ctl`: each command asks a running daemon over its control socket and shows the answer.

Exit codes: 0 done, 1 refused or failed, 2 usage, 3 no daemon there. What was asked for goes to standard output, what
went wrong to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping

import click

from server_core.exit_codes import EXIT_USAGE
from supervisor_d.control.client import client, discovery
from supervisor_d.control.client.derived_commands import derived_command
from supervisor_d.control.client.discovery import Found
from supervisor_d.control.client.option_position import PlacedGroup
from supervisor_d.control.client.page_reader import whole
from supervisor_d.control.command_types import Sending
from supervisor_d.control.commands import COMMANDS, FOLLOW, command_of
from supervisor_d.control.display import render
from supervisor_d.control.display.outcomes import OUTCOMES
from supervisor_d.control.display.safe_text import text
from supervisor_d.control.display.terminal import printable
from supervisor_d.control.peer import Trust, trust_in, user_called, usual_trust
from supervisor_d.errors import SupervisorError
from supervisor_d.launch import PROGRAM

Object = Mapping[str, object]

as_json = click.option("--json", "as_json", is_flag=True, help="The object itself, as JSON.")


class Failed(SupervisorError):
    """The daemon's: it refused, or could not do, what was asked."""


class NotNamed(SupervisorError):
    """The operator's: what changes another user's daemon must say which one it means."""

    exit_code = EXIT_USAGE


class Target:
    """Which daemon the options mean; looked for when it is needed, after the usage was checked."""

    def __init__(self, socket: str, name: str, trust: Trust) -> None:
        self._socket = socket
        self._name = name
        self.trust = trust

    def find(self, *, changes: bool) -> str:
        """The address. A daemon that was not named is shown before it is changed, and must be the user's own."""
        found = discovery.find(self._socket, os.environ, self._name, self.trust)
        for doubt in found.passed_over:
            click.echo(f"{PROGRAM}: passed over: {printable(doubt)}", err=True)
        if changes and not found.is_named:
            self._introduce(found)
        return found.address

    def _introduce(self, found: Found) -> None:
        _, told = client.call(found.address, "GET", "/v1/status", trust=self.trust)
        facts = told if isinstance(told, Mapping) else {}
        name, pid, app = (printable(str(facts.get(key))) for key in ("name", "pid", "app"))
        uid = found.peer.uid if found.peer is not None else None
        if uid != os.geteuid():
            whose = user_called(uid) if uid is not None else "an unknown user"
            raise NotNamed(
                f"the only daemon here is {name}, pid {pid}, with {app}, of {whose} and not yours; "
                f"to change it, name it: --name {name} or --socket {found.address}"
            )
        click.echo(f"{PROGRAM}: {name}, pid {pid}, with {app}", err=True)


def expected(_: click.Context, __: click.Parameter, value: str) -> Trust:
    """Whose daemons are believed."""
    try:
        return trust_in(value) if value else usual_trust()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group(cls=PlacedGroup, short_help="Ask and steer a running daemon.")
@click.option(
    "--socket",
    "socket",
    metavar="PATH|@NAME|NAME",
    default="",
    help=f"Which daemon: its control socket or its name.  [variable {discovery.VARIABLE}; default: the only one]",
)
@click.option("--name", "name", metavar="NAME", default="", help="Which daemon, by its name alone.")
@click.option(
    "--expect-user",
    "trust",
    metavar="USER",
    default="",
    callback=expected,
    help="Believe a daemon of this user, too: a name or a uid.  [default: root and your own user]",
)
@click.pass_context
def ctl(ctx: click.Context, socket: str, name: str, trust: Trust) -> None:
    """Ask and steer a running daemon. Exit codes: 0 done, 1 refused or failed, 2 usage, 3 no daemon there."""
    if socket and name:
        raise click.UsageError("--socket and --name both say which daemon; leave out one of them")
    ctx.obj = Target(socket, name, trust)


@ctl.command("health", help=command_of("health").summary)
@click.option("--ready", is_flag=True, help="Fail unless requests may be sent to it: a worker is ready, no stop asked.")
def health(ready: bool) -> None:
    if not ready:
        told = ask("GET", "/healthz")
        click.echo(f"{text(told, 'name')}: healthy, pid {told['pid']}")
        return
    status, told = call("GET", "/readyz")
    if status != 200:
        raise Failed(f"not ready: {render.readiness(told)}")
    click.echo(f"ready: {render.readiness(told)}")


@ctl.command("events", help=command_of("events").summary)
@click.option(FOLLOW.flag, "-f", is_flag=True, help=FOLLOW.flag_help)
@as_json
def events(follow: bool, as_json: bool) -> None:
    if not follow:
        show(whole(read, "/v1/events", "events"), as_json, lambda told: render.events(told, colour=colour()))
        return
    try:
        for told in stream("GET", "/v1/events?follow=1"):
            if "event" not in told:
                raise Failed(render.refusal(told))
            click.echo(json.dumps(told) if as_json else render.event(told, colour=colour()))
    except KeyboardInterrupt:
        return  # how following ends


def carry_out(sent: Sending, as_json: bool) -> None:
    """Send one command's request and show its answer."""
    if sent.command.streams and sent.waits:
        follow(sent)
        return
    told = whole(read, sent.path, sent.command.word) if "after" in sent.command.query else answered(sent)
    show(told, as_json, lambda told: OUTCOMES[sent.command.ctl](sent, told, colour()))


def answered(sent: Sending) -> Object:
    return ask(sent.command.method, sent.path, sent.body or None)


def follow(sent: Sending) -> None:
    """Show the progress, then how it ended; Failed, after the application's traceback, if not well."""
    for told in stream(sent.command.method, sent.path, sent.body or None):
        if "status" not in told:
            click.echo(render.progress(told))
            continue
        if told["status"] == 200:
            click.echo(OUTCOMES[sent.command.ctl](sent, told, colour()))
            return
        show_traceback(told)
        raise Failed(OUTCOMES[sent.command.ctl](sent, told, False))
    raise Failed("the daemon went away before it had a verdict")


for row in COMMANDS:
    if row.ctl in OUTCOMES:
        ctl.add_command(derived_command(row, carry_out))


def target() -> Target:
    found: object = click.get_current_context().obj
    assert isinstance(found, Target)
    return found


def call(method: str, path: str, body: Object | None = None) -> tuple[int, Object]:
    """The status and the answer's object; Failed if it is none."""
    meant = target()
    status, told = client.call(meant.find(changes=method != "GET"), method, path, body, trust=meant.trust)
    if not isinstance(told, Mapping):
        raise Failed(render.refusal(told))
    return status, told


def stream(method: str, path: str, body: Object | None = None) -> Iterator[Object]:
    """The objects of an answer as they come."""
    meant = target()
    return client.stream(meant.find(changes=method != "GET"), method, path, body, trust=meant.trust)


def ask(method: str, path: str, body: Object | None = None) -> Object:
    """The answer's object; Failed with its reason if it is a refusal or a failure."""
    status, told = call(method, path, body)
    if not 200 <= status < 300:
        show_traceback(told)
        raise Failed(render.refusal(told))
    return told


def read(path: str) -> Object:
    return ask("GET", path)


def show_traceback(told: object) -> None:
    """The application's own account of what went wrong, if the answer has one."""
    traceback = told.get("traceback") if isinstance(told, Mapping) else None
    for line in str(traceback or "").splitlines():
        click.echo(printable(line), err=True)


def show(told: Object, as_json: bool, rendering: Callable[[Object], str]) -> None:
    click.echo(json.dumps(told, indent=2) if as_json else rendering(told))


def colour() -> bool:
    """Colours for a terminal alone, and not where NO_COLOR is set (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
