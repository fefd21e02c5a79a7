"""python -m tests.hostile: attacks from a worker's own code and at admin-bind, with a normal client beside each.

Prints a table: the attack, what the daemon said about it and answered afterwards, what became of the client's requests,
and which test of the suite tries the same. `lost` are requests on a connection that was made and gave no answer;
`refused` connections found no listener. All on 127.0.0.1, some seconds for each.
Exits with 1 if the daemon did not live, or a request was lost.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.helpers.daemon import DEADLINE_S, Daemon, Heard, running
from tests.hostile.application import APP, HUGE, NAN

REQUESTS_MAX: Final = 2000
"""Of the normal client in one attack."""
LIMITED: Final = ("sh", "-c", 'ulimit -n 64 && exec "$@"', "sh")


@dataclass(frozen=True)
class Attack:
    """`paths` are asked for, each of whatever worker accepts it; `ends_with` are the events that follow."""

    name: str
    test: str
    """In tests/process: what tries the same in the suite."""
    paths: tuple[str, ...] = ()
    ends_with: tuple[str, ...] = ()
    silent_clients: int = 0
    may_lose: bool = False
    """Whether a connection that is accepted and closed before it is mended can be lost (contrib/docs/SECURITY.md)."""


WORKER: Final = "test_hostile_worker.py::test_{}".format

ATTACKS: Final = (
    *(
        Attack(
            f"{called} in the record",
            WORKER("a_worker_that_writes_garbage_into_its_record_is_replaced_and_harms_nothing"),
            (f"/record/{garbage}",),
            ("worker.record_refused", "worker.exited"),
        )
        for called, garbage in (("0xff", "ff"), ("NaN", NAN), ("1e308", HUGE))
    ),
    Attack(
        "garbage in the table of loads",
        WORKER("garbage_in_the_table_of_loads_loses_no_request"),
        (f"/loads/{HUGE}", f"/loads/{NAN}", "/loads/ff") * 10,
    ),
    Attack(
        "ftruncate of what is shared",
        WORKER("no_worker_can_cut_off_what_it_shares_with_others_or_hold_what_is_theirs"),
        ("/cut",),
    ),
    Attack(
        "O_APPEND for what is shared",
        WORKER("no_worker_can_keep_the_daemon_from_writing_to_what_they_share"),
        ("/append",),
    ),
    Attack(
        "a flood of words to the master",
        WORKER("a_worker_that_floods_the_master_with_messages_is_cut_off_and_replaced"),
        ("/flood",),
        ("worker.detached", "worker.ready"),
    ),
    Attack(
        "shutdown of the listener",
        WORKER("a_worker_that_shuts_the_listener_down_does_not_deafen_the_service"),
        ("/deafen",),
        ("socket.lost", "socket.restored"),
    ),
    *(
        Attack(
            f"the listener: {called}",
            WORKER("what_a_worker_changes_on_the_shared_listener_is_set_right"),
            (f"/alter/{how}",),
            ("socket.altered",),
            may_lose=how.startswith("1/13/"),
        )
        for called, how in (
            ("O_NONBLOCK cleared", "block"),
            ("backlog 0", "backlog"),
            ("a filter that drops all", "drop"),
            ("SO_LINGER of no time", "1/13/0100000000000000"),
            ("SO_RCVLOWAT 1 MiB", "1/18/00001000"),
            ("TCP_DEFER_ACCEPT", "6/9/3c000000"),
        )
    ),
    *(
        Attack(
            f"{name} put back at once, inherited by a connection",
            WORKER("a_connection_that_inherited_what_a_worker_set_for_a_moment_is_set_right"),
            (f"/inherit/{how}", "/inheritor"),
            ("socket.altered",),
        )
        for name, how in (("SO_RCVLOWAT", "1/18/00001000"), ("SO_LINGER", "1/13/0100000000000000"))
    ),
    Attack(
        "60 silent clients at admin-bind, 64 descriptors",
        "test_admin.py::test_silent_clients_cannot_take_the_descriptors_that_the_master_needs",
        silent_clients=60,
    ),
)


@dataclass
class Client:
    """A normal client on a thread: one request after the other, each on a connection of its own."""

    address: tuple[str, int]
    outcomes: Counter[str] = field(default_factory=Counter)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ended.is_set() and self.outcomes.total() < REQUESTS_MAX:
            self.outcomes[self.ask()] += 1

    def ask(self) -> str:
        connection = http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            return "served" if connection.getresponse().status == 200 else "lost"
        except ConnectionRefusedError:
            self.ended.wait(0.05)  # as a client would before it tries again
            return "refused"
        except (OSError, http.client.HTTPException):
            return "lost"
        finally:
            connection.close()


def came(heard: Heard, event: str) -> bool:
    """Whether it did within the deadline; a daemon that says nothing is a row of the table, too."""
    try:
        heard.expect(event)
    except AssertionError:
        return False
    return True


def attacked(daemon: Daemon, attack: Attack) -> list[str]:
    """What the daemon said, up to the last event that is to come."""
    silent = []
    with daemon.listening() as heard:
        if attack.silent_clients:
            silent = [socket.create_connection(admin(daemon)) for _ in range(attack.silent_clients)]
        for path in attack.paths:
            daemon.get_or_nothing(path)
        answers = f"ctl status: {ctl_status(daemon)}", f"metrics: {metrics(daemon)}"
        missed = [event for event in attack.ends_with if not came(heard, event)]
        told = [*heard.names(), *(f"NO {event}" for event in missed)]
    for each in silent:
        each.close()
    return [*dict.fromkeys(told), *answers]


def admin(daemon: Daemon) -> tuple[str, int]:
    host, _, port = str(daemon.heard.expect("admin.opened")[0]["address"]).rpartition(":")
    return host, int(port)


def metrics(daemon: Daemon) -> str:
    """What the status of a scrape is: the page is made of every worker's record."""
    connection = http.client.HTTPConnection(*admin(daemon), timeout=DEADLINE_S)
    try:
        connection.request("GET", "/metrics")
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def ctl_status(daemon: Daemon) -> str:
    try:
        asked = daemon.ctl("status")
    except subprocess.TimeoutExpired:
        return f"nothing in {DEADLINE_S:g} s"
    return "answered" if asked.returncode == 0 else asked.stderr.strip()


def serves(daemon: Daemon) -> bool:
    try:
        return daemon.process.poll() is None and daemon.get()[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def play(attack: Attack, directory: Path) -> bool:
    """One row; whether it is as it should be."""
    command = LIMITED if attack.silent_clients else ()
    flags = ("--workers", "2", "--admin-bind", "127.0.0.1:0")
    with running(*flags, directory=directory, command=command) as daemon:
        daemon.heard.expect("worker.ready", times=2)
        client = Client(daemon.address())
        thread = threading.Thread(target=client.run)
        thread.start()
        try:
            told = attacked(daemon, attack)
        finally:
            client.ended.set()
            thread.join()
        lives = serves(daemon)
    count = client.outcomes
    print(
        f"| {attack.name} | {', '.join(told)} | {'lives' if lives else 'ENDED'} "
        f"| {count['served']} | {count['lost']} | {count['refused']} | {attack.test} |",
        flush=True,
    )
    return lives and (attack.may_lose or not count["lost"]) and not any(each.startswith("NO ") for each in told)


def main() -> int:
    print("| attack | events, answers | daemon | served | lost | refused | test |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "app.py").write_text(APP)
        good = [play(attack, Path(directory)) for attack in ATTACKS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
