"""What a recorder asks of a source."""

from __future__ import annotations

import os
from typing import Any, Protocol, runtime_checkable

from fastrec.core.call import SAME, Getter
from fastrec.errors import SourceError
from fastrec.schema import Schema
from fastrec.sources.payloads import decoded

__all__ = ["Living", "Source"]


class Source:
    """What the built-in sources share. One of your own needs `schema`, `getter` and `check`, no base class.

    Attributes
    ----------
    name : str
        For messages.
    schema : Schema or None
        Of the struct it fills; None: it fills none, and cannot be recorded.
    getter : fastrec.core.call.Getter
    needs_gil : bool
        It is polled on a Python thread of its own.
    """

    name: str
    schema: Schema | None
    getter: Getter
    needs_gil = False

    def check(self, code: int, excess: int) -> None:
        """Judge a call that was watched: the first of a channel, or one that `Recorder.thread` was given.

        Parameters
        ----------
        code : int
            What the getter returned.
        excess : int
            Bytes that it wrote past the struct.

        Raises
        ------
        SourceError
            It wrote past the struct, or failed.
        """
        if excess and self.schema is not None:
            size = self.schema.size
            raise SourceError(
                f"{self.name} wrote {size + excess} bytes into {size}: {self.schema.name!r} is not its struct"
            )
        if code not in (0, SAME):
            raise SourceError(
                f"{self.name} failed, with {told(code)}; check its arguments, and what it returns"
            )

    def result(self, code: int, excess: int, payload: bytes) -> dict[str, Any]:
        """The struct that a watched call has filled, decoded, by field name; `check` says what it raises."""
        self.check(code, excess)
        return {} if self.schema is None or code == SAME else decoded(self.schema, payload)

    def read(self) -> dict[str, Any]:
        """Make one call on this thread and return the struct decoded, by field name.

        Raises
        ------
        SourceError
            As `check`.
        """
        return self.result(*self.getter.call())

    def __repr__(self) -> str:
        fills = f" -> {self.schema.name}, {self.schema.size} bytes" if self.schema else ""
        return f"<{type(self).__name__} {self.name}{fills}>"


@runtime_checkable
class Living(Protocol):
    """A source with a life of its own, which the recorder begins and ends.

    Attributes
    ----------
    ended : bool
        It has come to its end, and nothing more will change.
    outcome : str
        How it ended, for people.
    """

    ended: bool
    outcome: str

    def begin(self) -> None:
        """Called once it is polled."""

    def finish(self) -> None:
        """Called before polling stops: come to an end and wait for it; when it has ended, do nothing."""


def told(code: int) -> str:
    """A failing code in words."""
    if 0 < code < 134:  # the errno of a call that returned -1, or what it returned itself
        return f"code {code} (as an errno: {os.strerror(code)})"
    return f"code {code}" + (f" ({code & 0xFFFFFFFF:#010x})" if code < -4096 else "")
