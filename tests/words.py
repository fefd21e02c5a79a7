"""Words that comments, docstrings and pages do not use, with the term to use: `python -m tests.words` lists the places.

`--write` takes from the list of what is still allowed (words_allowed.txt: path, number) what is gone; it never adds.
Code, and texts in code (messages, event names, flags), are not read: they are the contract.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
ALLOWED: Final = Path(__file__).with_name("words_allowed.txt")

INSTEAD: Final[Mapping[str, str]] = {
    r"nobody|no one": "no client, no process, no worker; or the passive: is not used",
    r"somebody|someone": "a client, another process, an operator",
    r"anybody|anyone": "every user, any process",
    r"everybody|everyone": "all workers, every user",
    r"whoever": "the client that, the caller, the process that",
    r"who comes|newcomers?": "a new client, a new connection",
    r"comes? to be|(?:is|are|was|were) born|at birth": "is spawned, is forked, at spawn",
    r"(?:is|are|was|were|be) told": "is logged, is reported, is sent, receives",
    r"bereave\w*|beget\w*|bury|buried": "reap, spawn, close",
}
"""Pattern, as whole words -> the terms to use."""

PATTERN: Final = re.compile(rf"\b(?:{'|'.join(INSTEAD)})\b", re.IGNORECASE)


class Found(NamedTuple):
    path: str
    line: int
    word: str

    def __str__(self) -> str:
        instead = next(terms for pattern, terms in INSTEAD.items() if re.fullmatch(pattern, self.word, re.IGNORECASE))
        return f"{self.path}:{self.line}: {self.word!r}; say: {instead}"


def files() -> Iterator[Path]:
    """The modules of both packages, and the pages."""
    for package in ("server_core", "supervisor_d"):
        yield from sorted((ROOT / package).rglob("*.py"))
    yield from sorted((ROOT / "contrib/docs").glob("*.md"))
    yield ROOT / "README.md"


def prose_of_module(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each comment and of each text that stands alone: a docstring, or one behind a constant."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def prose_of_page(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) outside of blocks of code and of code in a line."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= line.startswith("```")
        if not fenced and not line.startswith("    "):
            yield number, re.sub(r"`[^`]*`", "", line)


def found_in(path: str, text: str) -> list[Found]:
    prose = prose_of_module(text) if path.endswith(".py") else prose_of_page(text)
    return [
        Found(path, line + block.count("\n", 0, match.start()), match[0])
        for line, block in prose
        for match in PATTERN.finditer(block)
    ]


@functools.cache
def everything() -> dict[str, list[Found]]:
    """Path -> what is found there; paths without any are left out."""
    names = {path: path.relative_to(ROOT).as_posix() for path in files()}
    found = {name: found_in(name, path.read_text("utf-8")) for path, name in names.items()}
    return {name: places for name, places in found.items() if places}


def allowed() -> dict[str, int]:
    """Path -> how many places may still be there."""
    rows = (line.rsplit(" ", 1) for line in ALLOWED.read_text("utf-8").splitlines())
    return {path: int(number) for path, number in rows}


def written(rows: Mapping[str, int]) -> str:
    return "".join(f"{path} {number}\n" for path, number in sorted(rows.items()))


def main(arguments: list[str]) -> None:
    found = everything()
    if arguments == ["--write"]:
        kept = {path: min(number, len(found[path])) for path, number in allowed().items() if path in found}
        ALLOWED.write_text(written(kept), "utf-8")
        return
    for places in found.values():
        for place in places:
            print(place)


if __name__ == "__main__":
    main(sys.argv[1:])
