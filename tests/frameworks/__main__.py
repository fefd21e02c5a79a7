"""python -m tests.frameworks: every framework under both parsers by the real daemon; prints and writes the table.

Exits with 1 if a check fails, and says which. Everything runs on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from tests.frameworks.drive import FRAMEWORKS, drive
from tests.frameworks.environment import prepare, versions
from tests.frameworks.page import PAGE, render
from tests.helpers.http import PARSERS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.frameworks", description=__doc__)
    parser.add_argument("--framework", action="append", choices=list(FRAMEWORKS), help="may be given several times")
    parser.add_argument("--graceful", type=float, default=5.0, help="graceful-timeout of the daemons (%(default)s s)")
    parser.add_argument("--environment", type=Path, help="their virtual environment; made if it is not there")
    parser.add_argument("--no-page", action="store_true", help="leave contrib/docs/FRAMEWORKS.md as it is")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir())
    release = platform.python_version()
    python = prepare(options.environment or cache / f"supervisor-d-frameworks-{release}")
    results = []
    for framework in options.framework or FRAMEWORKS:
        for parser in PARSERS:
            print(f"  {framework}, {parser} ...", file=sys.stderr, flush=True)
            results.append(drive(framework, parser, options.graceful, python))
    text = render(results, versions(python), release, options.graceful)
    print(text)
    if not options.no_page and not options.framework:
        PAGE.write_text(text, encoding="utf-8")
    faults = [(result, name, why) for result in results for name, why in result.faults.items()]
    for result, name, why in faults:
        print(f"{result.framework}, {result.parser}, {name}: {why}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
