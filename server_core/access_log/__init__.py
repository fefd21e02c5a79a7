"""The access log: one line for each request, laid out as the operator says, written in batches."""
