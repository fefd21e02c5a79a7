"""One line an exchange: what is in it, that none can be forged, that none is lost."""

from __future__ import annotations

import os
import re
from pathlib import Path

from server_core.access_log import BATCH_BYTES, AccessLog
from tests.helpers.http import GET, Heard, reflect, run, serving


def test_a_served_request_is_one_line_with_its_figures(tmp_path: Path) -> None:
    path = tmp_path / "access.log"

    async def scenario() -> None:
        async with serving(reflect, access_log=str(path)) as served:
            client = await served.connect()
            response = await client.get(b'GET /a?"b\\ HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n')
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            await client.rest()
            assert path.read_bytes() == b"", "lines are written in batches"
            served.server.sweep(served.server.now)
            first, second = path.read_text().splitlines()
            pattern = (
                r"192\.0\.2\.7 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
                rf'"GET /a\?\\"b\\\\ HTTP/1\.1" 200 {len(response.body)} \d+\.\d{{3}}'
            )
            assert re.fullmatch(pattern, first)
            assert re.fullmatch(r'127\.0\.0\.1 - - \[.*\] "- - HTTP/-" 400 \d+ 0\.000', second)

    run(scenario())


def test_lines_are_written_at_a_full_batch_and_at_the_drain(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path), Heard())
    count = 0
    while not path.read_bytes():
        log.record("192.0.2.1", "GET", "/", "1.1", 200, 5, 0.001)
        count += 1
    assert path.read_bytes().count(b"\n") == count
    assert BATCH_BYTES <= path.stat().st_size < BATCH_BYTES + 200
    log.record("192.0.2.1", "GET", "/last", "1.1", 200, 5, 0.001)
    log.close()
    assert path.read_bytes().count(b"\n") == count + 1

    async def scenario() -> None:
        async with serving(reflect, access_log=str(path)) as served:
            client = await served.connect()
            await client.get()
            client.close()
            await served.server.drain(5.0, final=True)
            assert path.read_bytes().count(b"\n") == count + 2

    run(scenario())


def test_reopen_moves_to_a_new_file_and_loses_nothing(tmp_path: Path) -> None:
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLog(str(path), Heard())
    log.record("192.0.2.1", "GET", "/old", "1.1", 200, 5, 0.001)
    path.rename(moved)
    log.record("192.0.2.1", "GET", "/still-old", "1.1", 200, 5, 0.001)
    log.reopen()
    log.record("192.0.2.1", "GET", "/new", "1.1", 200, 5, 0.001)
    log.close()
    assert re.findall(r"GET (\S+)", moved.read_text()) == ["/old", "/still-old"]
    assert re.findall(r"GET (\S+)", path.read_text()) == ["/new"]


def test_a_client_s_text_cannot_forge_a_line(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path), Heard())
    log.record("caf\u00e9", "GET", '/" 200 0 0.000', "1.1", 404, 0, 0.0)
    log.close()
    (line,) = path.read_bytes().splitlines()
    assert line.startswith(b"caf\\xe9 - - ")
    assert b'"GET /\\" 200 0 0.000 HTTP/1.1" 404 ' in line


def test_a_failure_to_write_is_logged_once_until_it_works_again(tmp_path: Path) -> None:
    heard = Heard()
    log = AccessLog("/dev/full", heard)
    for _ in range(3):
        log.record("192.0.2.1", "GET", "/", "1.1", 200, 5, 0.001)
        log.flush()
    (failure,) = heard.all("access_log.failed")
    assert failure["path"] == "/dev/full"
    assert "No space" in str(failure["error"])
    log.close()
    heard = Heard()
    AccessLog(str(tmp_path / "no" / "such" / "place"), heard)
    assert len(heard.all("access_log.failed")) == 1


def test_standard_output_is_never_closed() -> None:
    log = AccessLog("-", Heard())
    log.reopen()
    log.close()
    os.fstat(1)


def test_a_failing_access_log_does_not_fail_requests() -> None:
    async def scenario() -> None:
        async with serving(reflect, access_log="/dev/full") as served:
            client = await served.connect()
            assert (await client.get(GET)).status == 200
            served.server.sweep(served.server.now)
            assert (await client.get(GET)).status == 200

    run(scenario())
