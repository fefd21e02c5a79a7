"""Comments, docstrings and pages say client, connection, worker; the listed words, which name none of these, shrink."""

from __future__ import annotations

from tests.words import INSTEAD, allowed, everything, found_in


def test_no_file_has_more_of_the_listed_words_than_it_had() -> None:
    rest = allowed()
    more = [place for path, places in everything().items() if len(places) > rest.get(path, 0) for place in places]
    assert more == [], "\n" + "\n".join(map(str, more))


def test_the_list_of_what_is_allowed_only_shrinks() -> None:
    found = everything()
    gone = {path: number for path, number in allowed().items() if number > len(found.get(path, []))}
    assert gone == {}, "fewer than allowed; run: python -m tests.words --write"


def test_comments_docstrings_and_texts_behind_constants_are_read_and_code_is_not() -> None:
    source = '"""Nobody\ncomes to be."""\nuser = "nobody"  # whoever\nX = 1\n"""Is told."""\n'
    assert [(place.line, place.word) for place in found_in("a.py", source)] == [
        (3, "whoever"),
        (1, "Nobody"),
        (2, "comes to be"),
        (5, "Is told"),
    ]
    page = "Somebody\n\n    user nobody\n\n`nobody`\n```\nnobody\n```\nanybody\n"
    assert [(place.line, place.word) for place in found_in("a.md", page)] == [(1, "Somebody"), (9, "anybody")]


def test_each_place_is_printed_with_the_term_to_use() -> None:
    (place,) = found_in("a.md", "newcomers")
    assert str(place) == "a.md:1: 'newcomers'; say: a new client, a new connection"
    assert all(INSTEAD.values())
