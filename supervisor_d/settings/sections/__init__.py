"""The sections of the daemon's settings that have a module of their own; settings/declaration.py has the others."""
