"""What `check` finds out about an intent before it is deployed: settings, addresses, workers, budget, and a boot."""

from __future__ import annotations

from collections.abc import Iterator

from server_core.settings.option import parse_seconds, plain
from server_core.tls.checks import tls_expiries
from supervisor_d import clock
from supervisor_d.cli.boot_check import boot_once
from supervisor_d.errors import ConfigurationError
from supervisor_d.policy.shutdown import total_budget_s
from supervisor_d.settings.application.location import locate
from supervisor_d.settings.declaration import Settings
from supervisor_d.settings.policy_terms import terms
from supervisor_d.settings.resolve import Resolved
from supervisor_d.settings.sources.provenance import Origin
from supervisor_d.settings.values.capacity import usable_cpus
from supervisor_d.settings.values.value_types import AUTO
from supervisor_d.vocabulary import Terms


def check(resolved: Resolved, grace: str | None) -> Iterator[str]:
    """What is found out, line by line as it is; ConfigurationError or BootError for what is wrong.

    `grace` is the time that a stop may take at most, such as Kubernetes' terminationGracePeriodSeconds.
    """
    settings = resolved.settings
    agreed = terms(settings, pid1=False)
    given = sum(source.origin is not Origin.DEFAULT for source in resolved.provenance.values())
    yield f"settings   ok, {given} of {len(resolved.provenance)} given; see `supervisor-d config`"
    yield f"listeners  {', '.join(settings.daemon.bind)} (not opened)"
    yield f"workers    {workers(settings, agreed)}"
    budget = total_budget_s(agreed)
    yield f"stop       takes {plain(budget)} s at most"
    if grace is not None and (allowed := parse_grace(grace)) < budget:
        raise ConfigurationError(
            f"grace: a stop may take {plain(budget)} s, more than {plain(allowed)} s (flag --grace); "
            f"lower shutdown-delay ({plain(agreed.shutdown_delay)} s) or "
            f"graceful-timeout ({plain(agreed.graceful_timeout)} s)"
        )
    location = locate(settings, resolved.start, searched=resolved.searched)
    for expiry in tls_expiries(location.server, clock.wall()):
        yield f"warning    {expiry}"
    boot = boot_once(settings, agreed, location)
    yield f"app        {settings.server.app} booted in {boot.boot_s:.2f} s and stopped in {boot.stop_s:.2f} s"


def workers(settings: Settings, agreed: Terms) -> str:
    if settings.daemon.workers != AUTO:
        return str(agreed.workers)
    return f"{agreed.workers}, the least of: {'; '.join(usable_cpus().reasons)}"


def parse_grace(text: str) -> float:
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise ConfigurationError(f"grace: {error} (flag --grace)") from None
