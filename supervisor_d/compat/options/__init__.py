"""Each option of other servers: what becomes of it here. Data alone; hints, commands and pages are made of it."""
