"""One process without a master: the command, the embedded server, and where they listen."""
