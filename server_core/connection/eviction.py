"""Which connections are evicted where descriptors run short: a table, in its order."""

from __future__ import annotations

from typing import Final

IDLE, SILENT, PARTING, ANSWERED, FRESH, STUCK, NEVER = range(7)
"""Kinds of connections, in the order in which they are evicted, and within each the one that has been so for longest:

IDLE      kept alive, and not FRESH: it has its answers
SILENT    accepted, and its first head, or its next, is not complete; a TLS handshake is not
PARTING   half-closed, and read for a moment only so that no reset overtakes the last response
ANSWERED  its response is complete, but not taken, or the rest of its request's body still comes
FRESH     kept alive, and answered a moment ago
STUCK     its request waits for the client: for the body, or for the response to be taken; the slowest first
NEVER     its request is the application's to answer, or it has only just come; and every WebSocket, since silence is
          what they are for, and pings find those that are gone
"""

UNHEARD: Final = frozenset((IDLE, SILENT, FRESH))
"""Kinds from which a request may have arrived that is not read yet: the kernel is asked, as in a drain."""

NEW_S: Final = 0.1
"""No younger connection is silent: its first bytes may be on their way. Chosen: a faster crowd than that
waits for its turn in the accept queue."""
