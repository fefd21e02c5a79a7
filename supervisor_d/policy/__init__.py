"""What should happen next: pure; no I/O, no clock, no log, no randomness; `now` is an argument."""
