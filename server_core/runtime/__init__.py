"""What the process has besides HTTP: its event loop, signals, threads, memory."""
