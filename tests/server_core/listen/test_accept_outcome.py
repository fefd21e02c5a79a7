"""What a failed accept(2) means."""

from __future__ import annotations

import errno

import pytest

from server_core.listen.accept_outcome import Taken, outcome_of


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        *((number, Taken.NO_DESCRIPTOR) for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)),
        *((number, Taken.GONE) for number in (errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETUNREACH)),
        (errno.EINVAL, Taken.SHUT_DOWN),
        *((number, Taken.NO_CLIENT) for number in (errno.EAGAIN, errno.EBADF)),
    ],
)
def test_each_refusal_of_the_kernel_has_its_meaning(number: int, outcome: Taken) -> None:
    assert outcome_of(OSError(number, "")) is outcome
