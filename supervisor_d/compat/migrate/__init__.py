"""`supervisor-d migrate`: another server's command line, wherever it stands, as one of ours."""
