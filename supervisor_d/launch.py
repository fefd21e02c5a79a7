"""From intent to a running daemon and its exit code: what the command line and a Python call share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

from server_core.runtime.gc_thresholds import few_collections
from supervisor_d.errors import ConfigurationError, SupervisorError
from supervisor_d.host.system import descriptors, standard_streams
from supervisor_d.host.system.signal_source import THIS_PROCESS
from supervisor_d.settings.resolve import resolve
from supervisor_d.settings.sources.provenance import Origin

PROGRAM = "supervisor-d"


def launch(flags: Mapping[str, object], origin: Origin, afterwards: Callable[[], None] = THIS_PROCESS.restore) -> int:
    """Run the daemon in this process until it ends; its exit code. Errors are printed on standard error.

    Signals are kept for it from the beginning, since to import it takes a tenth of a second; what becomes of them then
    is `afterwards`. By default the caller finds them as they were.
    """
    standard_streams.fill_gaps()
    try:
        descriptors.refuse_few()
        with THIS_PROCESS.held(afterwards):
            resolved = resolve(flags, os.environ, origin=origin)
            with few_collections():
                from supervisor_d.daemon import run_daemon  # here: a refused setting does not load the whole daemon
            return run_daemon(resolved)
    except SupervisorError as error:
        complain(error)
        return error.exit_code
    except OSError as error:
        if error.errno not in descriptors.EXHAUSTED:
            raise
        complain(told := descriptors.exhausted(error))
        return told.exit_code


def complain(error: SupervisorError) -> None:
    """One line on standard error for each thing that is wrong."""
    for line in error.problems if isinstance(error, ConfigurationError) and error.problems else (str(error),):
        print(f"{PROGRAM}: {line}", file=sys.stderr)
