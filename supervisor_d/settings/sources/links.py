"""Variables that Kubernetes and Docker set for a Service or a linked container whose name begins as ours does. Pure.

Into every pod Kubernetes writes where each Service of its namespace is (service links), and Docker did the same for
--link. A Service called supervisor-d gives SUPERVISOR_D_PORT=tcp://10.0.0.11:80, one called supervisor-d-admin
SUPERVISOR_D_ADMIN_SERVICE_HOST=10.0.0.12. They are not meant as settings, and a start must not fail because of a name.

A name alone is not enough: SUPERVISOR_D_PORT=8000 is a mistake, and is refused. A variable is a link if its value is
what a link has, and it either cannot be mistaken (an anchor: an address with a protocol, the address of a service, the
path of a link) or has an anchor beside it whose name begins in the same way. Kubernetes, "Service", section
"Environment variables"; Docker, "Legacy container links", section "Environment variables".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

from supervisor_d.settings.table import PREFIX

_URL: Final = r"(?:tcp|udp|sctp)://(?P<host>[0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"
_PORT: Final = r"[0-9]{1,5}"
_EACH: Final = r"_PORT_[0-9]{1,5}_(?:TCP|UDP|SCTP)"

ANCHORS: Final[Mapping[str, str]] = {
    "_SERVICE_HOST": r"(?P<host>[0-9A-Fa-f:.]+)",
    "_PORT": _URL,
    f"{_EACH}(?:_START|_END)?": _URL,
    "_NAME": r"/[^/\s]+/[^\s]+",
}
"""What a link's name ends in, and the whole of its value: each is none that a setting could have."""

FOLLOWERS: Final[Mapping[str, str]] = {
    "_SERVICE_PORT(?:_[A-Z0-9_]+)?": _PORT,
    f"{_EACH}_PROTO": "tcp|udp|sctp",
    f"{_EACH}_PORT(?:_START|_END)?": _PORT,
    f"{_EACH}_ADDR": r"(?P<host>[0-9A-Fa-f:.]+)",
}
"""The same for what only stands beside an anchor. A Service's ports may have names."""

IN_THE_CONTAINER: Final = "_ENV_"
"""Docker: the linked container's own variables, with any value, beside its NAME."""


def links(environ: Mapping[str, str]) -> frozenset[str]:
    """The names of the variables with our prefix that are links and no settings."""
    ours = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    anchored = {name: stem for name, text in ours.items() for stem in _stems(name, text, ANCHORS)}
    named = tuple(f"{stem}{IN_THE_CONTAINER}" for name, stem in anchored.items() if name == f"{stem}_NAME")
    stems = set(anchored.values())
    return frozenset(
        name
        for name, text in ours.items()
        if name in anchored or stems.intersection(_stems(name, text, FOLLOWERS)) or name.startswith(named)
    )


def _stems(name: str, text: str, shapes: Mapping[str, str]) -> list[str]:
    """What the name begins with, before what makes it a link; more than one if it can be read in several ways."""
    found = []
    for ending, value in shapes.items():
        for start in re.finditer("(?=_)", name):
            stem, rest = name[: start.start()], name[start.start() :]
            if f"{stem}_".startswith(PREFIX) and re.fullmatch(ending, rest):
                matched = re.fullmatch(value, text)
                if matched is not None and _is_address(matched.groupdict().get("host")):
                    found.append(stem)
    return found


def _is_address(host: str | None) -> bool:
    """Whether this is an IP address, in brackets or not; True where there is none to look at."""
    if host is None:
        return True
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
