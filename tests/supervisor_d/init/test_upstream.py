"""What front ends are printed from: the daemon as it is set, and what cannot be said of it."""

from __future__ import annotations

import pytest

from supervisor_d.errors import ConfigurationError
from supervisor_d.init import caddy, haproxy, nginx
from supervisor_d.init.plan import plan_of
from supervisor_d.init.upstream import Front, Says, Upstream, servers_of, spellings, upstream_of
from supervisor_d.settings.resolve import resolve


def upstream(group: str = "", **flags: object) -> Upstream:
    plan = plan_of(resolve({"app": "main:app", **flags}, {}))
    servers = servers_of(plan.settings.daemon.bind, "nginx", "/srv/app")
    return upstream_of(plan.settings, servers, Front("nginx", group))


@pytest.mark.parametrize(
    ("bind", "servers"),
    [
        (["0.0.0.0:8000", "[::]:8001"], ["127.0.0.1:8000", "[::1]:8001"]),
        (["unix:/run/app.sock", "fd://3"], ["unix:/run/app.sock"]),
        (["unix:run/app.sock"], ["unix:/srv/app/run/app.sock"]),
        (["10.0.0.7:80", "[fe80::1%eth0]:80"], ["10.0.0.7:80"]),
    ],
)
def test_a_front_end_connects_to_what_is_bound(bind: list[str], servers: list[str]) -> None:
    assert [str(server) for server in servers_of(bind, "nginx", "/srv/app")] == servers


@pytest.mark.parametrize("bind", ["unix:@x", "fd://3", "127.0.0.1:0", "[fe80::1%eth0]:80"])
def test_a_front_end_cannot_connect_to_what_has_no_address(bind: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^bind: must have a port.* that Caddy can connect to, not "):
        servers_of([bind], "Caddy", "/")


@pytest.mark.parametrize(
    ("headers", "identity", "fields"),
    [
        ("x-forwarded-for", "off", {"X-Forwarded-For": Says.CLIENT, "X-Request-ID": Says.ID}),
        ("forwarded", "X-Trace", {"Forwarded": Says.ALL, "X-Trace": Says.ID}),
        ("off", "x-request-id", {"x-request-id": Says.ID}),
    ],
)
def test_each_field_of_that_kind_is_set_or_cleared(headers: str, identity: str, fields: dict[str, Says]) -> None:
    made = upstream(forwarded_headers=headers, request_id=identity)
    assert dict(made.fields) == fields
    known = {
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "forwarded",
        "x-request-id",
    }
    assert {name.lower() for name in (*fields, *made.cleared)} == known | {identity.lower()} - {"off"}
    assert not {name.lower() for name in fields} & {name.lower() for name in made.cleared}


def test_names_that_frameworks_take_for_another_are_cleared_where_they_are_kept() -> None:
    assert spellings("X-A-B") == ["X-A_B", "X_A-B", "X_A_B"]
    assert spellings("Forwarded") == []
    assert "X_Forwarded_For" in upstream(underscore_headers="keep").cleared
    assert not [name for name in upstream(underscore_headers="refuse").cleared if "_" in name]


@pytest.mark.parametrize(("keep_alive", "idle"), [("75", "60s"), ("2", "1600ms"), ("0", "0s"), ("1m", "48s")])
def test_the_front_end_gives_an_idle_connection_up_first(keep_alive: str, idle: str) -> None:
    assert upstream(keep_alive=keep_alive).idle == idle


def test_silence_is_borne_for_as_long_as_the_settings_may_take() -> None:
    assert (upstream().silence_s, upstream().tunnel_s) == (75, 45)
    made = upstream(request_timeout="5m", ws_ping_interval="0")
    assert (made.silence_s, made.tunnel_s) == (305, 3600)


def test_what_is_not_believed_or_cannot_connect_is_said() -> None:
    (unbelieved, closed) = upstream(bind=["unix:/run/x.sock"]).doubts
    assert unbelieved.endswith("until --forwarded-allow-ips names unix.")
    assert closed == "nginx's user must be in the Unix socket's group (unix-mode 0660), which --front-group names."
    assert upstream("www", bind=["unix:/run/x.sock"], forwarded_allow_ips="unix").doubts == ()
    assert upstream(bind=["unix:/run/x.sock"], forwarded_allow_ips="*", unix_mode="0666").doubts == ()
    assert upstream(bind=["10.0.0.7:80"]).doubts[0].endswith("names 10.0.0.7.")
    assert upstream(bind=["localhost:80"]).doubts == ()


def test_haproxy_has_room_for_the_heads_that_the_daemon_takes() -> None:
    def told(**limits: str) -> str:
        return haproxy.conf(plan_of(resolve({"app": "main:app", "bind": ["127.0.0.1:8000"], **limits}, {})))

    assert "    tune.bufsize 74752\n" in told()
    assert "    tune.bufsize 17408\n" in told(limit_request_line="7k", limit_header_bytes="8193")
    assert "tune.bufsize" not in told(limit_request_line="7k", limit_header_bytes="8k")


def test_a_front_end_runs_in_the_group_that_may_connect() -> None:
    plan = plan_of(resolve({"app": "main:app", "bind": ["unix:/run/x.sock"]}, {}))
    assert "\nuser nobody www;\n" in nginx.conf(nginx.upstream_for(plan, "www"))
    assert "    user nobody\n    group www\n" in haproxy.conf(plan, "www")
    assert "# Caddy's user must be in the group www.\n" in caddy.conf(caddy.upstream_for(plan, "www"))
    assert "user nobody" not in nginx.conf(nginx.upstream_for(plan))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"bind": ["unix:/run/a;b"]}, r"^bind: must be a path of letters, .* in nginx's file, not unix:/run/a;b"),
        ({"root_path": "/a$b"}, r"^root-path: must be of letters, .* in nginx's file, not '/a\$b'"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(flags: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        upstream(**flags)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"bind": ["unix:/run/x"]}, "^proxy-allow-ips: must name unix, from where HAProxy connects to unix:/run/x"),
        ({"forwarded_allow_ips": "*"}, r"^forwarded-allow-ips: must not be \* behind a HAProxy that passes bytes on"),
    ],
)
def test_a_proxy_header_is_of_no_use_where_it_is_not_taken_or_too_much_is(flags: dict[str, object], says: str) -> None:
    plan = plan_of(resolve({"app": "main:app", "proxy_protocol": True, **flags}, {}))
    with pytest.raises(ConfigurationError, match=says):
        haproxy.conf(plan)
