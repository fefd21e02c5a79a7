"""A plan as a container image and a compose file. Pure.

In a container the command line is the same but for three things: paths below the directory are below /app, requests
come from outside of its loopback, and probes have an address.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import PurePosixPath
from typing import Final

from supervisor_d.errors import ConfigurationError
from supervisor_d.init import upstream
from supervisor_d.init.plan import Plan
from supervisor_d.init.upstream import Front, Upstream, refuse_proxy_protocol
from supervisor_d.settings.declaration import DaemonSettings
from supervisor_d.settings.values.address import TcpAddress, parse_address

HOME: Final = "/app"
ADMIN_PORT: Final = 9000
STOP_MARGIN_S: Final = 5
"""What an engine waits longer than the daemon's own budget for a stop. Chosen."""

IMAGE_USER: Final = 65534
"""nobody, by its number: Kubernetes' runAsNonRoot does not know names."""

DOCKERFILE: Final = """\
# syntax=docker/dockerfile:1
# Printed by `supervisor-d init docker`. Needs requirements.txt beside it; pip and compilers stay in the first stage.
FROM python:{python}-slim AS build
WORKDIR /app
RUN python -m venv .venv
# The dependencies first: this layer is made anew only when they change.
COPY requirements.txt ./
RUN --mount=type=cache,target=/root/.cache/pip .venv/bin/pip install supervisor-d -r requirements.txt
COPY . .
# Bytecode now, since nothing can be written later; and no pip where nothing is installed any more.
RUN .venv/bin/python -m pip uninstall -q -y pip && .venv/bin/python -m compileall -q -j 0 .

FROM python:{python}-slim
WORKDIR /app
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER {user}:{user}
EXPOSE {port} {admin}
# Ready: a worker serves and no stop was asked for. The control socket needs no place on a disk.
HEALTHCHECK --interval=10s --timeout=5s --start-period={start}s CMD [{health}]
# As PID 1 it reaps, obeys SIGTERM within {stop} s, and exits with the truth.
ENTRYPOINT ["supervisor-d"]
CMD {command}
"""

DOCKERIGNORE: Final = """\
.git
.venv
**/__pycache__
Dockerfile
compose.yaml
"""

COMPOSE: Final = """\
# Printed by `supervisor-d init compose`; beside it the Dockerfile of `init docker` and nginx.conf of `--nginx`.
services:
  app:
    build: .
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: {grace}s
    restart: unless-stopped
    expose: ["{port}", "{admin}"]
    # Only nginx reaches it, so what nginx says of its clients is believed.
    environment:
      FORWARDED_ALLOW_IPS: "*"
    # `--workers auto` counts these.
    cpus: 2
    mem_limit: 512m
  nginx:
    image: nginx:stable
    depends_on:
      app:
        condition: service_healthy
    ports: ["8080:80"]
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    restart: unless-stopped
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """What of a plan an engine needs to know: `arguments` are those of the image's entry point."""

    name: str
    arguments: tuple[str, ...]
    port: int
    admin_port: int
    stop_s: float
    boot_s: float
    workers: int
    control_socket: str = ""

    @property
    def grace_s(self) -> int:
        """How long an engine is to wait between SIGTERM and SIGKILL."""
        return int(-(-self.stop_s // 1)) + STOP_MARGIN_S


def image_of(plan: Plan) -> Image:
    """The plan in a container; ConfigurationError for what cannot be in one."""
    daemon = plan.settings.daemon
    refuse_what_a_host_gives(daemon)
    arguments = [inside(text, plan.directory) for text in plan.arguments]
    addresses = daemon.bind
    if addresses == DaemonSettings().bind:
        addresses = ("0.0.0.0:8000",)
        arguments += ["--bind", addresses[0]]
    admin = daemon.admin_bind
    if not admin:
        admin = f"0.0.0.0:{ADMIN_PORT}"
        arguments += ["--admin-bind", admin]
    return Image(
        name=plan.name,
        arguments=("run", *arguments),
        port=port_of(addresses, "bind"),
        admin_port=port_of((admin,), "admin-bind"),
        stop_s=plan.stop_s,
        boot_s=plan.boot_s,
        workers=daemon.workers,
        control_socket=daemon.control_socket,
    )


def refuse_what_a_host_gives(daemon: DaemonSettings) -> None:
    """Refuse what a start in a container would fail for: another user, and descriptors that nothing opens there."""
    wrong = {
        f"{name}: must be left out in a container, all of which runs as {IMAGE_USER} (USER in the image), not {given}"
        for name, given in (("user", daemon.user), ("group", daemon.group))
        if given
    }
    if daemon.ready_fd != DaemonSettings().ready_fd:
        wrong.add(f"ready-fd: must be off in a container, where nothing opens descriptor {daemon.ready_fd}")
    if handed := [text for text in daemon.bind if text.startswith("fd://")]:
        wrong.add(f"bind: must be an address in a container, where nothing passes a socket, not {', '.join(handed)}")
    if wrong:
        raise ConfigurationError(*sorted(wrong))


def inside(text: str, directory: str) -> str:
    """A path below the directory as it is in the image; other absolute paths are not copied."""
    path = PurePosixPath(text)
    return str(PurePosixPath(HOME) / path.relative_to(directory)) if path.is_relative_to(directory) else text


def port_of(addresses: tuple[str, ...], setting: str) -> int:
    for address in map(parse_address, addresses):
        if (
            isinstance(address, TcpAddress)
            and address.port
            and not address.host.startswith(("127.", "::1", "localhost"))
        ):
            return address.port
    raise ConfigurationError(
        f"{setting}: must have a port that is reached from outside the container, not {', '.join(addresses)}; "
        f"give --{setting} 0.0.0.0:8000, or another port"
    )


def dockerfile(image: Image, python: str = f"{sys.version_info.major}.{sys.version_info.minor}") -> str:
    """The image's recipe, upon the Python of this version. Raises ConfigurationError: its health check asks ctl."""
    if image.control_socket == "off":
        raise ConfigurationError(
            "control-socket: must not be off in an image, whose health check asks it; leave it out"
        )
    chosen = ["--socket", image.control_socket] if image.control_socket else []
    return DOCKERFILE.format(
        health=", ".join(map(json.dumps, ("supervisor-d", "ctl", *chosen, "health", "--ready"))),
        python=python,
        user=IMAGE_USER,
        port=image.port,
        admin=image.admin_port,
        start=int(-(-image.boot_s // 1)),
        stop=f"{image.stop_s:g}",
        command=json.dumps(list(image.arguments)),
    )


def upstream_of(plan: Plan) -> Upstream:
    """The plan's daemon before the nginx of the compose file. Raises ConfigurationError."""
    refuse_proxy_protocol(plan.settings.server, "nginx")
    # A flag overrules the compose file's variable.
    allowed = plan.settings.server.forwarded_allow_ips if "--forwarded-allow-ips" in plan.arguments else "*"
    servers = (TcpAddress("app", image_of(plan).port),)
    return upstream.upstream_of(plan.settings, servers, Front("nginx", allowed=allowed))


def compose(image: Image) -> str:
    return COMPOSE.format(grace=image.grace_s, port=image.port, admin=image.admin_port)
