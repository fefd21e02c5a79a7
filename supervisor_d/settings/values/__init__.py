"""Kinds of values, and what the machine says of them."""
