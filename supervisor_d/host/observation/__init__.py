"""What can be seen of a worker from outside: its record, its memory, its state; and incidents."""
