"""The `ctl` side of the control socket: which daemon is meant, and how it is asked."""
