"""Accepting connections: listeners, fairness between workers, limits."""
