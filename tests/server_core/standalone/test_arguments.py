"""Settings given by name: as texts, as values, and what is said of the wrong ones."""

from __future__ import annotations

import dataclasses

import pytest

from server_core.__main__ import command
from server_core.errors import UsageError
from server_core.standalone.arguments import DEFAULTS, OPTIONS, settings_from


def test_nothing_given_is_every_default() -> None:
    assert settings_from({}) == DEFAULTS
    assert settings_from(dict.fromkeys(OPTIONS)) == DEFAULTS


def test_texts_are_parsed_and_values_taken_as_they_are() -> None:
    settings = settings_from({"keep_alive": "2m", "body_timeout": 5, "date_header": False, "limit_header_bytes": "8k"})
    assert (settings.keep_alive, settings.body_timeout) == (120.0, 5)
    assert (settings.date_header, settings.limit_header_bytes) == (False, 8192)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_default_written_as_text_is_read_as_itself(name: str) -> None:
    default = getattr(DEFAULTS, name)
    written = () if OPTIONS[name].repeatable else OPTIONS[name].kind.render(default)
    if written or name != "app":  # no application has no text
        assert getattr(settings_from({name: written}), name) == default


@pytest.mark.parametrize("name", OPTIONS)
def test_a_value_of_a_foreign_type_is_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match=rf"^{name}: must be .*(, not (\[None\]|None)|what was given is none)"):
        settings_from({name: [None]})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"keepalive": 1}, "keepalive: is no setting; did you mean keep_alive?"),
        ({"zzz": 1}, "zzz: is no setting"),
        ({"keep_alive": "soon"}, "keep_alive: must be a length of time"),
        ({"header_timeout": 0.0}, "header_timeout: must be at least 0.1s, not 0s"),
        ({"header_timeout": True}, "header_timeout: must be a length of time"),
        ({"max_requests": 1.5}, "max_requests: must be a whole number"),
        ({"header": "X-Frame-Options"}, "header: must be Name: value"),
        ({"header": ["X Y: z"]}, "header: must be Name: value"),
        ({"header": "A: b\r\nC: d"}, "header: must be Name: value"),
        ({"header": "A: \u20ac"}, "in Latin-1 and without control characters, not 'A: \u20ac'"),
        ({"header": "Content-Length: 5"}, "header: must not set Content-Length"),
        ({"loop": "trio"}, "loop: must be one of auto, uvloop, asyncio, not 'trio'"),
        (
            {"app": "main.py"},
            "app: must be module:attribute or module:factory(), not 'main.py'; did you mean main:app?",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_accepted(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings_from(given)
    assert said in str(caught.value)


def test_every_field_of_the_settings_is_an_option() -> None:
    assert set(OPTIONS) == {field.name for field in dataclasses.fields(DEFAULTS)}


def test_several_values_in_one_variable_stand_apart_as_the_supervisor_has_it() -> None:
    variables = {"SUPERVISOR_D_HEADER": "A: b, c\nD: e f\n", "SUPERVISOR_D_SSL_KEYFILE": "a b.key, c.key"}
    context = command().make_context("server_core", ["main:app"])
    assert context.params["header"] == ()
    with pytest.MonkeyPatch.context() as patch:
        for name, text in variables.items():
            patch.setenv(name, text)
        given = command().make_context("server_core", ["main:app"]).params
    assert given["header"] == ("A: b, c", "D: e f")
    assert given["ssl_keyfile"] == ("a b.key", "c.key")
