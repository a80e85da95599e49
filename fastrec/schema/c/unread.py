"""Headers that a text includes and that were not read: what nobody knows then."""

from __future__ import annotations

from collections.abc import Iterable

from fastrec.schema.c.headers import declares_otherwise, may_define
from fastrec.schema.c.tokens import Token, refusal

__all__ = ["Unread"]

_MAX_MENTIONED = 4


class Unread:
    """The headers passed over.

    Parameters
    ----------
    none : iterable of str
        Names that are no macros, whatever is in those headers.
    """

    def __init__(self, none: Iterable[str] = ()) -> None:
        self._files: dict[str, None] = {}
        self._none = frozenset(none)

    def add(self, file: str) -> None:
        """Pass one over."""
        self._files[file] = None

    def hint(self) -> str:
        """Where a name that is not known may come from, to end a message with."""
        return f"; it may come from {_listed(self._files)}, which was not read" if self._files else ""

    def doubt(self, word: Token) -> str:
        """Why nobody knows what a macro is, that the text itself does not define; ``""``: it is none."""
        files = [file for file in self._files if may_define(file, word.text)]
        if not files or word.text in self._none:
            return ""
        told = (
            f"may be a macro of {_listed(files)}, which was not read; name its folder in include (-I), or say"
            f" what it is in defines: a value (-D {word.text}=1), or None (-U {word.text}) if it is none"
        )
        return str(refusal(word, told))

    def redeclared(self) -> str:
        """Which of them may declare the types of Microsoft's headers as something else."""
        return _listed(file for file in self._files if declares_otherwise(file))


def _listed(files: Iterable[str]) -> str:
    files = sorted(files)
    more = f" and {len(files) - _MAX_MENTIONED} more" if len(files) > _MAX_MENTIONED else ""
    return ", ".join(files[:_MAX_MENTIONED]) + more
