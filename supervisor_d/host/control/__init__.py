"""The connections of the control socket and of admin-bind, and what is logged of refused requests."""
