"""The master's pid in a file: whose file is replaced, whose is not, and when it is removed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor_d.errors import ConfigurationError
from supervisor_d.host import pid_file
from supervisor_d.host.pid_file import PidFile
from tests.helpers.logs import Remembered


def written(path: Path, log: Remembered | None = None) -> PidFile:
    return pid_file.write(path, "flag --pid-file", log or Remembered())


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        written(path)
    return str(refused.value)


def ended_pid() -> int:
    """The pid of a process that has been waited for."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_it_holds_the_pid_and_is_removed(tmp_path: Path) -> None:
    file = written(tmp_path / "shop.pid")
    assert (tmp_path / "shop.pid").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "shop.pid").stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["shop.pid"]
    file.close()
    assert os.listdir(tmp_path) == []
    file.close()


def test_one_that_another_process_has_written_since_stays(tmp_path: Path) -> None:
    file = written(tmp_path / "shop.pid")
    (tmp_path / "theirs").write_text("1\n")
    (tmp_path / "theirs").rename(tmp_path / "shop.pid")
    file.close()
    assert (tmp_path / "shop.pid").read_text() == "1\n"


@pytest.mark.parametrize("text", ["{ended}\n", "{own}"])
def test_a_stale_one_is_replaced_and_told(tmp_path: Path, text: str) -> None:
    stale = ended_pid() if "ended" in text else os.getpid()
    (tmp_path / "shop.pid").write_text(text.format(ended=stale, own=stale))
    log = Remembered()
    written(tmp_path / "shop.pid", log)
    assert (tmp_path / "shop.pid").read_text() == f"{os.getpid()}\n"
    assert log.named("pid_file.replaced") == [{"path": str(tmp_path / "shop.pid"), "stale_pid": stale}]


def test_one_that_names_a_living_process_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.pid").write_text(f"{os.getppid()}\n")
    assert refusal(tmp_path / "shop.pid") == (
        f"pid-file: {tmp_path}/shop.pid names process {os.getppid()}, which is running; stop it first, or name another "
        "file (flag --pid-file)"
    )
    assert (tmp_path / "shop.pid").read_text() == f"{os.getppid()}\n"


def test_a_process_that_began_after_the_file_was_written_is_another_one(tmp_path: Path) -> None:
    """As after a restart of the container: the same small pids again."""
    (tmp_path / "shop.pid").write_text(f"{os.getppid()}\n")
    os.utime(tmp_path / "shop.pid", (1, 1))
    written(tmp_path / "shop.pid")
    assert (tmp_path / "shop.pid").read_text() == f"{os.getpid()}\n"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("")
    (tmp_path / "shop.pid").symlink_to(tmp_path / "precious")
    assert "shop.pid is a symbolic link, which is not followed" in refusal(tmp_path / "shop.pid")
    assert (tmp_path / "shop.pid").is_symlink()
    assert (tmp_path / "precious").read_text() == ""


@pytest.mark.parametrize("text", ["root:x:0:0\n", "-1", "1 2", "9" * 70])
def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "passwd").write_text(text)
    assert "passwd is there and holds no pid, so that it is not replaced" in refusal(tmp_path / "passwd")
    assert (tmp_path / "passwd").read_text() == text


def test_an_empty_one_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "shop.pid").touch()
    written(tmp_path / "shop.pid").close()
    assert os.listdir(tmp_path) == []


def test_what_is_no_file_and_a_directory_that_is_not_there_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "pipe is no regular file" in refusal(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert "folder is no regular file" in refusal(tmp_path / "folder")
    assert refusal(tmp_path / "none" / "shop.pid") == (
        f"pid-file: cannot write {tmp_path}/none/shop.pid: No such file or directory (flag --pid-file)"
    )
