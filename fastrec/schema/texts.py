"""Texts behind pointers: what their characters are, how they are read, what stands for a lost one."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from fastrec.errors import SchemaError, shown, suggest

if TYPE_CHECKING:
    from fastrec.schema.field import Field

__all__ = [
    "LOST",
    "UNITS",
    "Lost",
    "Text",
    "check_apart",
    "check_pointer",
    "encoding_of",
    "followed",
    "kind_of",
]


class Lost(enum.Enum):
    """The type of `LOST`, which is its only member."""

    LOST = "LOST"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return self.value

    __str__ = __repr__


LOST = Lost.LOST
"""In the place of a text that was there, but could not be read or kept. False, as None, which is NULL."""

Text = str | Lost | None
"""What `decode` makes of the pointer to a text."""

UNITS = {"utf-8": 1, "utf-16": 2, "utf-32": 4}
"""Bytes of a code unit by encoding, little endian."""

_DIRECT = "direct"
_KINDS = (*UNITS, _DIRECT, *(f"{encoding}:{_DIRECT}" for encoding in UNITS))


def kind_of(text: object, pointer: bool | str, where: str) -> bool | str:
    """The one form of what a user says of a text: False, True (8-bit), ``"direct"`` (8-bit), ``"utf-16"`` ...

    Parameters
    ----------
    text : object
    pointer : bool or str
        As in `Field.pointer`: an encoding where C says that the characters are wide.
    where : str
        Begins the message.

    Raises
    ------
    SchemaError
        No kind of text; or 8-bit, where C says that the characters are wide.
    """
    if text is False:
        return False
    if text is not True and not (isinstance(text, str) and text in _KINDS):
        near = suggest(text, _KINDS) if isinstance(text, str) else "; it is True, False or an encoding"
        raise SchemaError(f"{where}: text={shown(text)}{near}")
    said, _, how = ("", "", "") if text is True else text.partition(":")
    if said == _DIRECT:
        said, how = "", _DIRECT
    encoding = said or (pointer if isinstance(pointer, str) else "utf-8")
    if encoding != "utf-8":
        return f"{encoding}:{how}" if how else encoding
    if isinstance(pointer, str):
        raise SchemaError(
            f"{where}: text={text!r} is 8-bit, but C says that it points to wide characters ({pointer});"
            " say text=True"
        )
    return how or True


def check_pointer(pointer: object, where: str) -> None:
    """Refuse what cannot be `Field.pointer`."""
    if not isinstance(pointer, bool) and pointer not in ("utf-16", "utf-32"):
        raise SchemaError(f"{where}: pointer={shown(pointer)}; it is True, False, 'utf-16' or 'utf-32'")


def encoding_of(text: bool | str) -> str | None:
    """The encoding of a text of this kind, a key of `UNITS`; None: it is no text."""
    if not isinstance(text, str):
        return "utf-8" if text else None
    return "utf-8" if text == _DIRECT else text.partition(":")[0]


def check_apart(texts: Sequence[Field]) -> None:
    """Refuse texts, in order of offset, that share bytes: after one, an id would be followed."""
    for one, other in pairwise(texts):
        if one.offset + one.dtype.itemsize > other.offset:
            raise SchemaError(
                f"{one.name!r} and {other.name!r} lie in the same bytes; only one of them can be text"
            )


def followed(texts: Iterable[Field]) -> list[tuple[int, int, int, bool]]:
    """What a poller follows: offset in the payload, bytes of the pointer and of a code unit; directly?"""
    return [
        (one.offset, one.dtype.itemsize, UNITS[one.encoding], str(one.text).endswith(_DIRECT))
        for one in texts
    ]
