"""How long tests wait for what they expect."""

from __future__ import annotations

from typing import Final

GENEROUS_S: Final = 30.0
"""Paid only on failure; a busy machine needs it. Not longer: the timeouts of the product are 30 s by default, and what
ends by one of them would be taken for what should have come of itself."""
