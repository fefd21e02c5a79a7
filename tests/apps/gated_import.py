"""An application whose import waits for the gate."""

from tests.apps.gated import app, block, tell

__all__ = ["app"]

tell("importing")
block()
