"""How many workers are wanted when an operator asks for more, fewer, or a number; and what is too many."""

from __future__ import annotations

from typing import Final

from supervisor_d.policy.fleet import SLOT_LAST

TARGET_MAX: Final = (SLOT_LAST + 1) // 4
"""A reload needs twice the slots, and replaced workers may still drain beside it; a quarter leaves room for both."""


def new_target(target: int, change: int, *, relative: bool) -> int:
    """The target after the change, never below 1."""
    return max(target + change if relative else change, 1)


def refusal(target: int, wanted: int, most: int, *, force: bool) -> str | None:
    """Why so many cannot be had; None if they can. To go down is always possible, however many there are.

    The bound is one against typos: 500 for 5 on a small machine starves the service, and all that could undo it.
    """
    if wanted > TARGET_MAX:
        return f"workers: must be at most {TARGET_MAX}, not {wanted}"
    if wanted > max(most, target) and not force:
        return f"workers: must be at most {most} (max-workers), not {wanted}; ctl scale --force goes beyond it"
    return None
