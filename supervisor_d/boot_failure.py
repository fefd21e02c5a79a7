"""Why the last worker that could not boot could not: the last thing that a daemon says which ends by that."""

from __future__ import annotations

from collections.abc import Mapping


class LastBootFailure:
    """Remembers why the last worker that could not boot could not."""

    def __init__(self) -> None:
        self.fields: Mapping[str, object] | None = None

    def __call__(self, event: Mapping[str, object]) -> None:
        if event["event"] == "worker.boot_failed":
            self.fields = {name: event[name] for name in ("stage", "traceback") if name in event}

    @property
    def in_short(self) -> str:
        """One line: what the traceback ends with."""
        traceback = str((self.fields or {}).get("traceback", "")).strip()
        return f"the application could not boot: {traceback.rpartition(chr(10))[2] or 'see the log'}"
