"""A recorder whose triggers look when they are told, at a time that is told: nothing waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from waiting import until

import fastrec as fr
from fastrec.schema import Schema
from fastrec.triggers.windows import Window

ROW = Schema.from_dtype(np.dtype([("hr", "<i4"), ("mode", "<u1")]), labels={"mode": {"IDLE": 0, "FAULT": 1}})

MS = 1_000_000


class Bench:
    """Channels that are pushed, with the stamps of a clock of its own.

    It begins at 1 s, or where the session before ended.

    Attributes
    ----------
    rec : Recorder
    windows : list of Window
        Those that `caught` was called with.
    """

    def __init__(self, rec: fr.Recorder) -> None:
        self.rec, self.engine = rec, rec._engine
        before = (one.ring.core.account()["last"] for one in rec.channels.values())
        self.now = max([1000 * MS, *before])
        self.windows: list[Window] = []
        self.engine.by_hand = True
        self.engine.clock = lambda: self.now

    def caught(self, window: Window) -> None:
        self.windows.append(window)

    def push(self, hr: int = 0, *, on: str = "c", mode: int = 0, after: int = MS) -> int:
        """One record, `after` ns later; its stamp."""
        self.now += after
        self.rec[on].push(np.array((hr, mode), ROW.dtype), self.now)
        return self.now

    def look(self, after: int = 0) -> None:
        """Let time pass, look, and do what is to be done."""
        self.now += after
        self.engine.look(self.now + 1)
        self.engine.work()

    def settle(self, count: int, after: int = 0) -> None:
        """Let time pass, and look until so many windows were stored or handed on, or could not be."""
        self.now += after
        until(lambda: self.look(MS) or self.done >= count)
        assert self.done == count

    @property
    def done(self) -> int:
        stats = [one.stats for one in self.rec.triggers]
        return sum(one.windows + one.failed for one in stats)


@contextmanager
def bench(path: Path | None = None, *names: str, **options: Any) -> Iterator[Bench]:
    """A recorder with such channels, ``"c"`` if none is named, running."""
    quick = {"flush": "1ms", "durability": None} if path else {}
    rec = fr.Recorder(path, **{**quick, **options})
    for name in names or ("c",):
        rec.add(name, schema=ROW)
    made = Bench(rec)
    with rec:
        yield made
