"""A worker process: from its spec to its exit code."""
