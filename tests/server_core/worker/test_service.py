"""What an import leaves behind is freed before the rest is frozen, whether the collector has seen it before or not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

APP = """
import gc, weakref

class Node: ...

def cycle():
    node = Node()
    node.itself = node
    return node

held = cycle()
gone = weakref.ref(held)
for _ in range({looks}):
    gc.collect(0)
del held

async def app(scope, receive, send): ...
"""

IMPORT = """
import gc
from server_core.worker.service import import_application
from server_core.settings.declaration import ServerSettings
import_application(ServerSettings(app="left:app"), lambda event, /, **fields: None)
import left
print(left.gone() is None, gc.get_freeze_count() > 0)
"""


@pytest.mark.parametrize("looks", [0, 2])
def test_garbage_of_an_import_is_freed_before_the_rest_is_frozen(tmp_path: Path, looks: int) -> None:
    (tmp_path / "left.py").write_text(APP.format(looks=looks))
    told = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout.split() == ["True", "True"]
