"""What crosses the boundary between a master and its workers."""
