"""The way in: the console script, and `python -m supervisor_d`, which is the same under another name."""

from __future__ import annotations

import sys

from server_core.runtime.gc_thresholds import few_collections
from supervisor_d.host.system import standard_streams


def main() -> None:
    """Obey the command line; ends the process by SystemExit.

    A daemon takes signals before all else. Of PID 1 the kernel drops those for which there is no handler yet, so that a
    container that is stopped while it starts would go on until it is killed; others would end of a SIGHUP. What comes
    before this line, while the interpreter starts, cannot be kept by Python: the program that executes it can block
    signals.

    Closed standard streams are opened before that, and before ctypes is imported: libffi may keep a descriptor of its
    own library (static trampolines, as of 3.4), which would become standard input.

    With too few descriptors not even the imports below succeed, so that this is said before them.
    """
    standard_streams.fill_gaps()
    if sys.argv[1:2] == ["run"]:
        _refuse_few_descriptors()
    from supervisor_d.host.system.signal_source import THIS_PROCESS  # here, because it imports ctypes

    if sys.argv[1:2] == ["run"]:
        THIS_PROCESS.open()
    with few_collections():
        from supervisor_d.cli.program import main as obey  # here, because it imports nearly all that there is
    obey()


def _refuse_few_descriptors() -> None:
    from supervisor_d.errors import ConfigurationError
    from supervisor_d.host.system.descriptors import refuse_few

    try:
        refuse_few()
    except ConfigurationError as error:
        print(f"supervisor-d: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
