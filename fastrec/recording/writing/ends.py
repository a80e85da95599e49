"""Where a channel ends that is to go on, as a resume has found it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastrec.errors import SchemaError
from fastrec.recording.writing.spooling import Kept
from fastrec.schema import Schema
from fastrec.schema.forms import Store

__all__ = ["ChannelEnd"]


@dataclass(frozen=True)
class ChannelEnd:
    """Where a channel ends that is to go on.

    Attributes
    ----------
    schema, store, rate, ignore, options
        As its ``channel.json`` says.
    first : int
        Number at which the oldest segment begins; `number` where there is none.
    number : int
        Of the next record.
    last : int
        Stamp of the latest one; 0: there is none.
    segment : int
        Number of the next segment.
    kept : tuple of Kept
        The segments that are there, oldest first.
    total : dict
        What ``closed.json`` says of it, if nothing is recorded in the session to come.
    """

    schema: Schema
    store: Store
    rate: str | None
    ignore: tuple[str, ...]
    options: Mapping[str, Any]
    first: int
    number: int
    last: int
    segment: int
    kept: tuple[Kept, ...]
    total: Mapping[str, Any]

    def check(
        self, name: str, schema: Schema, store: Store, rate: str | None, ignore: tuple[str, ...]
    ) -> None:
        """Refuse to go on with other records than those that are there.

        Raises
        ------
        SchemaError
            The message names the first difference.
        """
        what = ""
        if schema.digest != self.schema.digest:
            ours = {field.name: field for field in schema.fields}
            names = [field.name for field in self.schema.fields if ours.get(field.name) != field]
            added = [name for name in ours if name not in {field.name for field in self.schema.fields}]
            what = f"field {(names + added)[0]!r} differs" if names or added else "its layout differs"
        elif store != self.store:
            what = f"store is {store!r}, and was {self.store!r}"
        elif rate != self.rate:
            what = f"rate is {rate}, and was {self.rate}"
        elif set(ignore) != set(self.ignore):
            what = f"ignored are {', '.join(ignore) or 'none'}, and were {', '.join(self.ignore) or 'none'}"
        if what:
            raise SchemaError(
                f"channel {name!r} cannot go on: {what}; record under another name, or into another folder"
            )
