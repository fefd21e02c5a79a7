"""A notebook of marimo's, which keeps a WebSocket open."""

import tempfile
from pathlib import Path

import marimo

NOTEBOOK = """
import marimo
app = marimo.App()
@app.cell
def _():
    one = 1
    return (one,)
"""

notebook = Path(tempfile.mkdtemp()) / "notebook.py"
notebook.write_text(NOTEBOOK)
app = marimo.create_asgi_app().with_app(path="", root=str(notebook)).build()
