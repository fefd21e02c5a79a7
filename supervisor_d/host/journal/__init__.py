"""The log as the daemon writes it: summed up, remembered and counted."""
