"""What a daemon's application is called, and where it is imported from."""
