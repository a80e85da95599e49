"""Bugs for the fuzzer to find, one for each target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastrec.recording import committed
from fastrec.recording.recovering.placing import Placing
from fastrec.recording.segment import Segment
from fastrec.schema import members
from fastrec.schema.c import tokens


def _gaps_believed() -> None:
    committed.sensible_gaps = lambda rows: np.ones(len(rows), bool)


def _blocks_unchecked() -> None:
    Segment._damaged = lambda self, array, offset, blocks: blocks[:0]


def _places_believed() -> None:
    Placing._proves = lambda self, at, rows, crc: True


def _members_unchecked() -> None:
    members._check_member = lambda member, size: None


def _letters_unchecked() -> None:
    tokens.shown = lambda text: text.encode().decode()


BUGS: dict[str, Callable[[], None]] = {
    "index": _gaps_believed,
    "reader": _blocks_unchecked,
    "recover": _places_believed,
    "schema": _members_unchecked,
    "c": _letters_unchecked,
}
"""By the target that finds it."""

RING_BUGS = {
    "sizes": ("ring.h", "size < h->total_size", "size + FR_PAGE < h->total_size"),
    "ends": (
        "ring.h",
        "lane->data, (span.count - part) * lane->words)",
        "lane->data, span.count * lane->words)",
    ),
}
"""Of the headers: in which, what, and what instead."""
