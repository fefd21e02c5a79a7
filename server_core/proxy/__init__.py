"""What a proxy in front tells, and whom it is believed: forwarding fields, the PROXY protocol, request ids."""
