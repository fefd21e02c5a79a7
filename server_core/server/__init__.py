"""The server of one process: it composes listeners, limits, connections and the drain."""
