"""By default workers are forked from a process that has the server in memory, and import the application themselves."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from tests.helpers.daemon import PID_APP, REPOSITORY, Daemon, running
from tests.helpers.deadline import GENEROUS_S

SITE_THREAD = """
import threading
threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()
"""
SITE_SOCKET = """
import socket
LISTENER = socket.create_server(("127.0.0.1", 0))
"""
ORPHAN = """
import subprocess
subprocess.run(["sh", "-c", "(cat fifo; exit 7) >/dev/null & exit 0"], check=True)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(PID_APP)
    return tmp_path


def with_site(directory: Path, code: str) -> dict[str, str]:
    """An environment in which every interpreter runs this code when it starts, after the master has."""
    (directory / "site").mkdir(exist_ok=True)
    guard = "import sys\nif '-m' not in sys.orig_argv or 'supervisor_d' not in sys.orig_argv:\n"
    indented = "".join(f"    {line}\n" for line in code.strip().splitlines())
    (directory / "site" / "sitecustomize.py").write_text(guard + indented)
    # No bytecode: it would be taken for that of the next code, if this is as long and of the same second.
    return {"PYTHONPATH": f"{directory / 'site'}:{REPOSITORY}", "PYTHONDONTWRITEBYTECODE": "1"}


def template_of(daemon: Daemon) -> int | None:
    told = daemon.status()["template"]
    assert isinstance(told, dict)
    pid = told["pid"]
    assert pid is None or isinstance(pid, int)
    return pid


def started(daemon: Daemon, workers: int = 2) -> int:
    """The first template's pid, once all workers are ready; it has ended then."""
    daemon.heard.expect("worker.ready", times=workers)
    (event,) = daemon.heard.expect("template.prepared")
    roles = [(spawned["pid"], spawned["role"]) for spawned in daemon.heard.named("worker.spawned") if "role" in spawned]
    assert roles == [(event["pid"], "template")]
    daemon.heard.expect("template.ended", pid=event["pid"], exit_code=0, signal=None)
    assert isinstance(event["pid"], int)
    return event["pid"]


def second_template(daemon: Daemon) -> int:
    """The pid of the one that comes with a worker that has to be replaced, and stays."""
    first = started(daemon)
    with daemon.listening() as heard:
        os.kill(daemon.pids()[2], signal.SIGKILL)
        (event,) = heard.expect("template.prepared")
        heard.expect("worker.ready", slot=2)
    assert isinstance(event["pid"], int)
    assert event["pid"] != first
    return event["pid"]


def open_files(pid: int) -> Mapping[str, int]:
    """How many descriptors of each kind a process has open; what tells two of a kind apart is left out."""
    targets = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(entry)
        targets.append(re.sub(r":\[\d+\]$|-\d+ ", "", target))
    return Counter(targets)


def test_workers_are_forked_and_are_the_masters_children(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        template = started(daemon)
        workers = set(daemon.pids().values())
        assert template not in workers
        assert {psutil.Process(pid).ppid() for pid in workers} == {daemon.pid}
        assert int(daemon.get()[1].split()[0]) in workers
        assert daemon.status()["preload"] is None


def test_the_first_template_ends_when_all_are_born(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        started(daemon)
        assert template_of(daemon) is None
        assert "workers were forked, which saves " in daemon.ctl("status").stdout
        assert {child.pid for child in psutil.Process(daemon.pid).children()} == set(daemon.pids().values())


def test_the_template_of_whoever_is_born_later_stays(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        template = second_template(daemon)
        assert template_of(daemon) == template
        assert f"workers are forked from pid {template}, which " in daemon.ctl("status").stdout
        assert psutil.Process(template).num_threads() == 1
        with daemon.listening() as heard:
            os.kill(daemon.pids()[1], signal.SIGKILL)
            heard.expect("worker.ready", slot=1)
            assert not heard.named("template.prepared")
        assert template_of(daemon) == template


def test_each_worker_imports_the_application_itself(directory: Path) -> None:
    (directory / "app.py").write_text(PID_APP + "GENERATION = os.getpid()\n")
    with running("--workers", "2", directory=directory) as daemon:
        started(daemon)
        pid, imported_in = daemon.get()[1].split()
        assert pid == imported_in


def test_a_forked_worker_says_its_own_slot_at_import(directory: Path) -> None:
    (directory / "app.py").write_text(PID_APP + "GENERATION = os.environ['SUPERVISOR_D_SLOT']\n")
    with running("--workers", "2", directory=directory) as daemon:
        started(daemon)
        slots = {str(pid): str(slot) for slot, pid in daemon.pids().items()}
        pid, slot = daemon.get()[1].split()
        assert slots[pid] == slot


def test_a_forked_worker_has_the_descriptors_of_one_that_was_spawned(directory: Path) -> None:
    found = []
    for flag in ("--template", "--no-template", "--preload"):
        with running("--workers", "2", flag, directory=directory) as daemon:
            daemon.heard.expect("worker.ready", times=2)
            found += [open_files(pid) for pid in daemon.pids().values()]
    assert len(found) == 6
    assert all(files == found[2] for files in found), found


def test_a_crashed_worker_is_forked_again_and_loads_what_is_on_the_disk_by_then(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        started(daemon)
        (directory / "added.py").write_text("VALUE = 'new'\n")
        (directory / "app.py").write_text(PID_APP + "from added import VALUE as GENERATION\n")
        with daemon.listening() as heard:
            for pid in daemon.pids().values():
                os.kill(pid, signal.SIGKILL)
            heard.expect("worker.crashed", signal="SIGKILL", times=2)
            heard.expect("worker.ready", times=2)
        assert daemon.get()[1].split()[1] == "new"


def test_a_reload_makes_a_new_template_with_a_new_interpreter(directory: Path) -> None:
    environment = with_site(directory, "import os\nos.environ['SITE'] = 'old'")
    (directory / "app.py").write_text(PID_APP + "GENERATION = os.environ['SITE']\n")
    with running("--workers", "2", directory=directory, env=environment) as daemon:
        first = started(daemon)
        assert daemon.get()[1].split()[1] == "old"
        with_site(directory, "import os\nos.environ['SITE'] = 'new'")
        asked = daemon.ctl("reload")
        assert asked.returncode == 0, asked.stderr
        assert daemon.get()[1].split()[1] == "new"
        (event,) = daemon.heard.expect("template.prepared", generation=2)
        daemon.heard.expect("template.ended", generation=2, pid=event["pid"])
        assert event["pid"] != first


def test_a_reload_ends_a_template_that_stayed(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        template = second_template(daemon)
        assert daemon.ctl("reload").returncode == 0
        daemon.heard.expect("template.ended", generation=1, pid=template)


def test_a_bad_deploy_is_rolled_back_and_the_old_template_stays(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        template, before = second_template(daemon), daemon.pids()
        (directory / "app.py").write_text("import no_such_module_anywhere\n")
        asked = daemon.ctl("reload")
        assert asked.returncode == 1
        assert "no_such_module_anywhere" in asked.stderr
        daemon.heard.expect("template.ended", generation=2)
        assert daemon.pids() == before
        assert template_of(daemon) == template


def test_the_first_boot_that_fails_ends_the_daemon_with_its_traceback(directory: Path) -> None:
    (directory / "app.py").write_text("raise LookupError('no configuration')\n")
    with running("--workers", "2", directory=directory) as daemon:
        assert daemon.wait() == 3
        assert "LookupError: no configuration" in daemon.lines[-1]


@pytest.mark.parametrize(
    ("code", "offender"),
    [
        pytest.param(SITE_THREAD, "thread 'poller'", id="thread"),
        pytest.param(SITE_SOCKET, "a socket bound to ('127.0.0.1', ", id="socket"),
    ],
)
def test_an_interpreter_that_cannot_be_forked_is_told_once_and_workers_are_started_each_by_itself(
    directory: Path, code: str, offender: str
) -> None:
    with running("--workers", "3", directory=directory, env=with_site(directory, code)) as daemon:
        daemon.heard.expect("worker.ready", times=3)
        (event,) = daemon.heard.named("template.refused")
        assert str(event["reason"]).startswith(f"starting the interpreter left {offender}")
        told = daemon.status()["template"]
        assert isinstance(told, dict)
        assert told["pid"] is None
        assert offender in told["refusal"]
        assert len(daemon.heard.named("worker.spawned")) == 3, "the first one goes on as the worker that it is"
        assert daemon.get()[0] == 200


def test_a_killed_template_is_followed_by_another_when_a_worker_is_needed(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        template = second_template(daemon)
        os.kill(template, signal.SIGKILL)
        daemon.heard.expect("template.ended", pid=template, signal="SIGKILL")
        assert daemon.get()[0] == 200
        assert daemon.ctl("scale", "3").returncode == 0
        daemon.heard.expect("worker.ready", times=4)
        assert template_of(daemon) not in (None, template)


def test_a_template_that_dies_while_it_is_to_fork_delays_the_birth_only(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        template = second_template(daemon)
        os.kill(template, signal.SIGSTOP)
        with daemon.listening() as heard:
            os.kill(daemon.pids()[1], signal.SIGKILL)
            heard.expect("worker.crashed", slot=1)
            daemon.status()  # the master has been through its loop, and has ordered the fork
            os.kill(template, signal.SIGKILL)
            heard.expect("template.ended", pid=template, signal="SIGKILL")
            heard.expect("worker.ready", slot=1)
            heard.expect("template.prepared")
        assert daemon.get()[0] == 200


def test_a_template_that_dies_while_it_starts_is_followed_by_another(directory: Path) -> None:
    gate = directory / "gate"
    os.mkfifo(gate)
    with running("--workers", "2", directory=directory, env=with_site(directory, "pass")) as daemon:
        started(daemon)
        with_site(directory, f"open({str(gate)!r}).read()")
        with daemon.listening() as heard:
            os.kill(daemon.pids()[2], signal.SIGKILL)
            (event,) = heard.expect("worker.spawned", slot=2)
            with gate.open("w"):  # it is there to read now
                with_site(directory, "pass")
                os.kill(int(str(event["pid"])), signal.SIGKILL)
                heard.expect("template.prepared")
            heard.expect("worker.ready", slot=2)
        assert daemon.get()[0] == 200


def test_a_template_that_does_not_fork_is_given_up_at_the_boot_deadline(directory: Path) -> None:
    with running("--workers", "2", "--boot-timeout", "3", directory=directory) as daemon:
        template = second_template(daemon)
        os.kill(template, signal.SIGSTOP)
        with daemon.listening() as heard:
            os.kill(daemon.pids()[2], signal.SIGKILL)
            heard.expect("worker.boot_expired", slot=2)
            heard.expect("template.ended", pid=template)
            heard.expect("worker.ready", slot=2)


def test_a_single_worker_is_spawned_and_the_template_comes_with_the_second(directory: Path) -> None:
    with running("--workers", "1", directory=directory) as daemon:
        daemon.heard.expect("worker.ready")
        first = daemon.pids()[1]
        assert daemon.status()["template"] is None
        assert daemon.ctl("scale", "3").returncode == 0
        started(daemon, 3)
        assert daemon.pids()[1] == first
        assert daemon.ctl("scale", "1").returncode == 0
        daemon.heard.expect("worker.exited", times=2)
        with daemon.listening() as heard:
            os.kill(*daemon.pids().values(), signal.SIGKILL)
            heard.expect("worker.ready")
            assert not heard.named("template.prepared")


def test_a_single_worker_s_reload_and_restart_need_no_template(directory: Path) -> None:
    with running("--workers", "1", directory=directory) as daemon:
        daemon.heard.expect("worker.ready")
        assert daemon.ctl("reload").returncode == 0
        assert daemon.ctl("restart", str(*daemon.pids())).returncode == 0
        daemon.heard.expect("worker.ready", times=3)
        assert daemon.status()["template"] is None
        assert not daemon.heard.named("template.prepared")


@pytest.mark.parametrize("flags", [("--no-template",), ("--preload",), ("--preload", "--no-template")])
def test_there_is_none_if_it_is_switched_off_or_goes_further(directory: Path, flags: tuple[str, ...]) -> None:
    with running("--workers", "2", *flags, directory=directory) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        assert daemon.status()["template"] is None
        assert not daemon.heard.named("template.prepared")
        assert len(daemon.heard.named("zygote.preloaded")) == ("--preload" in flags)


def test_a_module_of_the_application_by_a_name_of_the_standard_library_s_is_still_meant(directory: Path) -> None:
    (directory / "secrets.py").write_text("KEY = 'mine'\n")
    (directory / "app.py").write_text(PID_APP + "from secrets import KEY as GENERATION\n")
    with running("--workers", "2", directory=directory) as daemon:
        started(daemon)
        assert daemon.get()[1].split()[1] == "mine"


def test_a_forked_worker_tells_its_own_stacks(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        started(daemon)
        for slot in ("1", "2"):
            told = daemon.ctl("dump", slot)
            assert told.returncode == 0, told.stderr
            assert "in _serve" in told.stdout
            assert "in fork_on_order" not in told.stdout, "that is the template"


def test_an_orphan_of_a_worker_s_is_reaped(directory: Path) -> None:
    os.mkfifo(directory / "fifo")
    (directory / "app.py").write_text(PID_APP + ORPHAN)
    with running("--workers", "2", directory=directory) as daemon:
        started(daemon)
        with daemon.listening() as heard:
            (directory / "fifo").write_text("")
            heard.expect("process.reaped", exit_code=7, times=1)


def test_a_stop_leaves_no_process_behind(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        template = second_template(daemon)
        everybody = [psutil.Process(pid) for pid in (template, *daemon.pids().values())]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        gone, alive = psutil.wait_procs(everybody, timeout=GENEROUS_S)
        assert not alive
        assert len(gone) == 3


def test_a_template_ends_with_a_master_that_is_killed(directory: Path) -> None:
    with running("--workers", "2", directory=directory) as daemon:
        template = psutil.Process(second_template(daemon))
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        assert psutil.wait_procs([template], timeout=GENEROUS_S)[0] == [template]
