"""The file system's side of a Unix socket: its path, its directory, and which process holds it."""
