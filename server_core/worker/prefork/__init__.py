"""Workers that are forked from a process that has imported the server, and what makes that unsafe."""
