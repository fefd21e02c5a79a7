"""What workers read in place of the files of TLS: verified, sealed, for one user, and closed with their generation."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from server_core.settings.declaration import ServerSettings
from server_core.tls.checks import tls_expiries
from server_core.tls.files import TlsFiles
from supervisor_d.errors import ConfigurationError
from supervisor_d.host.generations import FIRST, Generations
from supervisor_d.host.tls_copies import copy_tls
from supervisor_d.settings.resolve import resolve
from supervisor_d.settings.values.identity import Identity
from supervisor_d.vocabulary import Generation
from tests.helpers.certificates import authority
from tests.helpers.neighbour import NEIGHBOUR, needs_a_second_user


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    """With a pair and an authority in files that a test may change."""
    pair = authority().pair("localhost")
    files = [str(shutil.copy(path, tmp_path)) for path in (pair.certificate, pair.key, authority().certificate)]
    return ServerSettings(app="a:b", ssl_certfile=(files[0],), ssl_keyfile=(files[1],), ssl_ca_certs=files[2])


def open_copies() -> int:
    there = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum("memfd:ssl_" in os.readlink(path) for path in there if os.path.lexists(path))


def test_a_copy_is_what_the_file_was_and_cannot_be_changed(settings: ServerSettings) -> None:
    files = (*settings.ssl_certfile, *settings.ssl_keyfile, settings.ssl_ca_certs)
    before = [Path(path).read_bytes() for path in files]
    with closing(copy_tls(settings, None)) as copies:
        for path in files:
            Path(path).unlink()
        assert [os.pread(copy, 65536, 0) for copy in copies.descriptors] == before
        for copy in copies.descriptors:
            assert not os.get_inheritable(copy)
            assert (os.fstat(copy).st_uid, os.fstat(copy).st_mode & 0o777) == (os.geteuid(), 0o400)
            for change in (lambda fd: os.pwrite(fd, b"x", 0), lambda fd: os.ftruncate(fd, 0)):
                with pytest.raises(PermissionError):
                    change(copy)
    assert open_copies() == 0


@needs_a_second_user
def test_a_copy_belongs_to_the_user_that_workers_are(settings: ServerSettings) -> None:
    other = Identity("4242", NEIGHBOUR, NEIGHBOUR, (NEIGHBOUR,), "/")
    with closing(copy_tls(settings, other)) as copies:
        stats = [os.fstat(copy) for copy in copies.descriptors]
        assert {(stat.st_uid, stat.st_gid, stat.st_mode & 0o777) for stat in stats} == {(NEIGHBOUR, NEIGHBOUR, 0o400)}


def test_copies_that_do_not_belong_together_are_refused_by_the_files_names(settings: ServerSettings) -> None:
    """As when they change between the check of the settings and the copying."""
    shutil.copy(authority().pair("localhost").key, settings.ssl_keyfile[0])
    wrong = f"ssl-keyfile: {settings.ssl_keyfile[0]} is not the key of the certificate in {settings.ssl_certfile[0]}"
    with pytest.raises(ConfigurationError, match=f"^{re.escape(wrong)}$"):
        copy_tls(settings, None)
    Path(settings.ssl_ca_certs).unlink()
    with pytest.raises(ConfigurationError, match=r"^ssl-ca-certs: cannot read .*authority.pem: No such file"):
        copy_tls(settings, None)
    assert open_copies() == 0


def test_what_ends_soon_is_looked_for_in_the_copies_and_named_by_the_file(settings: ServerSettings) -> None:
    with closing(copy_tls(settings, None)) as copies:
        Path(settings.ssl_certfile[0]).unlink()
        told = tls_expiries(settings, 1e11, copies.descriptors)
        assert settings.ssl_certfile[0] in {expiry.path for expiry in told}


def test_there_must_be_a_copy_for_each_file(settings: ServerSettings) -> None:
    with pytest.raises(ValueError, match="shorter"):
        TlsFiles.of(settings, (7,))


def test_a_generation_has_copies_of_its_own_until_it_is_forgotten(settings: ServerSettings) -> None:
    given = {"app": "a:b", "ssl_certfile": list(settings.ssl_certfile), "ssl_keyfile": list(settings.ssl_keyfile)}
    generations = Generations(resolve(given, {}))
    first = generations[FIRST].tls.descriptors
    assert open_copies() == len(first) == 2
    renewed = authority().pair("localhost")
    shutil.copy(renewed.certificate, settings.ssl_certfile[0])
    with pytest.raises(ConfigurationError, match="ssl-keyfile"):
        generations.prepare(Generation(2), ())
    assert open_copies() == 2
    shutil.copy(renewed.key, settings.ssl_keyfile[0])
    generations.prepare(Generation(2), (FIRST,))
    second = generations[Generation(2)].tls.descriptors
    assert generations[FIRST].tls.descriptors == first
    assert os.pread(second[1], 65536, 0) == Path(renewed.key).read_bytes() != os.pread(first[1], 65536, 0)
    generations.prepare(Generation(3), ())
    assert open_copies() == 4, "the first one has no workers any more"
    generations.discard(Generation(3))
    assert open_copies() == 2
    generations.close()
    assert open_copies() == 0
