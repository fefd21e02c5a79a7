"""What workers import from: the sys.path of the process that started the daemon, found again for each generation.

A program may be a script in another directory, may have put folders in front (`sys.path.insert(0, "vendor")`), or be
an archive (zipapp, shiv, pex). A fresh interpreter knows nothing of these. So the path travels to each worker, as it
does in multiprocessing's spawn. What a program took out of the path (pex does that with site-packages) stays out. What
a fresh interpreter has besides, from a .pth file that is newer than the daemon, is kept at the end.

There are two orders. The application's is the program's own. A worker imports its server before that, and must not take
a `queue.py` of the application for the standard library's. So in the server's order the standard library is first, and
then the place that this server came from: master and worker run the same code.

Python resolves symlinks in a script's directory and in the working directory. After a deploy that switched
`current -> releases/2` such an entry would still name the first release. So entries are kept as they were called
(location.py says why), and resolved once for each generation. Entries of the interpreter are left as they are: `lib64`
in a virtual environment is a symlink, too. Rejected: PYTHONPATH, which -E ignores, and which every program that the
application starts would inherit.
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterable

from server_core.contract.search import Search
from server_core.records import dataclass


@dataclass(frozen=True, slots=True)
class SearchPath:
    """The path of the process that started the daemon, as its entries are called."""

    entries: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    start: str = ""
    """The directory that a Python call started the daemon in, as it is called: what its program finds goes before that.
    Empty for a command: there the application's directory is first."""

    def search(self, directory: str, app_dir: str, first: Iterable[str] = ()) -> Search:
        """As it leads now, for an application that runs in `directory`, with `app_dir` if that is not empty.

        `first` are the directories of `pythonpath`: before all others of the application's order, and in no other.
        """
        found = [entry if _is_interpreters(entry) else os.path.realpath(entry) for entry in self.entries]
        is_last = bool(self.start) and not app_dir and directory == os.path.realpath(self.start)
        path = [*found, directory] if is_last else [app_dir or directory, *found]
        ours = [*_library(), _home()]
        own = [*(each for each in ours if each in found), *found]
        return Search(_once([*first, *path]), _once(own), self.left_out)


def search_path(start: str, *, is_programs: bool) -> SearchPath:
    """That of this process, which was started in the directory that is called `start`."""
    expected = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    links = [*_links(start), *_links(_program_directory(start))]
    entries = _once(_called(os.path.join(start, entry) if entry else start, links) for entry in sys.path)
    return SearchPath(entries, tuple(each for each in expected if each not in sys.path), start if is_programs else "")


def _program_directory(start: str) -> str:
    """The directory of the script that is run, or of the archive; `start` if it is neither."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return os.path.dirname(os.path.join(start, file)) if file else start


def _links(path: str) -> list[tuple[str, str]]:
    """(where it leads, how it is called) of the path and of each directory above it that is reached by a symlink."""
    found = []
    called = os.path.normpath(path)
    while called != os.path.dirname(called):
        if os.path.islink(called):
            found.append((os.path.realpath(called), called))
        called = os.path.dirname(called)
    return found


def _called(entry: str, links: Iterable[tuple[str, str]]) -> str:
    """The entry by the symlink that leads to it, if there is one; an entry of the interpreter as it is."""
    if not _is_interpreters(entry):
        for real, called in links:
            if entry == real or entry.startswith(real.rstrip("/") + "/"):
                return os.path.normpath(called + entry[len(real) :])
    return os.path.normpath(entry)


def _is_interpreters(entry: str) -> bool:
    """Whether it belongs to the interpreter or to its virtual environment."""
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    libraries = [os.path.join(prefix, name, "") for prefix in prefixes for name in ("lib", "lib64")]
    return entry.startswith(tuple(libraries))


def _library() -> list[str]:
    """The standard library's entries: its archive, its modules, and those that are in C."""
    where = os.path.dirname(os.__file__)
    return [each for each in sys.path if each == where or each.endswith(("/lib-dynload", _archive()))]


def _archive() -> str:
    return f"/python{sys.version_info.major}{sys.version_info.minor}.zip"


def _home() -> str:
    """Where this server came from: a directory, or an archive."""
    return os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, os.pardir))


def _once(entries: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))
