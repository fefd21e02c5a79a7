"""The declaration of the server's settings, and the types of their values."""
