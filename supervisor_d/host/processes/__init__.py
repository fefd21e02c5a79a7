"""Worker processes: spawned or forked, spoken to, signalled, reaped."""
