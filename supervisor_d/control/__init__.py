"""The operator's door: HTTP over the control socket, the table of commands, and the client."""
