"""The socket filter by which the master closes an accept queue to new connections: it drops SYN without ACK.

Workers recognise it, and detach any other filter that was attached since the master opened the listener.
"""

from __future__ import annotations

import struct
from typing import Final

INSTRUCTION: Final = struct.Struct("=HBBI")
"""struct sock_filter: code, jump if true, jump if false, operand."""

_LOAD_BYTE, _AND, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06
_FLAGS_OFFSET: Final = 13
"""Of the flags in a TCP header (RFC 9293 section 3.1), which is where a TCP socket's filter begins to count."""
_SYN, _ACK = 0x02, 0x10

DROP_SYN: Final = b"".join(
    INSTRUCTION.pack(*instruction)
    for instruction in (
        (_LOAD_BYTE, 0, 0, _FLAGS_OFFSET),
        (_AND, 0, 0, _SYN | _ACK),
        (_JUMP_IF_EQUAL, 0, 1, _SYN),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, 0xFFFFFFFF),
    )
)
