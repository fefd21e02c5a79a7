"""Which reader a file is for: by its name, then by what it begins with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from supervisor_d.compat.migrate import compose, dockerfile, unit
from supervisor_d.compat.migrate.found import FoundCommand, in_shell
from supervisor_d.errors import ConfigurationError

ACCEPTED: Final = (
    "a command line, a Dockerfile, a systemd unit (*.service), a compose file (*.yml, *.yaml), a Procfile, "
    "or a shell script"
)


def read_file(path: Path, given: Mapping[str, str], service: str) -> FoundCommand:
    """The peer's command line in a file; ConfigurationError if it cannot be read or holds none."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error.strerror if isinstance(error, OSError) else 'not UTF-8'}") from None
    source, name = str(path), path.name.lower()
    if path.suffix == ".py":
        return FoundCommand("gunicorn", ("-c", source), given, "", source)
    if path.suffix in {".yml", ".yaml"}:
        return compose.read(text, source, given, service)
    if path.suffix == ".service" or "[Service]" in text:
        return unit.read(text, source, given)
    if name.startswith("dockerfile") or name.endswith((".dockerfile", "containerfile")):
        return dockerfile.read(text, source, given)
    if name.startswith("procfile"):
        return _procfile(text, source, given)
    if text.startswith("#!"):
        return _script(text, source, given)
    raise ConfigurationError(f"{path}: not known what this is; accepted: {ACCEPTED}")


def _procfile(text: str, source: str, given: Mapping[str, str]) -> FoundCommand:
    for number, line in enumerate(text.splitlines(), 1):
        kind, _, command = line.partition(":")
        if kind.strip() == "web":
            return in_shell(command, given, source=f"{source}:{number}")
    raise ConfigurationError(f"{source}: no `web:` process")


def _script(text: str, source: str, given: Mapping[str, str]) -> FoundCommand:
    """The last command of a shell script that starts a peer; what else the script does stays its own."""
    lines = text.replace("\\\n", " ").splitlines()
    for line in reversed(lines):
        try:
            return in_shell(line, given, source=source)
        except ConfigurationError as error:
            if "is not known" in str(error):
                raise
    raise ConfigurationError(f"{source}: no line of it starts a server that is known")
