"""uvicorn's command line and its Python calls, served by supervisor-d."""
