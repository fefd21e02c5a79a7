"""Everything the daemon raises on purpose; each error says whose fault it is and carries its exit code."""

from __future__ import annotations

from server_core.exit_codes import EXIT_BOOT_FAILED, EXIT_INTERNAL, EXIT_LISTENER, EXIT_OK, EXIT_USAGE


class SupervisorError(Exception):
    """Base of every error below; its text is one line for the person who can mend it."""

    exit_code: int = EXIT_INTERNAL


class ConfigurationError(SupervisorError):
    """The operator's: settings that are unknown, ill-formed or impossible. Says what, which value, from where.

    `problems` has one line for each; the text joins them.
    """

    exit_code = EXIT_USAGE

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ListenerError(SupervisorError):
    """The host's or the operator's: an address that cannot be bound, or a descriptor that is no listener."""

    exit_code = EXIT_LISTENER


class StoppedWaiting(SupervisorError):
    """No error: the daemon was asked to stop before it could listen."""

    exit_code = EXIT_OK


class ControlSocketError(SupervisorError):
    """The operator's: another living daemon owns the control socket, or its place cannot be made."""

    exit_code = EXIT_USAGE


class BootError(SupervisorError):
    """The application's: it cannot be imported, its lifespan fails, or it is not ready in time."""

    exit_code = EXIT_BOOT_FAILED


class HostError(SupervisorError):
    """The host's: it refuses the daemon itself what that cannot do without."""


class SpawnError(SupervisorError):
    """The host's: no process, descriptor or memory for a worker. A fact to the policy, never the end of the master."""
