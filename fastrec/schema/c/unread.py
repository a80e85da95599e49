"""What was not read, headers that are not there and text that may not count, and what nobody knows then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastrec.schema.c.headers import base_name, is_foreign, may_declare, may_define
from fastrec.schema.c.tokens import Token, refusal

__all__ = ["Skipped", "Unread"]

_MAX_MENTIONED = 4


class Skipped:
    """What was seen of text that is skipped, since the last directive."""

    def __init__(self) -> None:
        self._typedef = False
        self._last = ("", "")

    def declared(self, token: Token) -> Iterator[str]:
        """Yield the types that it may declare, as its tokens come."""
        if token.text == "{" and self._last[0] in ("struct", "union", "enum"):
            yield self._last[1]
        if token.kind == "word" and self._typedef:
            yield token.text
        self._typedef = self._typedef or token.text == "typedef"
        self._last = (self._last[1], token.text)


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
        """Pass one over; its name as the text includes it, ``<a.h>`` or ``"a.h"``."""
        self._files[file] = None

    def has(self, *names: str) -> bool:
        """Whether one of these headers of the system is among them."""
        return any(f"<{name}>" in self._files for name in names)

    def hint(self) -> str:
        """Where a type or a constant that is not known may come from, to end a message with."""
        files = [file for file in self._files if may_declare(file)]
        if not files:
            return ""
        return f"; it may come from {_listed(files)}, which was not read: name its folder in include (-I)"

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

    def foreign(self) -> str:
        """Which of them may declare types that are known here as something else; ``""``: none."""
        return _listed(file for file in self._files if is_foreign(file))


def _listed(files: Iterable[str]) -> str:
    """Those that are least known first: they are the likely ones."""
    files = sorted(files, key=lambda file: (not is_foreign(file), base_name(file)))
    more = f" and {len(files) - _MAX_MENTIONED} more" if len(files) > _MAX_MENTIONED else ""
    return ", ".join(base_name(file) for file in files[:_MAX_MENTIONED]) + more
