"""TLS: contexts, certificates, and what is wrong with either."""
