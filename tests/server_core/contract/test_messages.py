"""A message on the pipe comes out as it went in; what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_core.contract.messages import CLEAN_UP_S, GIVE_UP_S, TERMINATE_GRACE_S, Message, decode, encode


@given(st.text(), st.integers(), st.booleans())
def test_any_fields_cross_the_pipe_in_one_line(text: str, number: int, truth: bool) -> None:
    fields = {"text": text, "number": number, "truth": truth, "none": None}
    line = encode("failed", fields)
    assert line.count(b"\n") == 1
    assert decode(line) == Message("failed", fields)


def test_a_verb_alone_has_no_fields() -> None:
    assert encode("ready") == b"ready\n"
    assert decode(b"ready") == Message("ready", {})


@pytest.mark.parametrize("line", [b"", b"\n", b" {}\n", b"failed {\n", b"failed []\n", b"failed 1\n", b"\xff\n"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(line)


def test_what_a_worker_still_does_after_sigterm_fits_into_its_grace() -> None:
    assert CLEAN_UP_S + GIVE_UP_S < TERMINATE_GRACE_S
