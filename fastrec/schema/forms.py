"""The forms of a record: where the payload lies behind the recorder's columns, in memory and on disk."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Literal

import numpy as np

from fastrec.errors import SchemaError
from fastrec.schema import codes
from fastrec.schema.members import Member, Struct

__all__ = [
    "COLUMNS",
    "Store",
    "apart",
    "new_path",
    "npy_can_hold",
    "opaque",
    "payload_offset",
    "reach",
    "record",
    "see",
]

Store = Literal["every", "changes"]

COLUMNS = (("mono_ns", "<i8"), ("until_ns", "<i8"), ("polls", "<u8"), ("max_gap_ns", "<i8"))
"""The recorder's own columns, which come first in a record; the first alone with ``store="every"``."""

_NAMES = tuple(name for name, _ in COLUMNS)
_OFFSETS = {"every": 8, "changes": 32}
_HEADER_LIMIT = 10_000  # numpy.lib.format refuses to parse longer ones


def payload_offset(store: Store) -> int:
    """Return where the payload begins in a record: 8, or 32 with ``store="changes"``."""
    if store not in _OFFSETS:
        raise SchemaError(f"store is {store!r:.40}; it is 'every' or 'changes'")
    return _OFFSETS[store]


def apart(layout: Struct) -> tuple[Struct, dict[str, str]]:
    """Return a payload none of whose members is named like a column, and the new names by the old."""
    taken = {name for member in layout.flat() for name in (member.name, *(bit.name for bit in member.bits))}
    clashing = [name for name in _NAMES if name in taken]
    if not clashing:
        return layout, {}
    taken.update(_NAMES)
    new: dict[str, str] = {}
    for name in clashing:
        new[name] = name + "_"
        while new[name] in taken:
            new[name] += "_"
        taken.add(new[name])
    return _renamed(layout, new), new


def _renamed(layout: Struct, new: dict[str, str]) -> Struct:
    members = []
    for member in layout.members:
        if not member.name and isinstance(member.type, Struct):
            members.append(dataclasses.replace(member, type=_renamed(member.type, new)))
            continue
        bits = tuple(bit._replace(name=new.get(bit.name, bit.name)) for bit in member.bits)
        members.append(dataclasses.replace(member, name=new.get(member.name, member.name), bits=bits))
    return Struct(layout.size, tuple(members))


def new_path(path: str, renamed: dict[str, str]) -> str:
    """Return the path of a field of the renamed payload, given the one its author knows."""
    if not renamed or not isinstance(path, str):
        return path
    head = re.split(r"[.\[]", path, maxsplit=1)[0]
    return renamed.get(head, head) + path[len(head) :]


def record(layout: Struct, store: Store) -> np.dtype:
    """Return the dtype of records: the columns, then the members of the payload, padded to a multiple of 8.

    Raises
    ------
    SchemaError
        With these columns the record would pass 64 KiB.
    """
    start = payload_offset(store)
    itemsize = -(-(start + layout.size) // 8) * 8
    if itemsize > codes.MAX_BYTES:
        raise SchemaError(
            f"a payload of {layout.size} bytes makes records of {itemsize} with store={store!r};"
            f" at most {codes.MAX_BYTES} are possible"
        )
    columns = COLUMNS[: start // 8]
    payload = list(layout.flat())
    return np.dtype(
        {
            "names": [*(name for name, _ in columns), *(member.name for member in payload)],
            "formats": [*(code for _, code in columns), *((m.to_numpy(), m.shape) for m in payload)],
            "offsets": [*range(0, start, 8), *(start + member.offset for member in payload)],
            "itemsize": itemsize,
        }
    )


def opaque(size: int) -> Struct:
    """Return a payload that is one field of raw bytes, named ``payload``."""
    return Struct(size, (Member("payload", 0, np.dtype((np.void, size))),))


def npy_can_hold(dtype: np.dtype) -> bool:
    """Tell whether a ``.npy`` header as FORMAT.md lays it out can say this dtype to numpy."""
    descr = repr(np.lib.format.dtype_to_descr(dtype))
    length = len("{'shape': (   12345678,), 'fortran_order': False, 'descr': }\n") + len(descr)
    padded = -(-(10 + length) // 64) * 64 - 10
    return padded <= _HEADER_LIMIT and all(ord(letter) < 256 for letter in descr)


def see(array: np.ndarray, dtype: np.dtype, shape: tuple[int, ...], offset: int, name: str) -> np.ndarray:
    """Return a view, shape ``(*array.shape, *shape)``, of what lies at ``offset`` of every row's payload.

    Raises
    ------
    SchemaError
        The rows are too short; the message calls what was sought ``name``.
    """
    array = np.asarray(array)
    offset += _payload_at(array)
    end = offset + dtype.itemsize * math.prod(shape)
    if end > array.dtype.itemsize:
        raise SchemaError(
            f"{name!r} ends at byte {end}, but the rows have {array.dtype.itemsize};"
            " pass records or payloads of this schema"
        )
    window = np.dtype(
        {"names": ["_"], "formats": [(dtype, shape)], "offsets": [offset], "itemsize": array.dtype.itemsize}
    )
    return array.view(window)["_"]


def reach(array: np.ndarray, offset: int) -> int:
    """How many bytes of every row lie at and behind ``offset`` of its payload."""
    return array.dtype.itemsize - _payload_at(array) - offset


def _payload_at(array: np.ndarray) -> int:
    # No payload has members of these names (Schema renames them), so they tell a record from a bare payload.
    names = array.dtype.names or ()
    if names[:1] != _NAMES[:1]:
        return 0
    return payload_offset("changes" if names[:4] == _NAMES else "every")
