"""The formats of the access log that have a name, apart from what reads them: settings name them in every process."""

from __future__ import annotations

from typing import Final

AUTO: Final = "auto"
JSON: Final = "json"

COMBINED: Final = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

FORMATS: Final = {
    "common": '%h %l %u %t "%r" %>s %b',
    "combined": COMBINED,
    "gunicorn": COMBINED,
    "uvicorn": 'INFO:     %(client_addr)s - "%(request_line)s" %(status_code)s',
    "console": '%(local_time)s %(client)s "%(r)s" %(status)s %(bytes)s B %(duration_ms)s ms',
}
"""Formats by name: Apache's two (in combined the time is the end's), gunicorn's default, uvicorn's, one to look at."""
