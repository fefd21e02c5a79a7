"""The grammar that field lines, chunk lines and their parameters share, as regular expressions. Pure.

A pattern that decides whether a message is refused follows two rules, here and everywhere in both packages:

1. One way to read. At every byte at most one continuation can match: a run ends at a byte that it cannot hold, and
   two runs that could share a byte never meet. So a failed match costs a multiple of the length, never its square.
2. Only what every `re` gets right. CPython 3.11 to 3.11.4 match possessive quantifiers and atomic groups wrongly where
   the part inside backtracks (gh-106052), and Debian 12 ships 3.11.2. They accepted `for="x` and a chunk size of `3;`.

A check at import that refuses such an interpreter was rejected: by rule 1 nothing here needs possessive groups, and
Debian 12's own Python is to serve. tests/server_core/http/test_grammar.py compares the patterns with readers that are
written byte by byte, and tests/test_dependencies.py refuses possessive and atomic groups in the sources.
"""

from __future__ import annotations

import re
from typing import Final

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110 section 5.6.2."""

_PLAIN: Final = rb"[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]*"
QUOTED: Final = rb"%b(?:\\[\t\x20-\x7e\x80-\xff]%b)*" % (_PLAIN, _PLAIN)
"""What stands between the quotes of a quoted string: runs of plain text, and pairs in between (RFC 9110 5.6.4)."""

_FIELD: Final = TOKEN + rb":[\t\x20-\x7e\x80-\xff]*"
FIELD_LINE: Final = re.compile(_FIELD)
FIELD_LINES: Final = re.compile(rb"\r\n(?:%b\r\n)*\r\n" % _FIELD)
"""All the fields of a head, with the line ends around them: one line each, nothing else in between."""
