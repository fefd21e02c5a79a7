"""The server half of the declaration is the sum of its sections."""

from __future__ import annotations

from server_core.settings.declaration import ServerSettings
from server_core.settings.option import declared


def test_each_setting_is_declared_in_one_section_and_none_beside_them() -> None:
    names = [name for part in ServerSettings.__bases__ for name in declared(part)]
    assert sorted(names) == sorted(declared(ServerSettings))
    assert len(set(names)) == len(names)
    assert not ServerSettings.__annotations__


def test_no_section_of_the_pages_is_declared_in_two_modules() -> None:
    sections = [(option.section, part) for part in ServerSettings.__bases__ for option in declared(part).values()]
    assert len({section for section, _ in sections}) == len(set(sections))
