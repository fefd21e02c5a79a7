"""A pseudo-terminal for a test, where there can be one."""

from __future__ import annotations

import os

import pytest


def a_terminal() -> tuple[int, int]:
    """(its keyboard's end, the terminal) as descriptors; the test is skipped in a chroot without devpts on /dev/pts."""
    try:
        return os.openpty()
    except OSError as error:
        pytest.skip(f"there can be no terminal here: {error}")
