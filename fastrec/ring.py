"""Ring: the checked face of the ring in C."""

from __future__ import annotations

import errno
import operator
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NoReturn, get_args

import numpy as np

from fastrec import lifetimes
from fastrec.core.push import STAMP_END, Pusher, learn_numpy
from fastrec.core.ring import Ring as CoreRing
from fastrec.errors import RecordingError, SchemaError, SourceError, shown
from fastrec.schema import Schema
from fastrec.schema.forms import Store
from fastrec.schema.gaps import GAP_DTYPE, Cause, gaps_of
from fastrec.schema.texts import LOST, Text

__all__ = ["ENTRY_DTYPE", "Clocked", "Ring", "Snapshot", "refuse_other"]

Clocked = Literal["monotonic", "tsc"]

ARENA_BYTES = 4 << 20
"""Room for the texts behind pointers. When it is full, new ones are lost for the rest of the ring's life."""

LEAST_CAPACITY = 64
MOST_CAPACITY = 1 << 32  # of 64 KiB each they are 2**48 bytes: beyond any memory, far below any overflow

_FORMS = "pass bytes, ctypes structures or NumPy rows: np.array((1, 2.0), schema.dtype)"

ENTRY_DTYPE = np.dtype([*[(name, GAP_DTYPE[name]) for name in GAP_DTYPE.names], ("totals", "<u8", (3,))])
_WRITER_CAUSES = (Cause.DROPPED, Cause.MISSED, Cause.FAILED)


def _core_ring(linkable: bool, **layout: Any) -> tuple[CoreRing, OSError | None]:
    """Where shared memory has no room, recording goes before what a crash could cost; and why it has none."""
    why = None
    if linkable:
        try:
            return CoreRing(**layout, linkable=True), None
        except OSError as error:
            why = error.with_traceback(None)
    return CoreRing(**layout), why


class LossMark(NamedTuple):
    """Up to where a reader knows the writer's losses: entries, how many of each cause, and until when."""

    entry: int = 0
    totals: tuple[int, ...] = (0, 0, 0)
    until: int = 0


@dataclass(frozen=True)
class Snapshot:
    """A consistent copy of the newest records of a ring.

    Attributes
    ----------
    array : ndarray, shape (n,)
        Records, read-only.
    first_seq : int
        Number of the first.
    lost : int
        How many of those asked for were overwritten before they could be copied.
    """

    array: np.ndarray
    first_seq: int
    lost: int


class Ring:
    """A buffer of the newest records; one writer, any number of readers, never a lock.

    Parameters
    ----------
    schema : Schema
    capacity : int
        Records that a reader can rely on; at least 64.
    store : {"every", "changes"}
        ``"changes"``: its records have the columns of holds, and a poller alone fills it.
    clock : {"monotonic", "tsc"}
        What stamps.
    bounded : bool
        The writer drops what would overtake the consumer, instead of overwriting.
    period : (int, int)
        Period of a paced channel in ns as a fraction; (0, 1): it has none.
    first : int
        Number of the first record.
    clock_offset : int
        ns added to the monotonic clock in every stamp.
    last : int
        The stamp that no other may be before: the last one of what it goes on with.
    linkable : bool
        It can be given a name in shared memory, if there is room for it there; if not, it is as any other.

    Attributes
    ----------
    schema : Schema
    capacity : int
    store : str
    first : int
        Number of the first record there ever was.
    not_linkable : OSError or None
        Why it cannot be given a name in shared memory, although it was to.
    array : ndarray, shape (capacity + 64,)
        The slots themselves, live and read-only: records move under it while it is looked at.
    """

    def __init__(
        self,
        schema: Schema,
        capacity: int,
        *,
        store: Store = "every",
        clock: Clocked = "monotonic",
        bounded: bool = False,
        period: tuple[int, int] = (0, 1),
        first: int = 0,
        clock_offset: int = 0,
        last: int = 0,
        linkable: bool = False,
    ) -> None:
        if sys.byteorder != "little":
            raise SourceError("fastrec records on little-endian machines only; recordings can be read on any")
        if not isinstance(schema, Schema):
            raise SchemaError(f"{shown(schema)} is no Schema; make one with Schema.from_dtype or from_ctypes")
        if type(capacity) is not int or capacity > MOST_CAPACITY:
            raise SchemaError(
                f"capacity={shown(capacity)}: it is a number of records, at most {MOST_CAPACITY:,}"
            )
        if clock not in get_args(Clocked):
            raise SchemaError(f"clock={shown(clock)}; it is 'monotonic' or 'tsc'")
        if capacity < LEAST_CAPACITY:
            raise SchemaError(f"capacity={shown(capacity)}: a ring holds at least {LEAST_CAPACITY} records")
        self.schema = schema
        self.capacity = capacity
        self.store: Store = store
        self.first = first
        self._dtype = schema.record(store)
        self.clock_offset = clock_offset
        try:
            self.core, self.not_linkable = _core_ring(
                linkable,
                record_size=self._dtype.itemsize,
                payload_offset=schema.payload_offset(store),
                payload_size=schema.size,
                capacity=capacity,
                schema=schema.to_json().encode(),
                digest=bytes.fromhex(schema.digest),
                arena_size=ARENA_BYTES if schema.texts else 0,
                period=period,
                store=int(store == "changes"),
                tsc=clock == "tsc",
                bounded=bounded,
                first=first,
                clock_offset=clock_offset,
                last=last,
            )
        except (OSError, OverflowError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                raise SourceError(f"no file descriptor for a ring: {error.strerror}; close some") from error
            needed = capacity * self._dtype.itemsize
            raise SourceError(
                f"no memory for {capacity:,} records ({needed:,} bytes): {error}; lower capacity"
            ) from error
        except RuntimeError as error:
            raise SourceError(f"clock='tsc': {error}; leave clock= out") from error
        self._pusher = Pusher(self.core, schema.dtype, _Judge(schema))
        # On the ring itself they are compiled: a Python frame would cost as much as the push.
        self.push, self.extend = self._pusher.push, self._pusher.extend
        self.array = np.frombuffer(self.core, self._dtype)
        lifetimes.inherited(self.core)
        if store == "changes":
            self.push = self.extend = self._not_pushable

    def __len__(self) -> int:
        """Records that can be read now."""
        return self.core.head - self.core.first

    def push(self, payload: Any, mono_ns: int | None = None) -> bool:
        """Publish one payload (any buffer of its size); False if a bounded ring was full.

        Stamped now or with `mono_ns`, but never before the one before it: after a stamp in the future, those
        that follow have it too until it has come. The first of a recording that goes on has that of the
        session before in front of it.

        Raises
        ------
        SchemaError
            It has another size or dtype, or its stamp is before the last one, or not from 0 to 2**62 - 1.
        """
        return self._pusher.push(payload, mono_ns)

    def extend(self, payloads: Any, mono_ns: Any = None) -> int:
        """Publish many payloads (an array of the schema's dtype, or bytes); how many had room.

        Parameters
        ----------
        payloads : ndarray, shape (n,), or buffer
        mono_ns : array_like of int, shape (n,), optional
            Their stamps, ns, never decreasing; all are stamped now without.

        Raises
        ------
        SchemaError
            Another size or dtype; or a stamp, named by its row, that is before the one before it or not from
            0 to 2**62 - 1. Nothing is published then.
        """
        return self._pusher.extend(payloads, mono_ns)

    def _not_pushable(self, payloads: Any, mono_ns: Any = None) -> NoReturn:
        raise SchemaError(f"a ring of {self.schema.name!r} with store='changes' is filled by a poller alone")

    def snapshot(self, count: int | None = None) -> Snapshot:
        """Copy the newest `count` records (all that can be read without): never torn, `lost` exact."""
        head = self.core.head
        cursor = max(self.core.first, head - count if count is not None else 0, 0)
        array = np.empty(head - cursor, self._dtype)
        if not len(array):
            return Snapshot(_frozen(array), cursor, 0)
        first, kept, skip, lost = self.core.read_into(array.view(np.uint8), cursor)
        return Snapshot(_frozen(array[skip : skip + kept]), first, lost)

    def losses(self) -> np.ndarray:
        """Losses of the writer: dropped, missed, failed; GAP_DTYPE.

        The lane keeps the newest 4096 entries; older ones come as one entry a cause, with a coarser place.
        """
        return self.losses_behind(LossMark())[0]

    def losses_behind(self, mark: LossMark) -> tuple[np.ndarray, LossMark]:
        """`losses` without those that were told before, and what to say to go on behind these."""
        self.core.flush()
        data, entry = self.core.read_gaps(mark.entry)
        entries = np.frombuffer(data, ENTRY_DTYPE)
        gaps = gaps_of(entries)
        if not len(entries):
            return gaps, mark._replace(entry=entry)
        oldest, newest = entries[0], entries[-1]
        earlier = np.zeros(len(_WRITER_CAUSES), GAP_DTYPE)
        for row, cause, total, told in zip(
            earlier, _WRITER_CAUSES, oldest["totals"].tolist(), mark.totals, strict=True
        ):
            row["cause"], row["seq"] = cause, oldest["seq"]
            row["count"] = total - told - (int(oldest["count"]) if oldest["cause"] == cause else 0)
            row["t_first"], row["t_last"] = mark.until or self.core.account()["start"], oldest["t_first"]
        behind = LossMark(entry, tuple(newest["totals"].tolist()), int(newest["t_last"]))
        return np.concatenate([earlier[earlier["count"] > 0], gaps]), behind

    def texts(self) -> Callable[[int], Text]:
        """From an id in a record to its text; None for NULL, LOST for what could not be read or kept."""
        texts = self.core.texts() if self.schema.texts else []
        known = [None, *(text.decode("utf-8", "surrogateescape") for text in texts)]
        return lambda identifier: known[identifier] if identifier < len(known) else LOST


class _Judge:
    """What is not plainly a payload is one by another name, or one clear error."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def push(self, pusher: Pusher, payload: Any, mono_ns: Any) -> bool:
        dtype = self._check_dtype(payload)
        if mono_ns is not None:
            mono_ns = _stamp(mono_ns)
        try:
            room = pusher.put(payload, mono_ns)
        except RuntimeError as error:
            raise RecordingError(str(error)) from error
        except SchemaError:
            raise
        except (ValueError, TypeError, BufferError) as error:
            raise SchemaError(
                f"{self.schema.name!r} cannot take this {type(payload).__name__}: {error}; {_FORMS}"
            ) from error
        if dtype is not None:
            pusher.remember(dtype)
        return room

    def extend(self, pusher: Pusher, payloads: Any, mono_ns: Any) -> int:
        dtype = self._check_dtype(payloads)
        stamps = None if mono_ns is None else _stamps(mono_ns)
        if isinstance(payloads, np.ndarray):
            if payloads.dtype.names is not None and payloads.ndim != 1:
                raise SchemaError(
                    f"an array of shape {payloads.shape}; extend takes rows of shape (n,): pass array.ravel()"
                )
            if not payloads.flags.c_contiguous:
                raise SchemaError("the array is not contiguous; pass numpy.ascontiguousarray(array)")
        try:
            put = pusher.put_many(payloads, stamps)
        except RuntimeError as error:
            raise RecordingError(str(error)) from error
        except SchemaError:
            raise
        except (ValueError, TypeError, BufferError) as error:
            raise SchemaError(f"{self.schema.name!r} cannot take these: {error}; {_FORMS}") from error
        if dtype is not None:
            pusher.remember(dtype)
        return put

    def _check_dtype(self, payload: Any) -> np.dtype | None:
        """The dtype it calls itself, which may be pushed; None: it is no array of NumPy's."""
        dtype = getattr(payload, "dtype", None)
        if not isinstance(dtype, np.dtype):
            return None
        refuse_other(self.schema, dtype, "pushed")
        return dtype


def refuse_other(schema: Schema, dtype: np.dtype, how: str) -> None:
    """Refuse what numpy says is no payload; `how` it came begins the message."""
    # Raw bytes by whatever name are a payload; so are numbers where every field is one of them.
    if dtype.names is None and (dtype.kind in "SV" or dtype.itemsize == 1):
        return
    if dtype != schema.dtype and any(dtype != field.dtype for field in schema.fields):
        raise SchemaError(
            f"{how} {str(dtype)[:200]}, the schema has {str(schema.dtype)[:200]}; convert with astype"
        )


def _stamp(mono_ns: Any) -> int:
    try:
        stamp = operator.index(mono_ns)
    except TypeError:
        stamp = None
    if stamp is None or isinstance(mono_ns, bool) or not 0 <= stamp < STAMP_END:
        raise SchemaError(f"mono_ns={shown(mono_ns)}: a stamp is a whole number of ns from 0 to 2**62 - 1")
    return stamp


def _stamps(mono_ns: Any) -> np.ndarray:
    try:
        stamps = np.asarray(mono_ns)
    except (ValueError, TypeError, OverflowError) as error:
        raise SchemaError(f"mono_ns is no array of stamps: {error}") from error
    if stamps.ndim != 1 or (stamps.size and stamps.dtype.kind not in "iu"):
        raise SchemaError(
            f"mono_ns is an array of {stamps.dtype}, shape {stamps.shape}; stamps are whole ns from 0"
            " to 2**62 - 1, shape (n,)"
        )
    wrong = (stamps < 0) | (stamps >= STAMP_END)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise SchemaError(
            f"mono_ns: row {row}: stamp {stamps[row]} is none; they are whole ns from 0 to 2**62 - 1"
        )
    return np.require(stamps, "<i8", "CA")


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


_ROWS = np.zeros((2, 3), "<i4,<f8")
learn_numpy(_ROWS, _ROWS[1, 2], _ROWS.view(np.recarray)[1, 2], np.dtype(np.int64))
