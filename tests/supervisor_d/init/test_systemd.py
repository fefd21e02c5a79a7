"""Units as systemd itself reads them, for plans easy and odd."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from supervisor_d.errors import ConfigurationError
from supervisor_d.init import systemd
from supervisor_d.init.plan import Plan, arguments_of
from supervisor_d.init.reference import sample
from supervisor_d.init.target import Target
from supervisor_d.settings.resolve import resolve

EXPOSURE_MAX = 15
"""1.5, as `systemd-analyze security --threshold` counts."""


def plan(program: str = "/bin/true", **flags: object) -> Plan:
    resolved = resolve({"app": "main:app", "name": "app", **flags}, {}, host=Target())
    return dataclasses.replace(
        sample(), settings=resolved.settings, program=(program,), arguments=tuple(arguments_of(resolved))
    )


def directives(unit: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"control_socket": "off"},
        {"control_socket": "/run/a b/c.sock"},
        {"bind": [":80"]},
        {"root_path": "/100%/$HOME/\"x\"/'y'\\z;"},
    ],
)
def test_systemd_accepts_the_units_without_a_word(flags: Mapping[str, object], tmp_path: Path) -> None:
    (tmp_path / "app.service").write_text(systemd.service(plan(**flags)))
    (tmp_path / "app.socket").write_text(systemd.socket(plan(**flags)))
    told = analyze("verify", "--man=no", str(tmp_path / "app.service"), str(tmp_path / "app.socket"))
    ours = [line for line in (told.stdout + told.stderr).splitlines() if "app." in line]
    assert (told.returncode, ours) == (0, [])


def test_the_sandbox_leaves_little_exposed(tmp_path: Path) -> None:
    (tmp_path / "app.service").write_text(systemd.service(plan()))
    told = analyze(
        "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX}", str(tmp_path / "app.service")
    )
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", "plain"),
        ("/a/b-c.d:e", "/a/b-c.d:e"),
        ("", '""'),
        ("a b", '"a b"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('say "x"', '"say \\"x\\""'),
        ("it's", '"it\'s"'),
        ("a\\b", '"a\\\\b"'),
        (";", '";"'),
    ],
)
def test_a_word_stays_one_word_and_means_itself(text: str, quoted: str) -> None:
    assert systemd.word(text) == quoted


def test_a_descriptor_that_systemd_does_not_open_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"ready-fd: must be off under systemd, .*, not 5"):
        systemd.service(plan(ready_fd="5"))


def test_systemd_waits_longer_than_the_daemon_takes() -> None:
    told = directives(systemd.service(dataclasses.replace(plan(), stop_s=48.5, boot_s=60)))
    assert told["TimeoutStopSec"] == ["54"]
    assert told["TimeoutStartSec"] == ["65"]


def test_a_reload_asks_the_control_socket_where_there_is_one() -> None:
    asked = directives(systemd.service(plan()))["ExecReload"]
    assert asked == ["/bin/true ctl --socket %t/supervisor-d/app/control.sock reload"]
    asked = directives(systemd.service(plan(control_socket="@x")))["ExecReload"]
    assert asked == ["/bin/true ctl --socket @x reload"]
    assert directives(systemd.service(plan(control_socket="off")))["ExecReload"] == ["kill -HUP $MAINPID"]


def test_a_low_port_is_allowed_for_and_no_other_capability_is() -> None:
    told = directives(systemd.service(plan(bind=["127.0.0.1:0", ":443"])))
    assert told["CapabilityBoundingSet"] == told["AmbientCapabilities"] == ["CAP_NET_BIND_SERVICE"]
    assert "PrivateUsers" not in told, "a private user namespace has no say over the machine's ports"
    told = directives(systemd.service(plan(bind=["127.0.0.1:0", ":1024"])))
    assert told["CapabilityBoundingSet"] == [""]
    assert "AmbientCapabilities" not in told


@pytest.mark.parametrize(
    ("needs", "home", "shown"),
    [
        (("/srv/app", "/usr"), "yes", []),
        (("/home/me/app", "/home/me/app/.venv", "/usr"), "tmpfs", ["/home/me/app"]),
        (("/tmp/app", "/usr"), "yes", ["/tmp/app"]),
        (("/root/a:b", "/var/tmp/c d"), "tmpfs", ['"/root/a\\\\:b"', '"/var/tmp/c d"']),
        (("/homes/x", "/tmpfiles"), "yes", []),
    ],
)
def test_what_is_needed_where_all_is_hidden_is_shown(needs: tuple[str, ...], home: str, shown: list[str]) -> None:
    told = directives(systemd.service(dataclasses.replace(plan(), needs=needs)))
    assert told["ProtectHome"] == [home]
    assert told.get("BindReadOnlyPaths", []) == shown


def test_a_socket_unit_opens_what_bind_says() -> None:
    told = directives(systemd.socket(plan(bind=[":8000", "[::]:8000", "unix:/run/a%b.sock"], backlog=64), "www"))
    assert told["ListenStream"] == ["0.0.0.0:8000", "[::]:8000", "/run/a%%b.sock"]
    assert told["BindIPv6Only"] == ["ipv6-only"]
    assert (told["Backlog"], told["SocketMode"], told["SocketGroup"]) == (["64"], ["0660"], ["www"])


@pytest.mark.parametrize(
    ("bind", "says"), [("localhost:80", "numeric address .* not localhost:80"), ("fd://3", "not only descriptors")]
)
def test_what_a_socket_unit_cannot_open_is_refused(bind: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        systemd.socket(plan(bind=[bind]))


def test_systemd_makes_the_directories_that_the_command_line_writes_to() -> None:
    made = plan(
        bind=["unix:/run/shop/app.sock", "unix:/var/run/shop/two/b.sock"],
        access_log="/var/log/shop/access.log",
        control_socket="/run/shop/control.sock",
    )
    told = directives(systemd.service(made, "www"))
    assert told["RuntimeDirectory"] == ["supervisor-d/app shop shop/two"]
    assert told["LogsDirectory"] == ["shop"]
    assert (told["DynamicUser"], told["Group"]) == (["yes"], ["www"])
    assert "Requires" not in told


def test_a_unix_socket_where_the_service_cannot_make_one_is_the_socket_units() -> None:
    for path in ("/run/app.sock", "/srv/app/app.sock", "/run/user/1000/app.sock"):
        told = directives(systemd.service(plan(bind=[f"unix:{path}"])))
        assert told["Requires"] == told["After"][1:] == ["%N.socket"]
        assert directives(systemd.socket(plan(bind=[f"unix:{path}"]), "www"))["ListenStream"] == [path]


def test_a_socket_unit_names_the_interface_of_a_link_local_address_behind_the_port(tmp_path: Path) -> None:
    unit = systemd.socket(plan(bind=["[fe80::1%eth0]:8000"]))
    assert directives(unit)["ListenStream"] == ["[fe80::1]:8000%%eth0"]
    (tmp_path / "app.socket").write_text(unit)
    (tmp_path / "app.service").write_text(systemd.service(plan()))
    told = analyze("verify", "--man=no", str(tmp_path / "app.socket"))
    assert "Failed to parse" not in told.stdout + told.stderr


def test_a_relative_unix_socket_is_below_the_directory() -> None:
    made = dataclasses.replace(plan(bind=["unix:app.sock"]), directory="/srv/app")
    assert directives(systemd.socket(made, "www"))["ListenStream"] == ["/srv/app/app.sock"]


def test_files_that_the_services_user_cannot_read_are_handed_over() -> None:
    made = plan()
    certificates, keys = ("tls/a.crt", "/etc/b.crt"), ("tls/a.key", "/etc/b%.key")
    server = dataclasses.replace(made.settings.server, ssl_certfile=certificates, ssl_keyfile=keys)
    settings = dataclasses.replace(made.settings, server=server)
    told = directives(systemd.service(dataclasses.replace(made, settings=settings, home="/srv/app")))
    assert told["LoadCredential"] == [
        "tls-1:/srv/app/tls/a.crt",
        "tls-2:/etc/b.crt",
        "tls-3:/srv/app/tls/a.key",
        "tls-4:/etc/b%%.key",
    ]
    words = told["ExecStart"][0].split()
    assert [after for flag, after in itertools.pairwise(words) if flag.startswith("--ssl-")] == [
        f"${{CREDENTIALS_DIRECTORY}}/tls-{number}" for number in (1, 2, 3, 4)
    ]


def test_a_user_of_ones_own_writes_where_it_may() -> None:
    told = directives(systemd.service(plan(user="daemon", group="daemon", access_log="/home/access.log")))
    assert "DynamicUser" not in told
    assert (told["User"], told["Group"]) == (["daemon"], ["daemon"])
    assert told["BindPaths"] == ["/home"]
    told = directives(systemd.service(plan(user="daemon", group="daemon", access_log="/srv/access.log")))
    assert told["ReadWritePaths"] == ["/srv"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"access_log": "/var/log/access.log"}, "^access-log: must be in a directory of its own below /var/log"),
        ({"access_log": "/srv/access.log"}, "^access-log: .* such as /var/log/app/access.log; the unit's user"),
        ({"access_log": "/tmp/access.log"}, "^access-log: .* may not write to /tmp/access.log"),
        ({"user": "daemon", "access_log": "/var/log/access.log"}, "^access-log: .*; daemon may not write to"),
        ({"control_socket": "/srv/c.sock"}, "^control-socket: .* such as /run/app/control.sock"),
        ({"admin_bind": "unix:/run/a.sock"}, "^admin-bind: .* such as /run/app/admin.sock"),
        ({"bind": ["unix:/run/x/a.sock"]}, r"^unix-mode: 0660 lets no front end connect to unix:/run/x/a.sock"),
    ],
)
def test_what_a_service_could_not_write_is_refused_by_name(flags: Mapping[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        systemd.service(plan(**flags))


def test_a_socket_that_the_front_end_could_not_use_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"^unix-mode: 0660 lets nobody but root connect to unix:/run/a.sock"):
        systemd.socket(plan(bind=["unix:/run/a.sock"]))
    with pytest.raises(ConfigurationError, match=r"^bind: must not be in RuntimeDirectory=supervisor-d/app for a"):
        systemd.socket(plan(bind=["unix:/run/supervisor-d/app/a.sock"]), "www")
    with pytest.raises(ConfigurationError, match=r"^group: must be www, the front end's .*, not daemon"):
        systemd.service(plan(bind=["unix:/run/x/a.sock"], user="daemon", group="daemon"), "www")
    assert directives(systemd.socket(plan(bind=["unix:/run/a.sock"], user="daemon")))["SocketUser"] == ["daemon"]
    assert "SocketGroup" not in systemd.socket(plan(bind=["unix:/run/a.sock"], unix_mode="0666"))


def test_what_the_services_user_could_not_read_is_refused_unless_that_user_is_named() -> None:
    closed = dataclasses.replace(plan(), closed=("/root/app",))
    with pytest.raises(ConfigurationError, match=r"^user: must be given, since /root/app is closed to other users"):
        systemd.service(closed)
    assert "User=root\n" in systemd.service(dataclasses.replace(plan(user="root", group="root"), closed=("/root/app",)))
