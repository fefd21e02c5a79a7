"""Bytes in and out of one accepted socket."""
