"""uvicorn's parameters as settings: each option has a fate, and does what its row says."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

import pytest
from click.testing import CliRunner

from supervisor_d.compat.options.table import Fate
from supervisor_d.compat.options.uvicorn import OPTIONS
from supervisor_d.compat.uvicorn.command import parameters, uvicorn
from supervisor_d.compat.uvicorn.translate import translate
from supervisor_d.errors import ConfigurationError
from supervisor_d.settings.resolve import resolve
from supervisor_d.settings.sources.provenance import Origin
from supervisor_d.settings.table import ROWS


def values(**given: object) -> Mapping[str, object]:
    translation = translate({"app": "main:app", **given}, lambda name: f"--{name}")
    return {name: value.value for name, value in translation.given.items()}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {"bind": ("127.0.0.1:8000",), "access_log": "-", "access_log_format": "uvicorn", "log_format": "uvicorn"}),
        ({"host": "::", "port": 80}, {"bind": ("[::]:80",)}),
        ({"uds": "/run/a"}, {"bind": ("unix:/run/a",), "unix_mode": "0666"}),
        ({"fd": 0, "uds": "/run/a"}, {"bind": ("fd://0",)}),
        ({"proxy_headers": False}, {"forwarded_headers": "off"}),
        ({"access_log": False}, {"access_log": "off"}),
        ({"log_level": "trace"}, {"log_level": "debug"}),
        ({"headers": ("X-A:b:c", "X-D: e")}, {"header": ("X-A: b:c", "X-D: e")}),
        ({"ssl_cert_reqs": 2}, {"ssl_cert_reqs": "required"}),
        ({"limit_max_requests": 5, "timeout_keep_alive": 7}, {"max_requests": 5, "keep_alive": 7}),
        ({"loop": "uvloop", "http": "h11"}, {"loop": "uvloop", "http": "h11"}),
    ],
)
def test_an_option_becomes_a_setting(given: dict[str, object], wanted: dict[str, object]) -> None:
    assert values(**given).items() >= wanted.items()


def test_settings_take_what_a_translation_gives_and_say_where_it_came_from() -> None:
    resolved = resolve(
        translate({"app": "main:app", "port": 81, "workers": 2}, lambda name: f"--{name}").given,
        {"SUPERVISOR_D_SURGE": "2", "PORT": "9", "WEB_CONCURRENCY": "7"},
        origin=Origin.PEER,
    )
    assert [str(address) for address in resolved.settings.daemon.bind] == ["127.0.0.1:81"]
    assert (resolved.settings.daemon.workers, resolved.settings.daemon.surge) == (2, 2)
    assert str(resolved.provenance["workers"]) == "from uvicorn --workers"
    assert resolved.reread().settings == resolved.settings


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"http": "zttp"}, "uvicorn --http: 'zttp' is not there; one of auto, h11, httptools"),
        ({"loop": "mod:loop"}, "uvicorn --loop: 'mod:loop' is not there; one of auto, asyncio, uvloop"),
        ({"http2": True}, "uvicorn --http2: HTTP/2 is not served yet"),
        ({"ssl_cert_reqs": 3}, "uvicorn --ssl_cert_reqs: must be 0, 1 or 2"),
        ({"headers": ("none",)}, "uvicorn --headers: must be NAME:VALUE, not 'none'"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(given: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        values(**given)
    assert told in str(raised.value)


def test_a_wrong_value_is_refused_with_uvicorns_name_for_it() -> None:
    translation = translate({"app": "main:app", "backlog": 0}, lambda name: f"--{name}")
    with pytest.raises(ConfigurationError, match=r"backlog: .* \(from uvicorn --backlog\)"):
        resolve(translation.given, {}, origin=Origin.PEER)


def test_what_has_no_effect_is_told_once_and_only_where_it_was_given() -> None:
    assert translate({"app": "a:b"}, str).notes == ()
    given = {"app": "a:b", "ws": "wsproto", "ws_max_queue": 3, "reset_contextvars": True, "use_colors": False}
    notes = translate(given, lambda name: f"--{name}").notes
    assert [note.split(" has no effect")[0] for note in notes] == [
        "uvicorn --ws_max_queue",
        "uvicorn --reset_contextvars",
        "uvicorn --ws",
    ]


def test_each_row_names_settings_that_there_are() -> None:
    ours = {row.long for row in ROWS.values()}
    assert [(row.name, name) for row in OPTIONS.values() for name in row.ours if name not in ours] == []


def test_a_mistyped_option_is_refused_with_the_right_one() -> None:
    ran = CliRunner().invoke(uvicorn, ["main:app", "--wrkers", "2"])
    assert ran.exit_code == 2
    assert "--workers" in ran.output


def test_help_says_of_each_option_which_setting_it_is() -> None:
    shown = CliRunner().invoke(uvicorn, ["--help"]).output
    assert [row.name for row in OPTIONS.values() for flag in row.flags if flag not in shown] == []


@pytest.mark.skipif(importlib.util.find_spec("uvicorn") is None, reason="uvicorn is not installed")
def test_each_option_of_the_installed_uvicorn_has_a_row() -> None:
    peer = importlib.import_module("uvicorn.main").main
    assert {param.name for param in peer.params if param.name not in OPTIONS} == set()
    here = {param.name: set(param.opts) | set(param.secondary_opts) for param in parameters()}
    there = {param.name: set(param.opts) | set(param.secondary_opts) for param in peer.params}
    assert {name: flags for name, flags in here.items() if there.get(name) != flags} == {}


def test_the_table_knows_how_many_options_have_which_fate() -> None:
    assert {fate for fate in Fate if any(row.fate is fate for row in OPTIONS.values())} == set(Fate)
