"""The command line: what each command of `supervisor-d` does."""
