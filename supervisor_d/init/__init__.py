"""What runs the daemon elsewhere, printed for one command line: `supervisor-d init`. Asks only sys where it is."""
