"""The way in: the console script, and `python -m supervisor_d`, which is the same under another name."""

from __future__ import annotations

from server_core.few_collections import few_collections


def main() -> None:
    """Obey the command line; ends the process by SystemExit."""
    with few_collections():
        from supervisor_d.cli import main as obey  # here, because it imports nearly all that there is
    obey()


if __name__ == "__main__":
    main()
