"""What a re-read configuration changes."""

from __future__ import annotations

from server_core.settings.declaration import ServerSettings
from supervisor_d.settings.declaration import DaemonSettings, Settings
from supervisor_d.settings.difference import difference
from supervisor_d.vocabulary import Change

OLD = Settings(daemon=DaemonSettings(), server=ServerSettings(app="main:app"))


def test_nothing_changed_is_no_change() -> None:
    assert difference(OLD, Settings(daemon=DaemonSettings(), server=ServerSettings(app="main:app"))) == ()


def test_each_change_is_told_as_text_with_what_can_apply_it() -> None:
    new = Settings(
        daemon=DaemonSettings(workers=4, bind=("127.0.0.1:1", "unix:/x"), unix_mode=0o600),
        server=ServerSettings(app="main:app", graceful_timeout=90.0, server_header=False),
    )
    assert set(difference(OLD, new)) == {
        Change("workers", "1", "4", "reload"),
        Change("bind", "127.0.0.1:8000", "127.0.0.1:1, unix:/x", "restart"),
        Change("unix-mode", "0660", "0600", "restart"),
        Change("graceful-timeout", "30s", "90s", "reload"),
        Change("server-header", "on", "off", "reload"),
    }
