"""pip's settings on this machine, for a pip in a chroot: indexes, certificates, and the directories that they name."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

Settings = Mapping[str, str]


def here() -> Settings:
    """Every setting by its key; variables (PIP_...) win over files, as pip has it."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return parse(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def parse(listed: str) -> Settings:
    """What `pip config list` prints: section.key='value'."""
    found: dict[str, str] = {}
    by_variable: dict[str, str] = {}
    for line in listed.splitlines():
        name, equals, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if equals and section in (":env:", "global", "install"):
            (by_variable if section == ":env:" else found)[key] = str(ast.literal_eval(value))
    return {**found, **by_variable}


def document(settings: Settings) -> str:
    """A pip.conf."""
    lines = [f"{key} = {' '.join(value.split())}" for key, value in sorted(settings.items())]
    return "\n".join(["[global]", *lines, ""])


def paths(settings: Settings) -> list[Path]:
    """The files and directories of this machine that the settings name; of an index, whose files may lie beside it,
    the directory that it is in. None that is so near to the root that it would hide what a system needs."""
    found = set()
    for value in settings.values():
        for word in value.split():
            path = Path(unquote(urlsplit(word).path)).parent if word.startswith("file:") else Path(word)
            if path.is_absolute() and path.exists() and len(path.parts) > 2:
                found.add(path)
    return sorted(path for path in found if not any(other in path.parents for other in found))
