"""What the commands of all peers share: a translation into our settings, and its start."""
