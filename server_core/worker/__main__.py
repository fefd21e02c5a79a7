"""The worker process: `python -P -m server_core.worker FD`.

What it does is in bootstrap.py; here is how it comes by it.
"""

from __future__ import annotations

import sys

from server_core.runtime.early_signals import EarlySignals
from server_core.runtime.gc_thresholds import few_collections


def main(argv: list[str]) -> int:
    """The exit code."""
    signals = EarlySignals()
    signals.catch()
    with few_collections():
        from server_core.worker import bootstrap  # here, because it imports all that a worker is made of
    return bootstrap.begin(argv, signals)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
