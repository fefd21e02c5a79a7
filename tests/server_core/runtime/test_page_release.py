"""Only what can be read again from its file is given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from server_core.runtime.page_release import unchanged_areas

SMAPS = """\
55d0c0a00000-55d0c0a21000 r--p 00000000 08:01 131                        /usr/lib/changed by relocation.so
Rss:                 132 kB
Anonymous:            12 kB
VmFlags: rd mr mw me
55d0c0b00000-55d0c0b02000 r-xp 00021000 08:01 131                        /usr/lib/code.so
Rss:                   8 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
55d0c0c00000-55d0c0c02000 rw-p 00021000 08:01 131                        /usr/lib/can be written to.so
Anonymous:             0 kB
55d0c0d00000-55d0c0d02000 r--s 00021000 08:01 131                        /dev/shm/shared
Anonymous:             0 kB
55d0c0e00000-55d0c0e02000 r--p 00000000 00:00 0
Anonymous:             0 kB
7ffe0c5f6000-7ffe0c5f8000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
7ffe0c600000-7ffe0c601000 r--p 00000000 08:01 44                         /usr/share/data
Anonymous:             0 kB
"""


def test_areas_of_files_without_a_page_of_our_own_are_found() -> None:
    assert list(unchanged_areas(SMAPS.splitlines())) == [(0x55D0C0B00000, 0x2000), (0x7FFE0C600000, 0x1000)]


@pytest.mark.skipif(sys.platform != "linux", reason="MADV_DONTNEED of Linux")
def test_a_process_that_has_shed_goes_on_with_less() -> None:
    code = (
        "import ssl, json, sqlite3, re; from server_core.runtime.page_release import shed\n"
        "def clean():\n"
        "    lines = open('/proc/self/smaps_rollup').read().splitlines()\n"
        "    return sum(int(l.split()[1]) for l in lines if l.startswith(('Private_Clean', 'Shared_Clean')))\n"
        "before = clean(); tried = shed(); after = clean()\n"
        "ssl.create_default_context(); sqlite3.connect(':memory:').execute('select 1').fetchall()\n"
        "print(tried > 0, after < before, json.loads('[1]'), re.sub('a', 'b', 'a'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert ended.stdout == "True True [1] b\n", ended.stderr
