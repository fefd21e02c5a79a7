"""The worker process: `python -P -m server_core.worker FD`. What it does is in life.py; here is how it comes by it."""

from __future__ import annotations

import sys

from server_core.few_collections import few_collections
from server_core.process import EarlySignals


def main(argv: list[str]) -> int:
    """The exit code."""
    signals = EarlySignals()
    signals.catch()
    with few_collections():
        from server_core import life  # here, because it imports all that a worker is made of
    return life.begin(argv, signals)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
