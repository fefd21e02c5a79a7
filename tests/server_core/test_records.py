"""A record is told from a frozen dataclass with slots only by what it costs to declare."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field

import pytest

from server_core import records


class Spot:
    """A place."""

    x: int
    y: int = 2
    marks: list[str] = field(default_factory=list, compare=False)

    def moved(self) -> Spot:
        return dataclasses.replace(self, x=self.x + 1)  # type: ignore[type-var]  # decorated below


class Named:
    name: str
    size: int = 0


class Described:
    name: str

    def __repr__(self) -> str:
        return "itself"

    def __hash__(self) -> int:
        return 7


class Loose:
    name: str
    marks: list[str] = field(default_factory=list)


def plain(cls: type) -> type:
    """The class as it was written: the standard library's decorator leaves methods in the one that it is given."""
    return type(cls.__name__, cls.__bases__, {**WRITTEN[cls]})


WRITTEN = {cls: dict(vars(cls)) for cls in (Spot, Named, Described, Loose)}
for kept in WRITTEN.values():
    kept.pop("__dict__", None)
    kept.pop("__weakref__", None)
STANDARD = {cls: dataclasses.dataclass(frozen=True, slots=True)(plain(cls)) for cls in (Spot, Described)}
STANDARD[Named] = dataclasses.dataclass(frozen=True, slots=True, kw_only=True)(plain(Named))
STANDARD[Loose] = dataclasses.dataclass(slots=True)(plain(Loose))
OURS = {cls: records.dataclass(frozen=True, slots=True)(plain(cls)) for cls in (Spot, Described)}
OURS[Named] = records.dataclass(frozen=True, slots=True, kw_only=True)(plain(Named))
OURS[Loose] = records.dataclass(slots=True)(plain(Loose))


@records.dataclass(frozen=True, slots=True)
class Kept:
    """One that pickle can find."""

    x: int
    y: list[int] = field(default_factory=list)


def outcome(call: Callable[[], object]) -> object:
    """What a call returns, or the type of what it raises."""
    try:
        return call()
    except (TypeError, AttributeError) as error:
        return type(error)


@pytest.mark.parametrize("cls", [Spot, Named, Described, Loose])
@pytest.mark.parametrize(
    "act",
    [
        lambda cls: repr(cls(1)),
        lambda cls: repr(cls(1, 3)),
        lambda cls: repr(cls(name="a")),
        lambda cls: repr(cls(name="a", size=3)),
        lambda cls: repr(cls("a")),
        lambda cls: repr(cls()),
        lambda cls: repr(cls(1, x=1)),
        lambda cls: repr(cls(1, 2, ["a"], 4)),
        lambda cls: repr(cls(1, colour="red")),
        lambda cls: cls(1) == cls(1),
        lambda cls: cls(1) == cls(1, 3),
        lambda cls: cls(1, 2, ["a"]) == cls(1),
        lambda cls: cls(1) == (1, 2, []),
        lambda cls: cls(1) == object(),
        lambda cls: hash(cls("a")) == hash(cls("a")),
        lambda cls: hash(cls(name="a")) == hash(cls(name="a")),
        lambda cls: setattr(cls(name="a"), "name", 2),
        lambda cls: delattr(cls(name="a"), "name"),
        lambda cls: cls.__hash__ is None,
        lambda cls: dataclasses.asdict(cls(1)),
        lambda cls: repr(dataclasses.replace(cls(1), y=5)),
        lambda cls: repr(dataclasses.replace(cls(name="a"), size=5)),
        lambda cls: [field.name for field in dataclasses.fields(cls)],
        lambda cls: cls.__match_args__,
        lambda cls: cls.__slots__,
        lambda cls: hasattr(cls(1), "__dict__"),
        lambda cls: repr(copy.copy(cls(1))),
        lambda cls: repr(copy.deepcopy(cls(1))),
    ],
)
def test_it_does_what_the_standard_librarys_does(cls: type, act: Callable[[type], object]) -> None:
    assert outcome(lambda: act(OURS[cls])) == outcome(lambda: act(STANDARD[cls]))


@pytest.mark.parametrize("cls", [Spot, Described])
def test_it_can_be_given_no_other_attribute(cls: type) -> None:
    """As the standard library has it from CPython 3.14 on; before, its message was about super(): a TypeError."""
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'colour'"):
        setattr(OURS[cls](1), "colour", 2)  # noqa: B010 - it has none, which is what a type checker would say
    assert outcome(lambda: setattr(STANDARD[cls](1), "colour", 2)) in (FrozenInstanceError, TypeError)


def test_it_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Kept(1, [2]))) == Kept(1, [2])


def test_instances_of_two_classes_are_never_equal() -> None:
    assert OURS[Spot](1) != STANDARD[Spot](1)


def test_each_instance_has_its_own_default_from_a_factory() -> None:
    assert Kept(1).y is not Kept(1).y


def test_it_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        Kept(1).x = 2  # type: ignore[misc]  # that is what is tested


def test_one_that_is_not_frozen_can_be_changed() -> None:
    spot = OURS[Loose]("a")
    spot.name = "b"
    assert spot == OURS[Loose]("b")


def test_one_without_equality_is_equal_to_itself_alone_and_can_be_in_a_set() -> None:
    @records.dataclass(slots=True, eq=False)
    class Alone:
        x: int

    one, other = Alone(1), Alone(1)
    assert (one == one, one == other, len({one, other}), repr(one)) == (True, False, 2, f"{Alone.__qualname__}(x=1)")


@pytest.mark.parametrize(
    "asked", [{}, {"frozen": True}, {"slots": True, "order": True}, {"frozen": True, "slots": True, "eq": False}]
)
def test_whatever_asks_for_something_else_is_the_standard_librarys(asked: dict[str, bool]) -> None:
    @records.dataclass(**asked)
    class Plain:
        x: int

    assert "test_whatever" in Plain.__init__.__qualname__
    assert Plain(1).x == 1


@records.dataclass(frozen=True, kw_only=True)
class Sized:
    """A part."""

    __slots__ = ()

    size: int = 1


@records.dataclass(frozen=True, kw_only=True)
class Coloured:
    """Another one."""

    __slots__ = ()

    colour: str = "red"


@records.dataclass(frozen=True, slots=True, kw_only=True)
class Ball(Sized, Coloured):
    """Made of both."""


def test_a_record_has_the_fields_of_its_parts_and_all_that_a_record_has() -> None:
    ball = Ball(size=3)
    assert {field.name for field in dataclasses.fields(Ball)} == {"size", "colour"}
    assert (ball.size, ball.colour, ball == Ball(size=3), ball == Ball()) == (3, "red", True, False)
    assert dataclasses.replace(ball, colour="blue") == Ball(size=3, colour="blue")
    assert copy.copy(ball) == pickle.loads(pickle.dumps(ball)) == ball
    assert not hasattr(ball, "__dict__")
    with pytest.raises(FrozenInstanceError):
        ball.size = 4  # type: ignore[misc]  # that is what is tried
    with pytest.raises(TypeError):
        Ball(3)  # type: ignore[call-arg,misc]  # by name alone
