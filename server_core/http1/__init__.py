"""HTTP/1.1: reading, writing, and one connection's keep-alive and timeouts."""
