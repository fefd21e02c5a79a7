"""One booted systemd for all tests here, and a service on it for each; skipped, with the reason, where none can be."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.machine import Machine, booted, obstacle
from tests.helpers.units import Service


@pytest.fixture(scope="package")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    reason = obstacle()
    if reason is not None:
        pytest.skip(f"no systemd can be booted here: {reason}")
    with booted(tmp_path_factory.mktemp("machine")) as started:
        yield started


@pytest.fixture
def service(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    tmp_path.chmod(0o755)  # the service is nobody in particular
    monkeypatch.chdir(tmp_path)
    name = f"web-{uuid.uuid4().hex[:8]}"
    made = Service(machine, tmp_path, name)
    yield made
    machine.ctl("stop", f"{name}.socket", made.unit, check=False)
