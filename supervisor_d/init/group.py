"""`supervisor-d init`: prints what runs one command line elsewhere; each command takes every setting of `run`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import click

from supervisor_d.settings.flags import SettingsCommand

if TYPE_CHECKING:
    from supervisor_d.init.plan import Plan

SHUTDOWN_DELAY = "5s"
"""Chosen: endpoints are taken out of kube-proxy and ingress controllers within a second or two, usually."""

FRONT_GROUP = "Group of the front end's user: its members may connect to the Unix sockets of --bind."


@click.group(short_help="Print what runs an application elsewhere.")
def init() -> None:
    """Print what runs an application elsewhere, for the very command line that is given."""


@init.command(
    "systemd",
    cls=SettingsCommand,
    short_help="A systemd unit.",
    params=[
        click.Option(["--socket"], is_flag=True, help="The .socket unit that opens the listeners."),
        click.Option(["--front-group"], default="", metavar="GROUP", help=FRONT_GROUP),
    ],
)
def init_systemd(flags: Mapping[str, object], socket: bool, front_group: str) -> None:
    """Print the unit that runs APP with these settings, from this directory, with this interpreter.

    Save it as /etc/systemd/system/NAME.service. With --socket the matching NAME.socket is printed: systemd then opens
    the listeners, and nothing is refused while the service restarts.
    """
    from supervisor_d.init import systemd  # here, as below: other commands need not load what only these do

    plan = planned(flags)
    unit = systemd.socket(plan, front_group) if socket else systemd.service(plan, front_group)
    click.echo(unit, nl=False)


@init.command("docker", cls=SettingsCommand, short_help="A Dockerfile.")
def init_docker(flags: Mapping[str, object]) -> None:
    """Print the Dockerfile of an image that runs APP with these settings; its context is this directory."""
    from supervisor_d.init import container

    click.echo(container.dockerfile(container.image_of(planned(flags))), nl=False)


@init.command("compose", cls=SettingsCommand, short_help="A compose file with nginx in front.")
@click.option("--nginx", is_flag=True, help="The nginx.conf that the compose file mounts.")
def init_compose(flags: Mapping[str, object], nginx: bool) -> None:
    """Print the compose file for the image of `init docker`, or with --nginx the nginx.conf beside it."""
    from supervisor_d.init import container
    from supervisor_d.init.nginx import conf

    plan = planned(flags)
    upstream = container.upstream_of(plan)
    click.echo(conf(upstream) if nginx else container.compose(container.image_of(plan)), nl=False)


@init.command("kubernetes", cls=SettingsCommand, short_help="Manifests for Kubernetes.")
def init_kubernetes(flags: Mapping[str, object]) -> None:
    """Print the manifests for the image of `init docker`: deployment, service, budget, autoscaler, monitor, ingress.

    Unless shutdown-delay is given it is 5 s here: for so long a pod that ends still accepts, until every load balancer
    knows that it is not ready.
    """
    from supervisor_d.init import kubernetes

    click.echo(kubernetes.stream(planned({"shutdown_delay": SHUTDOWN_DELAY, **given(flags)})), nl=False)


def for_a_front(name: str, file: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command that prints a front end's file."""
    group = click.Option(["--front-group"], default="", metavar="GROUP", help=FRONT_GROUP)
    return init.command(name, cls=SettingsCommand, short_help=file, params=[group])


@for_a_front("nginx", "An nginx.conf for the same machine.")
def init_nginx(flags: Mapping[str, object], front_group: str) -> None:
    """Print the nginx.conf of an nginx on the same machine, in front of what these settings serve."""
    from supervisor_d.init.nginx import conf, upstream_for

    click.echo(conf(upstream_for(planned(flags), front_group)), nl=False)


@for_a_front("haproxy", "A haproxy.cfg for the same machine.")
def init_haproxy(flags: Mapping[str, object], front_group: str) -> None:
    """Print the haproxy.cfg of a HAProxy on the same machine, in front of what these settings serve.

    With --proxy-protocol it passes bytes on, behind a PROXY header.
    """
    from supervisor_d.init.haproxy import conf

    click.echo(conf(planned(flags), front_group), nl=False)


@for_a_front("caddy", "A Caddyfile for the same machine.")
def init_caddy(flags: Mapping[str, object], front_group: str) -> None:
    """Print the Caddyfile of a Caddy on the same machine, in front of what these settings serve."""
    from supervisor_d.init.caddy import conf, upstream_for

    click.echo(conf(upstream_for(planned(flags), front_group)), nl=False)


def given(flags: Mapping[str, object]) -> Mapping[str, object]:
    """The flags that were given."""
    return {name: value for name, value in flags.items() if value is not None and value != ()}


def planned(flags: Mapping[str, object]) -> Plan:
    """The plan for what the command line and the environment say."""
    from supervisor_d.init.plan import plan_of
    from supervisor_d.init.target import Target
    from supervisor_d.settings.resolve import resolve

    return plan_of(resolve(flags, os.environ, host=Target()))
