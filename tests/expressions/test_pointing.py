"""How an error shows its place: one line, and not too long a one, whatever the text."""

from __future__ import annotations

import pickle

import pytest

from fastrec import ExpressionError, SchemaError
from fastrec.expressions import pointed


def test_the_text_and_the_column_are_in_the_message() -> None:
    error = pointed("hr < 0 and sped > 1", 11, "there is no field 'sped'; did you mean 'speed'?")
    assert type(error) is ExpressionError and isinstance(error, SchemaError)
    assert str(error) == (
        "'hr < 0 and sped > 1' at column 12: there is no field 'sped'; did you mean 'speed'?"
    )
    assert (error.text, error.at) == ("hr < 0 and sped > 1", 11)


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (0, f"'{'0123456789' * 6}'..."),
        (30, f"'{'0123456789' * 6}'..."),
        (31, f"...'{('0123456789' * 7)[1:61]}'..."),
        (970, f"...'{'0123456789' * 6}'"),
        (1000, f"...'{'0123456789' * 6}'"),
    ],
)
def test_of_a_long_text_what_is_about_the_place_is_shown(at: int, shown: str) -> None:
    assert str(pointed("0123456789" * 100, at, "no")) == f"{shown} at column {at + 1}: no"


@pytest.mark.parametrize(
    "letter", ["\n", "\0", "\x1b", "\x7f", "\u2028", "\udc80", "\U000e0001", "'", '"', "\\"]
)
def test_what_cannot_be_seen_is_escaped(letter: str) -> None:
    assert str(pointed(f"a{letter}b", 1, "no")) == f"{f'a{letter}b'!r} at column 2: no"
    for at in (0, 500, 1000):
        message = str(pointed(letter * 1000, at, "no"))
        assert message.isprintable() and len(message) <= 110
        assert message.count(repr(letter)[1:-1]) >= 7


def test_an_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(pointed("a b", 2, "no")))
    assert (str(error), error.text, error.at) == ("'a b' at column 3: no", "a b", 2)
