"""What a listener is set to, and setting it so again. Pure but for the system calls on the socket that is given.

All processes that hold a listener hold one open file description and one socket (open(2), dup(2)): what one of them
sets is set for all, and an accepted socket inherits most of it. Any of these can keep clients away or lose their
responses: SO_RCVLOWAT keeps their requests from the worker, SO_LINGER of no time resets them with the response on its
way, a filter drops what they send, a backlog of 0 has all but one wait.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from server_core.contract.syn_filter import INSTRUCTION

SOL, IP, IPV6, TCP = socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.IPPROTO_TCP


class Option(NamedTuple):
    """One option: its numbers (asm-generic/socket.h, linux/in.h, in6.h, tcp.h), and what it is called there."""

    level: int
    number: int
    name: str
    neutral: int | None = None
    """What is set instead where the kernel does not take back what it gave; None: nothing."""


LOSING: Final = (Option(SOL, 13, "SO_LINGER"), Option(SOL, 18, "SO_RCVLOWAT"))
"""Those with which an accepted connection loses requests."""
_EVERY: Final = (
    *LOSING,
    *(Option(SOL, 5, "SO_DONTROUTE"), Option(SOL, 9, "SO_KEEPALIVE"), Option(SOL, 10, "SO_OOBINLINE")),
    Option(SOL, 20, "SO_RCVTIMEO"),
    *(Option(SOL, 21, "SO_SNDTIMEO"), Option(SOL, 25, "SO_BINDTODEVICE"), Option(SOL, 36, "SO_MARK")),
    *(Option(SOL, 47, "SO_MAX_PACING_RATE"), Option(SOL, 7, "SO_SNDBUF"), Option(SOL, 8, "SO_RCVBUF")),
    Option(SOL, 72, "SO_BUF_LOCK"),
)
_TCP: Final = (
    *(Option(TCP, 1, "TCP_NODELAY"), Option(TCP, 2, "TCP_MAXSEG", 0), Option(TCP, 3, "TCP_CORK")),
    *(Option(TCP, 4, "TCP_KEEPIDLE"), Option(TCP, 5, "TCP_KEEPINTVL"), Option(TCP, 6, "TCP_KEEPCNT")),
    *(Option(TCP, 7, "TCP_SYNCNT"), Option(TCP, 8, "TCP_LINGER2"), Option(TCP, 9, "TCP_DEFER_ACCEPT")),
    *(Option(TCP, 10, "TCP_WINDOW_CLAMP", 1 << 30), Option(TCP, 13, "TCP_CONGESTION")),
    *(Option(TCP, 18, "TCP_USER_TIMEOUT"), Option(TCP, 23, "TCP_FASTOPEN"), Option(TCP, 25, "TCP_NOTSENT_LOWAT")),
)
_IPV4: Final = (
    *(Option(IP, 1, "IP_TOS"), Option(IP, 2, "IP_TTL"), Option(IP, 4, "IP_OPTIONS"), Option(IP, 10, "IP_MTU_DISCOVER")),
    Option(IP, 21, "IP_MINTTL"),
)
_IPV6: Final = (
    *(Option(IPV6, 16, "IPV6_UNICAST_HOPS"), Option(IPV6, 67, "IPV6_TCLASS"), Option(IPV6, 73, "IPV6_MINHOPCOUNT")),
    Option(IPV6, 23, "IPV6_MTU_DISCOVER"),
)
_DOUBLED: Final = frozenset(("SO_SNDBUF", "SO_RCVBUF"))
"""What is read is twice what is set (socket(7))."""
LONGEST: Final = 64
"""Of an option's value in bytes; IP options are at most 40 (RFC 791)."""

SET_BY_WORKERS: Final = frozenset(("TCP_NODELAY", "TCP_NOTSENT_LOWAT", "SO_RCVTIMEO"))
"""listen/listener_setup.py sets these, each worker to the same."""

BACKLOG: Final = "backlog"
_INFO_BYTES: Final = 32
_LISTENS: Final = 10
"""TCP_LISTEN in tcpi_state, the first byte of struct tcp_info; tcpi_sacked is a listener's backlog (tcp_get_info)."""

SO_GET_FILTER, SO_DETACH_FILTER = 26, 27
NO_FILTER: Final = bytes(INSTRUCTION.size)
"""The kernel attaches none that does not end in a return (Documentation/networking/filter.rst)."""
FILTER: Final = "SO_ATTACH_FILTER"
NONBLOCK: Final = "O_NONBLOCK"

ACCEPT_TIMEOUT: Final = struct.pack("ll", 0, 1000)
"""SO_RCVTIMEO, struct timeval: 1 ms, the kernel rounds up to a tick. How long accept(2) waits where another process has
cleared O_NONBLOCK and a third took the connection (socket(7)). Accepted sockets inherit it, and do not block."""


def options_of(family: int) -> tuple[Option, ...]:
    """Those that bear on the clients of such a listener."""
    if sys.platform != "linux":  # the numbers are Linux's
        return ()
    if family == socket.AF_INET:
        return (*_EVERY, *_TCP, *_IPV4)
    return (*_EVERY, *_TCP, *_IPV6) if family == socket.AF_INET6 else _EVERY


def capture(sock: socket.socket) -> dict[str, str]:
    """What it is set to: name of each option -> its value in hexadecimal. What the kernel does not tell is left out.

    Of a filter only that there is one: whoever opened an inherited listener may have attached it.
    """
    found = {option.name: value.hex() for option, value in _read(sock)}
    if sys.platform == "linux" and not _filter_is(sock, NO_FILTER):
        found[FILTER] = "attached"
    if (backlog := _backlog(sock)) is not None:
        found[BACKLOG] = str(backlog)
    return found


def restore(sock: socket.socket, wanted: Mapping[str, str], kept_filter: bytes) -> list[str]:
    """Set again what is not as it was, and tell the names; those that cannot be set again have the reason with them.

    A filter is detached, unless it is the one to keep, or there was one before.
    """
    changed = []
    for option, value in _read(sock):
        before = wanted.get(option.name)
        if before is not None and value.hex() != before:
            changed.append(option.name + _set(sock, option, bytes.fromhex(before)))
    backlog = _backlog(sock)
    if backlog is not None and str(backlog) != wanted.get(BACKLOG, str(backlog)):
        sock.listen(int(wanted[BACKLOG]))
        changed.append(BACKLOG)
    return changed if FILTER in wanted else changed + _detach(sock, kept_filter)


def mend(fd: int, wanted: Iterable[tuple[Option, bytes]]) -> list[str]:
    """Set options of a connected descriptor that are not so; the names of those. One that has gone is passed over.

    The kernel looks for what waits to be read when SO_RCVLOWAT is set (tcp_set_rcvlowat), and wakes who watches it.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fd)  # any family: to ask for it takes three calls
    changed = []
    try:
        for option, value in wanted:
            if sock.getsockopt(option.level, option.number, LONGEST) != value:
                sock.setsockopt(option.level, option.number, value)
                changed.append(option.name)
    except OSError:  # a sandbox
        pass
    finally:
        sock.detach()
    return changed


def unblock(sock: socket.socket) -> list[str]:
    """O_NONBLOCK is set, and O_ASYNC is not; the names of what was otherwise."""
    flags = fcntl.fcntl(sock.fileno(), fcntl.F_GETFL)
    right = (flags | os.O_NONBLOCK) & ~os.O_ASYNC
    if flags == right:
        return []
    fcntl.fcntl(sock.fileno(), fcntl.F_SETFL, right)
    return [name for name, bit in ((NONBLOCK, os.O_NONBLOCK), ("O_ASYNC", os.O_ASYNC)) if (flags ^ right) & bit]


def _read(sock: socket.socket) -> Iterator[tuple[Option, bytes]]:
    for option in options_of(sock.family):
        with contextlib.suppress(OSError):  # an older kernel, or a sandbox
            yield option, sock.getsockopt(option.level, option.number, LONGEST)


def _set(sock: socket.socket, option: Option, value: bytes) -> str:
    """An empty text, or why it could not be."""
    if option.name in _DOUBLED:
        value = (int.from_bytes(value, sys.byteorder) // 2).to_bytes(len(value), sys.byteorder)
    try:
        sock.setsockopt(option.level, option.number, value)
        is_set = option.name in _DOUBLED or sock.getsockopt(option.level, option.number, LONGEST) == value
        if not is_set and option.neutral is not None:
            sock.setsockopt(option.level, option.number, option.neutral)
    except OSError as error:
        if option.neutral is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(option.level, option.number, option.neutral)
                return ""
        return f" ({error.strerror})"
    return ""


def _backlog(sock: socket.socket) -> int | None:
    """Of a TCP socket that listens. A Unix socket's is not told, and listen(2) there changes who SO_PEERCRED names."""
    if sys.platform != "linux" or sock.family == socket.AF_UNIX:
        return None
    try:
        info = sock.getsockopt(TCP, socket.TCP_INFO, _INFO_BYTES)
    except OSError:
        return None
    return int.from_bytes(info[28:32], sys.byteorder) if info[0] == _LISTENS else None


def _detach(sock: socket.socket, kept: bytes) -> list[str]:
    if sys.platform != "linux" or _filter_is(sock, kept):
        return []
    try:
        sock.setsockopt(SOL, SO_DETACH_FILTER, 0)
    except OSError as error:
        # ENOENT: there was none; EPERM: SO_LOCK_FILTER
        return [] if error.errno == errno.ENOENT else [f"{FILTER} ({error.strerror})"]
    return [FILTER]


def _filter_is(sock: socket.socket, kept: bytes) -> bool:
    """Whether it has no filter, or the one to keep.

    The length that the kernel is given and gives is in instructions, so that socket.getsockopt(), which
    allocates as many bytes, would be written over its end.
    """
    program = ctypes.create_string_buffer(len(kept))
    length = ctypes.c_uint(len(kept) // INSTRUCTION.size)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.getsockopt(sock.fileno(), SOL, SO_GET_FILTER, program, ctypes.byref(length)) == 0:
        return length.value == 0 or program.raw[: length.value * INSTRUCTION.size] == kept
    return ctypes.get_errno() not in (errno.EACCES, errno.EINVAL)  # an eBPF program; a longer one
