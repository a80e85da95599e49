"""What contestants are fed: statuses of 32 bytes, no two alike, and other ones in every run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastrec
from benchmarks.harness import WrongAnswerError
from fastrec.wmdrm import status

__all__ = ["FORMS", "OPAQUE", "SCHEMA", "Feed", "compare", "compare_stamps", "payloads", "statuses"]

# Without text: what is pushed follows no pointers, so the URL's address is a number like the others.
SCHEMA = fastrec.Schema.from_dtype(status.schema(64).dtype, name="WM_INDIVIDUALIZE_STATUS")

OPAQUE = np.dtype(("V", SCHEMA.size))
"""The payload as bytes that NumPy does not look into: quicker to assign than fields, and harder to read."""


class Status(ctypes.Structure):
    """WM_INDIVIDUALIZE_STATUS of 64-bit Windows."""

    _fields_ = [
        ("hr", ctypes.c_int32),
        ("enIndiStatus", ctypes.c_uint32),
        ("pszIndiRespUrl", ctypes.c_uint64),
        ("dwHTTPRequest", ctypes.c_uint32),
        ("enHTTPStatus", ctypes.c_int32),
        ("dwHTTPReadProgress", ctypes.c_uint32),
        ("dwHTTPReadTotal", ctypes.c_uint32),
    ]


FORMS: dict[str, Callable[[np.ndarray], list]] = {
    "NumPy row": list,
    "ctypes struct": lambda rows: [Status.from_buffer_copy(row) for row in rows],
    "bytes": lambda rows: [row.tobytes() for row in rows],
}
"""What one payload may be, by name: from an array to a list of them."""


def statuses(first: int, count: int) -> np.ndarray:
    """Statuses number `first` and on; each proves its number in every field.

    Returns
    -------
    ndarray, shape (count,)
        Of SCHEMA.dtype. ``get_status`` in bare.c fills the same at its n-th call.
    """
    number = np.arange(first, first + count, dtype=np.uint64)
    low = (number & 0xFFFFFFFF).astype(np.uint32)
    rows = np.zeros(count, SCHEMA.dtype)
    rows["hr"] = -(low & 0x7FFFFFFF).astype(np.int32)
    rows["enIndiStatus"] = low & 0x3F
    rows["pszIndiRespUrl"] = number
    rows["dwHTTPRequest"] = low * np.uint32(2654435761)
    rows["enHTTPStatus"] = low & 3
    rows["dwHTTPReadProgress"] = low
    rows["dwHTTPReadTotal"] = ~low
    return rows


def payloads(records: np.ndarray) -> np.ndarray:
    """The payloads of records (SCHEMA.record_dtype, dense), in place and OPAQUE."""
    whole = np.dtype(
        {
            "names": ["payload"],
            "formats": [OPAQUE],
            "offsets": [SCHEMA.payload_offset("every")],
            "itemsize": records.itemsize,
        }
    )
    return records.view(whole)["payload"]


@dataclass(frozen=True)
class Feed:
    """How much is stored in one run.

    Attributes
    ----------
    count : int
        Different payloads.
    rounds : int
        How often they are stored one after another.
    capacity : int
        Records that the container keeps; `operations` is a multiple of it.
    """

    count: int
    rounds: int
    capacity: int

    @property
    def operations(self) -> int:
        """Payloads stored in a run."""
        return self.count * self.rounds

    def rows(self, turn: int) -> np.ndarray:
        """The payloads of run `turn`; no other run has any of them."""
        return statuses(turn * self.count, self.count)

    def left(self, turn: int) -> np.ndarray:
        """What a container of `capacity` holds after run `turn`, the oldest first."""
        return np.tile(self.rows(turn), self.rounds)[-self.capacity :]


def compare(who: str, stored: np.ndarray, expected: np.ndarray) -> None:
    """Hold all bytes that were stored, in their order, against those that should have been.

    Raises
    ------
    WrongAnswerError
        Names the first record that differs.
    """
    if len(stored) != len(expected):
        raise WrongAnswerError(f"{who}: {len(stored)} records stored, expected {len(expected)}")
    found, wanted = (np.frombuffer(rows.tobytes(), (np.void, SCHEMA.size)) for rows in (stored, expected))
    wrong = np.flatnonzero(found != wanted)
    if len(wrong):
        row = int(wrong[0])
        raise WrongAnswerError(
            f"{who}: {len(wrong)} of {len(expected)} records are wrong; "
            f"row {row} is {found[row].tobytes().hex()}, expected {wanted[row].tobytes().hex()}"
        )


def compare_stamps(who: str, stamps: np.ndarray, begin: int, end: int) -> None:
    """Stamps never decrease, and lie within the run, which took from `begin` to `end` (monotonic ns)."""
    if (np.diff(stamps) < 0).any() or stamps[0] < begin or stamps[-1] > end or stamps[0] == stamps[-1]:
        raise WrongAnswerError(f"{who}: stamps {stamps[0]} to {stamps[-1]} in a run from {begin} to {end}")
