"""What a trigger asks, of which channel, and which records of it say yes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastrec.channel import Channel
from fastrec.errors import FastrecError, SchemaError, shown, suggest
from fastrec.expressions import parse, spell
from fastrec.records import ArrayChunk, Records
from fastrec.schema.gaps import GAP_DTYPE

__all__ = ["Asked", "asked", "pick"]

_NO_GAPS = np.empty(0, GAP_DTYPE)


class Asked:
    """An expression, asked of records of one channel.

    Parameters
    ----------
    expression : str
        In the language of `fastrec.expressions`.
    channel : Channel

    Attributes
    ----------
    text : str
        As `spell` writes it.

    Raises
    ------
    ExpressionError, SchemaError
        It is none, or not one about the fields of the channel.
    """

    def __init__(self, expression: str, channel: Channel) -> None:
        self._expression = expression
        self._channel = channel
        self.text = spell(parse(expression))
        self.of(np.empty(0, channel.ring.array.dtype), 0)

    def of(self, array: np.ndarray, lead: int) -> np.ndarray:
        """Which records meet it.

        Parameters
        ----------
        array : structured ndarray, shape (n,)
        lead : int
            How many of them only tell what was before the others, which `changed` asks for.

        Returns
        -------
        ndarray of bool, shape (n - lead,)
        """
        channel = self._channel
        chunk = ArrayChunk(array, 0, channel.ring.texts())
        records = Records(
            channel.name, channel.schema, [chunk], gaps=_NO_GAPS, clock=None, store=channel.ring.store
        )
        found = np.zeros(len(array), bool)
        found[records.where(self._expression).seq.astype(np.int64)] = True
        return found[lead:]


def asked(expression: object, channel: Channel, what: str) -> Asked:
    """What `what`, the name of an argument, asks of a channel.

    Raises
    ------
    SchemaError, ExpressionError
        It is no expression, or not one about this channel.
    """
    if not isinstance(expression, str):
        raise SchemaError(f"{what}={shown(expression)}; it is an expression, such as 'hr < 0'")
    return Asked(expression, channel)


def pick(channels: Mapping[str, Channel], name: str | None, expression: str | None) -> Channel:
    """The channel that is meant: the one named, or the only one that has what the expression names.

    Raises
    ------
    SchemaError, ExpressionError
        There is none, or are several.
    """
    if name is not None:
        if not isinstance(name, str) or name not in channels:
            raise SchemaError(f"on={shown(name)}: there is no such channel{suggest(str(name), channels)}")
        return channels[name]
    if not channels:
        raise SchemaError("a trigger needs a channel to look at; add channels first")
    if len(channels) == 1:
        return next(iter(channels.values()))
    named = ", ".join(map(repr, channels))
    if expression is None:
        raise SchemaError(f"say on which channel: on= one of {named}")
    errors: dict[str, FastrecError] = {}
    for one in channels.values():
        try:
            asked(expression, one, "condition")
        except FastrecError as error:
            errors[one.name] = error
    fitting = [one for one in channels.values() if one.name not in errors]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        name, error = next(iter(errors.items()))
        parse(expression)  # what is wrong everywhere is no matter of channels
        raise SchemaError(
            f"{expression!r} can be asked of no channel; say on= one of {named}; {name}: {error}"
        ) from error
    several = ", ".join(repr(one.name) for one in fitting)
    raise SchemaError(f"{expression!r} can be asked of {several}; say on= one of them")
