"""Listeners: bound, inherited, taken over, watched, given up."""
