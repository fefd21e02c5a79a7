"""What `ctl` shows: the control API's objects as text for a person at a terminal; pure."""
