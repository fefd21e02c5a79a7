"""How many workers are wanted when somebody says more, fewer, or a number."""

from __future__ import annotations

from typing import Final

from supervisor_d.policy.fleet import SLOT_LAST

TARGET_MAX: Final = (SLOT_LAST + 1) // 4
"""A reload needs twice the slots, and replaced workers may still drain beside it; a quarter leaves room for both."""


def new_target(target: int, change: int, *, relative: bool) -> int | None:
    """The target after the change, never below 1; None if it is more than can be had."""
    wanted = target + change if relative else change
    return None if wanted > TARGET_MAX else max(wanted, 1)
