"""The files in contrib as `init` prints them; `python -m supervisor_d.init.reference` writes them anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from supervisor_d.errors import ConfigurationError
from supervisor_d.init import caddy, haproxy, kubernetes, nginx, systemd
from supervisor_d.init.container import DOCKERIGNORE, compose, dockerfile, image_of, upstream_of
from supervisor_d.init.plan import Plan, arguments_of, plan_of
from supervisor_d.settings.resolve import resolve

EXAMPLE_PYTHON = "3.13"


def sample(**flags: object) -> Plan:
    """A plan for main:app in /srv/app, whose directory has the virtual environment."""
    resolved = resolve({"app": "main:app", "name": "app", **flags}, {}, start="/")
    return dataclasses.replace(
        plan_of(resolved),
        program=("/srv/app/.venv/bin/supervisor-d",),
        arguments=tuple(arguments_of(resolved)),
        directory="/srv/app",
        home="/srv/app",
        needs=("/srv/app",),
        closed=(),
    )


def template() -> Plan:
    """The plan of a unit for many applications: each in /srv/NAME, its settings in /etc/supervisor-d/NAME.toml."""
    return dataclasses.replace(
        sample(),
        name="%i",
        program=("/srv/%i/.venv/bin/supervisor-d",),
        arguments=("--config", "/etc/supervisor-d/%i.toml", "--name", "%i"),
        directory="/srv/%i",
        home="/srv/%i",
        needs=("/srv",),
    )


def files() -> Mapping[str, str]:
    """Every generated file by its path in contrib."""
    plan = sample(workers="auto", bind=("0.0.0.0:8000",))
    own = "An example; `supervisor-d init systemd APP [options]` prints the unit for your own command line."
    many = "For many applications: NAME in /srv/NAME with its .venv, app and bind in /etc/supervisor-d/NAME.toml."
    image = image_of(dataclasses.replace(plan, directory="/srv/app"))
    pod = sample(workers="auto", shutdown_delay="5s")
    base = {f"kubernetes/base/{name}": text for name, text in kubernetes.manifests(pod).items()}
    return {
        **base,
        "kubernetes/base/kustomization.yaml": kubernetes.kustomization(),
        "docker/Dockerfile": dockerfile(image, EXAMPLE_PYTHON),
        "docker/.dockerignore": DOCKERIGNORE,
        "docker/compose.yaml": compose(image),
        "docker/nginx.conf": nginx.conf(upstream_of(plan)),
        "haproxy/haproxy.cfg": haproxy.conf(sample()),
        "caddy/Caddyfile": caddy.conf(caddy.upstream_for(sample())),
        "systemd/supervisor-d.service": systemd.service(plan, origin=own),
        "systemd/supervisor-d.socket": systemd.socket(plan, origin=own),
        "systemd/supervisor-d@.service": systemd.service(template(), origin=many, is_template=True),
    }


def write(folder: Path) -> None:
    """Write every file into a folder that is there."""
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: not there; run this from a checkout")
    for name, text in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).resolve().parents[2] / "contrib")
