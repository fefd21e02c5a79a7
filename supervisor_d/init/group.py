"""`supervisor-d init`: prints what runs one command line elsewhere; each command takes every setting of `run`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from supervisor_d.settings.flags import SettingsCommand

if TYPE_CHECKING:
    from supervisor_d.init.plan import Plan

SHUTDOWN_DELAY = "5s"
"""Chosen: endpoints are taken out of kube-proxy and ingress controllers within a second or two, usually."""


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

    image = container.image_of(planned(flags))
    click.echo(conf([f"app:{image.port}"]) if nginx else container.compose(image), nl=False)


@init.command("kubernetes", cls=SettingsCommand, short_help="Manifests for Kubernetes.")
def init_kubernetes(flags: Mapping[str, object]) -> None:
    """Print the manifests for the image of `init docker`: deployment, service, budget, autoscaler, monitor, ingress.

    Unless shutdown-delay is given it is 5 s here: for so long a pod that ends still accepts, until every load balancer
    knows that it is not ready.
    """
    from supervisor_d.init import container, kubernetes

    image = container.image_of(planned({"shutdown_delay": SHUTDOWN_DELAY, **given(flags)}))
    click.echo(kubernetes.stream(image), nl=False)


@init.command("nginx", cls=SettingsCommand, short_help="An nginx.conf for the same machine.")
def init_nginx(flags: Mapping[str, object]) -> None:
    """Print the nginx.conf of an nginx on the same machine, in front of what --bind says."""
    from supervisor_d.init.nginx import conf, upstreams_of

    click.echo(conf(upstreams_of(planned(flags).settings.daemon.bind)), nl=False)


def given(flags: Mapping[str, object]) -> Mapping[str, object]:
    """The flags that were given."""
    return {name: value for name, value in flags.items() if value is not None and value != ()}


def planned(flags: Mapping[str, object]) -> Plan:
    """The plan for what the command line and the environment say."""
    from supervisor_d.init.plan import plan_of
    from supervisor_d.settings.resolve import resolve

    return plan_of(resolve(flags, os.environ))
