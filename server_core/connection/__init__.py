"""What every kind of connection shares with the others."""
