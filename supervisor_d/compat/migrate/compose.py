"""The command of a service in a compose file: command, entrypoint, environment, working_dir.

Source: the Compose specification, "services". The file is YAML, so that PyYAML is needed, which is not installed with
this distribution.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from supervisor_d.compat.migrate.found import FoundCommand, find, in_shell
from supervisor_d.errors import ConfigurationError


def read(text: str, source: str, given: Mapping[str, str], service: str) -> FoundCommand:
    """The command line of `service`, or of the only service that has one; ConfigurationError if there is none."""
    services = _services(text, source)
    if service and service not in services:
        raise ConfigurationError(f"{source}: no service {service!r}; there are {', '.join(sorted(services))}")
    named = {service: services[service]} if service else services
    commanded = [name for name, body in named.items() if body.get("command") or body.get("entrypoint")]
    if len(commanded) != 1:
        told = f"{', '.join(commanded)}: choose with --service" if commanded else "no service with a command"
        raise ConfigurationError(f"{source}: {told}")
    body = services[commanded[0]]
    known = {**_variables(body.get("environment")), **given}
    directory, where = str(body.get("working_dir") or ""), f"{source}, service {commanded[0]}"
    parts = [part for part in (body.get("entrypoint"), body.get("command")) if part]
    if all(isinstance(part, list) for part in parts):
        words = [str(word).replace("$$", "$") for part in parts for word in part]
        return find(words, known, directory=directory, source=where)
    line = " ".join(part if isinstance(part, str) else " ".join(map(str, part)) for part in parts)
    return in_shell(line.replace("$$", "$"), known, directory=directory, source=where)


def _services(text: str, source: str) -> dict[str, dict[str, Any]]:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise ConfigurationError(
            f"{source}: reading YAML needs PyYAML (pip install pyyaml); or give the service's command line itself"
        ) from None
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source}: not YAML: {' '.join(str(error).split())}") from None
    services = document.get("services") if isinstance(document, dict) else None
    if not isinstance(services, dict) or not all(isinstance(body, dict) for body in services.values()):
        raise ConfigurationError(f"{source}: a compose file has `services:` with a mapping for each")
    return services


def _variables(said: object) -> dict[str, str]:
    """`environment:` as a mapping or as a list; a name without a value comes from the caller's environment."""
    if isinstance(said, dict):
        return {str(name): str(value) for name, value in said.items() if value is not None}
    pairs = (str(item).partition("=") for item in said) if isinstance(said, list) else ()
    return {name: value for name, equals, value in pairs if equals}
