"""What the operator wants: one declaration, and where each value came from (values, no verbs)."""
