"""What a state is: when two are the same, and which there are.

Two values are the same state when they compare equal; NaN is the same state as NaN.
"""

from __future__ import annotations

import math

import numpy as np

from fastrec.core.scan import Codes

__all__ = ["Distinct", "State", "Totals", "equal", "shifted", "state_dtype"]

State = tuple[np.dtype, tuple[int, ...]]
"""Dtype, in native byte order, and shape of one state of a column."""


def equal(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether states are the same, row by row.

    Parameters
    ----------
    before, after : ndarray, shape (n, *shape)
        Of the same dtype.

    Returns
    -------
    ndarray of bool, shape (n,)
        Elements of an array field must all be equal. NaN equals NaN.
    """
    with np.errstate(invalid="ignore"):  # a signalling NaN is one, too
        same = before == after
    if before.dtype.kind in "fc":
        same |= np.isnan(before) & np.isnan(after)
    return same.all(axis=tuple(range(1, same.ndim))) if same.ndim > 1 else same


def state_dtype(values: np.ndarray) -> State:
    """What a column of an array holds, as a `State`."""
    return values.dtype.newbyteorder("="), values.shape[1:]


def shifted(values: np.ndarray, first: np.ndarray | None) -> np.ndarray:
    """Of each row, what the row before had; the first row is given, or stands for itself."""
    before = np.empty_like(values)
    before[1:] = values[:-1]
    before[:1] = values[:1] if first is None else first
    return before


class Distinct:
    """The states that there are, by small numbers in the order in which they first came.

    Parameters
    ----------
    state : State
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._width = state[0].itemsize * math.prod(state[1])
        self._codes = Codes() if self._width in (1, 2, 4, 8) else None
        self._known: dict[bytes, int] = {}
        self._first = [np.empty((0, *state[1]), state[0])]
        self._count = 0

    def codes(self, states: np.ndarray) -> np.ndarray:
        """The number of each state: ndarray of int64, shape (n,)."""
        keys = np.ascontiguousarray(states, self._state[0])
        if keys.dtype.kind in "fc":
            # States that are equal must have the same bytes: one NaN, and no negative zero.
            keys = np.where(np.isnan(keys), np.nan, keys).astype(keys.dtype) + keys.dtype.type(0)
        elif keys.dtype.kind == "b":
            keys = keys.view(np.uint8) != 0  # memory may hold other trues than 1
        found = np.empty(len(keys), np.int64)
        if self._codes is not None:
            patterns = keys.view(f"<u{self._width}").reshape(len(keys))
            self._codes.of(patterns.astype(np.uint64), found)
        else:
            patterns = np.frombuffer(keys.tobytes(), np.dtype((np.void, self._width)))
            distinct, first, inverse = np.unique(patterns, return_index=True, return_inverse=True)
            for place in np.argsort(first):
                self._known.setdefault(distinct[place].tobytes(), len(self._known))
            found[:] = np.array([self._known[one.tobytes()] for one in distinct], np.int64)[inverse]
        # They are numbered as they come, so a new one is larger than all before it.
        most = np.maximum.accumulate(np.append(self._count - 1, found))
        new = np.flatnonzero(np.diff(most))
        self._first.append(states[new])
        self._count += len(new)
        return found

    def __len__(self) -> int:
        return self._count

    @property
    def states(self) -> np.ndarray:
        """Each of them as it first came, shape (k, *shape)."""
        return np.concatenate(self._first)


class Totals:
    """Sums by state, which grow with the states.

    Parameters
    ----------
    state : State
    columns : int
        How many sums there are.

    Attributes
    ----------
    distinct : Distinct
    """

    def __init__(self, state: State, columns: int) -> None:
        self.distinct = Distinct(state)
        self._room = np.zeros((columns, 0), np.uint64)

    def add(self, states: np.ndarray, *amounts: np.ndarray | int) -> None:
        """Add to the sums of each state; integers, modulo 2**64."""
        codes = self.distinct.codes(states)
        room, count = self._room.shape[1], len(self.distinct)
        if count > room:
            self._room = np.pad(self._room, ((0, 0), (0, 2 * count - room)))
        for sums, amount in zip(self._room, amounts, strict=True):
            np.add.at(sums, codes, np.asarray(amount).astype(np.uint64))

    @property
    def sums(self) -> np.ndarray:
        """Those of each state: ndarray of uint64, shape (columns, k)."""
        return self._room[:, : len(self.distinct)]
