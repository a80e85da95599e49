"""One error tree. Everything fastrec raises on purpose is one of these.

::

    FastrecError
      SchemaError      (ValueError)    a layout, field, label or value that has no meaning
        ExpressionError                a condition in text that cannot be read, or that has no meaning
      SourceError      (RuntimeError)  a call, a piece of memory or a producer that does not behave
      RecordingError   (OSError)       a folder or file that cannot be written or read
        CorruptionError                bytes that do not match their checksum
        FormatError                    bytes that are whole, but not what the format allows

Each class also inherits the built-in it resembles, so code that knows nothing of fastrec catches the right
thing. A message says, in one line, what is wrong, where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CorruptionError",
    "ExpressionError",
    "FastrecError",
    "FormatError",
    "RecordingError",
    "SchemaError",
    "SourceError",
    "shown",
    "suggest",
]


class FastrecError(Exception):
    """Base of all errors of fastrec."""


class SchemaError(FastrecError, ValueError):
    """A layout, a field, a label or a value that has no meaning here."""


class ExpressionError(SchemaError):
    """A condition in text that cannot be read, or that asks for what is not there.

    Parameters
    ----------
    message : str
        One line; it shows the place.
    text : str
        The whole expression.
    at : int
        Where in it the trouble begins: a number of characters, from 0; all of them: something is missing at
        the end. Messages count columns, from 1.

    Attributes
    ----------
    text, at
        As passed.
    """

    def __init__(self, message: str, text: str = "", at: int = 0) -> None:
        super().__init__(message)
        self.text = text
        self.at = at


class SourceError(FastrecError, RuntimeError):
    """A source that cannot be called, or that does not do what it promised."""


class RecordingError(FastrecError, OSError):
    """A recording that cannot be written or read.

    It is raised with one argument, the message; ``str(error)`` is that message.
    """


class CorruptionError(RecordingError):
    """Bytes of a recording that do not match their checksum; the message names the range."""


class FormatError(RecordingError):
    """A file that is whole, but breaks a rule of its format, or is not of that format at all."""


def shown(value: object) -> str:
    """A value that a user passed, for a message: one line of at most 80 letters, whatever its repr does."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an int of too many digits, or an object of the user's own
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."


def suggest(name: str, known: Iterable[str]) -> str:
    """End of a message about an unknown name.

    Parameters
    ----------
    name : str
        What the user wrote.
    known : iterable of str
        What would have been right.

    Returns
    -------
    str
        ``"; did you mean 'speed' or 'speed2'?"``, or, when nothing is near, up to eight of the known names,
        or ``""`` if there are none.
    """
    names = list(known)
    near = difflib.get_close_matches(name[:255], names, n=3, cutoff=0.6)
    if near:
        return "; did you mean " + " or ".join(repr(match) for match in near) + "?"
    if not names:
        return ""
    listed = ", ".join(repr(one) for one in names[:8])
    return f"; there is {listed}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")
