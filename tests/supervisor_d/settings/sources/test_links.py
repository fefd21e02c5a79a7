"""Variables of Kubernetes and Docker that begin as ours do: left alone, and nothing else is."""

from __future__ import annotations

import pytest

from supervisor_d.settings.sources.environment import read_environment
from supervisor_d.settings.sources.links import links
from supervisor_d.settings.table import ROWS


def kubernetes(stem: str, host: str = "10.0.0.11", url_host: str = "", protocol: str = "tcp") -> dict[str, str]:
    """What a kubelet sets for a Service with two named ports (kubernetes/pkg/kubelet/envvars)."""
    urls = {number: f"{protocol}://{url_host or host}:{number}" for number in (8000, 9000)}
    made = {
        f"{stem}_SERVICE_HOST": host,
        f"{stem}_SERVICE_PORT": "8000",
        f"{stem}_SERVICE_PORT_HTTP": "8000",
        f"{stem}_SERVICE_PORT_ADMIN_2": "9000",
        f"{stem}_PORT": urls[8000],
    }
    for number, url in urls.items():
        each = f"{stem}_PORT_{number}_{protocol.upper()}"
        made |= {each: url, f"{each}_PROTO": protocol, f"{each}_PORT": str(number), f"{each}_ADDR": host}
    return made


def docker(stem: str) -> dict[str, str]:
    """What Docker sets for --link, with a range of ports and variables of the linked container."""
    each = f"{stem}_PORT_8000_TCP"
    return {
        f"{stem}_NAME": "/web/supervisor-d",
        f"{stem}_PORT": "tcp://172.17.0.5:8000",
        each: "tcp://172.17.0.5:8000",
        f"{each}_PROTO": "tcp",
        f"{each}_PORT": "8000",
        f"{each}_ADDR": "172.17.0.5",
        f"{each}_START": "tcp://172.17.0.5:8000",
        f"{each}_END": "tcp://172.17.0.5:8001",
        f"{each}_PORT_START": "8000",
        f"{each}_PORT_END": "8001",
        f"{stem}_ENV_PATH": "/usr/bin:/bin",
        f"{stem}_ENV_WORKERS": "four",
    }


@pytest.mark.parametrize(
    "environ",
    [
        kubernetes("SUPERVISOR_D"),
        kubernetes("SUPERVISOR_D_ADMIN"),
        kubernetes("SUPERVISOR_D_WORKERS"),
        kubernetes("SUPERVISOR_D_PORT"),
        kubernetes("SUPERVISOR_D_SERVICE"),
        kubernetes("SUPERVISOR_D_1", host="fd00::1", url_host="[fd00::1]", protocol="udp"),
        kubernetes("SUPERVISOR_D", protocol="sctp"),
        kubernetes("SUPERVISOR_D") | kubernetes("SUPERVISOR_D_ADMIN"),
        docker("SUPERVISOR_D"),
        docker("SUPERVISOR_D_1"),
        {"SUPERVISOR_D_PORT": "tcp://10.0.0.11:80"},
    ],
)
def test_links_are_neither_settings_nor_mistakes(environ: dict[str, str]) -> None:
    problems: list[str] = []
    given = read_environment({**environ, "SUPERVISOR_D_GRACEFUL_TIMEOUT": "5s"}, problems)
    assert (sorted(given), problems) == (["graceful_timeout"], [])
    assert links(environ) == environ.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SUPERVISOR_D_PORT", "8000"),
        ("SUPERVISOR_D_PORT", "tcp://example.org:80"),
        ("SUPERVISOR_D_PORT", "tcp://1.2.3:80"),
        ("SUPERVISOR_D_PORT", "http://10.0.0.1:80"),
        ("SUPERVISOR_D_PORT", "tcp://10.0.0.1:80 "),
        ("SUPERVISOR_D_SERVICE_HOST", "example"),
        ("SUPERVISOR_D_SERVICE_HOST", "10.0.0"),
        ("SUPERVISOR_D_SERVICE_PORT", "8000"),
        ("SUPERVISOR_D_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("SUPERVISOR_D_PORT_8000_TCP_PROTO", "tcp"),
        ("SUPERVISOR_D_PORT_8000_ICMP", "tcp://10.0.0.1:80"),
        ("SUPERVISOR_D_ENV_PATH", "/bin"),
        ("SUPERVISOR_D_SERVICE_HOSTS", "10.0.0.1"),
        ("SUPERVISOR_D_BINDS", "tcp://10.0.0.1:80"),
    ],
)
def test_a_mistake_that_looks_like_half_a_link_is_refused(name: str, value: str) -> None:
    problems: list[str] = []
    read_environment({name: value}, problems)
    assert [problem.partition(":")[0] for problem in problems] == [name]


def test_an_anchor_carries_only_what_begins_as_it_does() -> None:
    problems: list[str] = []
    read_environment({**kubernetes("SUPERVISOR_D_ADMIN"), "SUPERVISOR_D_SERVICE_PORT": "8000"}, problems)
    assert len(problems) == 1
    assert problems[0].startswith("SUPERVISOR_D_SERVICE_PORT: unknown")


def test_an_address_of_a_service_does_not_carry_docker_s_variables() -> None:
    assert "SUPERVISOR_D_ENV_X" not in links({**kubernetes("SUPERVISOR_D"), "SUPERVISOR_D_ENV_X": "1"})


def test_no_value_of_a_setting_is_taken_for_a_link() -> None:
    """The only setting whose variable ends as a link's does is `name`, which refuses slashes."""
    samples = {**kubernetes("SUPERVISOR_D"), **docker("SUPERVISOR_D")}
    both = {row.variable: row for row in ROWS.values() if row.variable in samples}
    assert list(both) == ["SUPERVISOR_D_NAME"]
    with pytest.raises(ValueError, match="must be"):
        both["SUPERVISOR_D_NAME"].option.kind.parse(samples["SUPERVISOR_D_NAME"])
    assert links({"SUPERVISOR_D_NAME": "shop"}) == frozenset()
