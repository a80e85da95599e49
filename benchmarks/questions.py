"""What is asked, of which records, and the answers that are right.

Records are of 40 bytes and a microsecond apart, give or take: a result that is negative in 20 of them, a
state that is kept in runs of random length and in 20 single records is a rare one, a counter that is now and
then set back, noise, progress, flags. The answers are NumPy's, from the columns as they were made.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fastrec
from benchmarks import stores
from benchmarks.harness import WrongAnswerError

__all__ = [
    "CHOSEN",
    "FAILURES",
    "GROUP",
    "RARE",
    "ZONE",
    "Answer",
    "Place",
    "Shelf",
    "compare",
]

FIELDS = np.dtype(
    [
        ("hr", "<i4"),
        ("mode", "<i4"),
        ("bytes", "<u8"),
        ("level", "<f8"),
        ("progress", "<u4"),
        ("flags", "<u4"),
    ]
)

STATES = 8

RARE = STATES + 9
"""A state of `FAILURES` single records: a millionth of 20 million."""

CHOSEN = 3
"""A state that is as frequent as the others."""

FAILURES = 20

ZONE = 1024  # records

GROUP = ZONE
"""Records of the smaller row groups."""

WINDOW_NS = 50_000_000

PIECE = 1 << 20  # records pushed at once

Answer = Mapping[str, np.ndarray]
"""Columns of an answer by name; a structured array without its fields' order."""


@dataclass(frozen=True)
class Place:
    """Where the records lie, and what the questions name.

    Attributes
    ----------
    segments : tuple of str
        Files of the recording at `run`, as NumPy loads them.
    parquet, grouped : str
        The same records in row groups of the writer's choice, and of `GROUP`; ``""`` where there are none.
    begin, end, when : int
        A window and a time, ns.
    borders : tuple of int
        Rows with which buckets of equal time begin, moved to the nearest border of a zone.
    """

    run: str
    segments: tuple[str, ...]
    parquet: str
    grouped: str
    begin: int
    end: int
    when: int
    borders: tuple[int, ...]


class Shelf:
    """Keeps the records of one length of runs at a time, which are made when they are first asked for.

    Parameters
    ----------
    count : int
        Records.
    points : int
        Buckets of equal time.
    """

    def __init__(self, count: int, points: int) -> None:
        self.count = count
        self.points = points
        self._length: int | None = None
        self._folder: Path | None = None

    def take(self, length: int, *, full: bool) -> tuple[Place, Mapping[str, Answer]]:
        """Where the records are, and the right answers by the question.

        Parameters
        ----------
        length : int
            Mean length of a run of one state; 1: every record has a state of its own.
        full : bool
            All columns are in Parquet, both ways, and all questions are answered. If not, stamps and states
            are, in row groups of the writer's choice, which is the better one for all who read them whole.
        """
        if self._folder is None or self._length != length:
            self.remove()
            self._folder = Path(tempfile.mkdtemp(prefix="fastrec-bench-", dir=stores.disk()))
            columns = _columns(self.count, length)
            self._place = self._stored(columns, full=full)
            self._answers = _answers(columns, self._place, full=full)
            self._length = length
        return self._place, self._answers

    def _stored(self, columns: dict[str, np.ndarray], *, full: bool) -> Place:
        run = self._folder / "run.fastrec"
        _record(run, columns)
        polars = stores.library("polars")
        kept = columns if full else {name: columns[name] for name in ("mono_ns", "mode")}
        table = polars.DataFrame(kept)
        parquet, grouped = (str(self._folder / f"{name}.parquet") for name in ("default", "grouped"))
        table.write_parquet(parquet, compression="zstd")
        if full:
            table.write_parquet(grouped, compression="zstd", row_group_size=GROUP)
        stamps = columns["mono_ns"]
        edges = np.linspace(stamps[0], stamps[-1], self.points + 1)[:-1]
        borders = np.rint(np.searchsorted(stamps, edges) / ZONE).astype(int) * ZONE
        begin = int(stamps[0] + 0.9 * (stamps[-1] - stamps[0]))
        return Place(
            run=str(run),
            segments=tuple(map(str, sorted((run / "channels" / "c").glob("records.*.npy")))),
            parquet=parquet,
            grouped=grouped if full else "",
            begin=begin,
            end=begin + WINDOW_NS,
            when=begin + 300,
            borders=tuple(borders.tolist()),
        )

    def remove(self) -> None:
        """Take all files away."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _columns(count: int, length: int) -> dict[str, np.ndarray]:
    """The stamps, and the payload's fields."""
    random = np.random.default_rng(length)
    number = np.arange(count)
    columns = {"mono_ns": 1_000_000_000 + 1000 * number + random.integers(0, 1001, count)}
    columns |= {name: np.zeros(count, FIELDS[name]) for name in FIELDS.names}
    columns["hr"][random.choice(count, FAILURES, replace=False)] = -5 - random.integers(0, 9, FAILURES)
    columns["mode"][:] = _states(random, count, length)
    columns["mode"][random.choice(count, FAILURES, replace=False)] = RARE
    total = np.cumsum(random.integers(0, 1500, count), dtype=np.uint64)
    base = np.zeros(count, np.uint64)
    resets = random.integers(0, count, 9)
    base[resets] = total[resets]
    columns["bytes"][:] = total - np.maximum.accumulate(base)
    random.standard_normal(out=columns["level"])
    columns["progress"][:] = number % 1000
    columns["flags"][:] = 1 << random.integers(0, 4, count)
    return columns


def _states(random: np.random.Generator, count: int, length: int) -> np.ndarray:
    if length == 1:
        return random.integers(0, STATES, count, dtype=np.int32)
    lengths: list[np.ndarray] = []
    while sum(map(int, map(np.sum, lengths))) < count:
        lengths.append(np.ceil(random.exponential(length, count // length + 1)).astype(int))
    runs = np.concatenate(lengths)
    states = random.integers(1, STATES, len(runs)).cumsum() % STATES
    return np.repeat(states, runs)[:count]


def _record(path: Path, columns: dict[str, np.ndarray]) -> None:
    count = len(columns["mono_ns"])
    with fastrec.Recorder(path, durability=None) as recorder:
        schema = fastrec.Schema.from_dtype(FIELDS, name="STATUS")
        channel = recorder.add("c", schema=schema, capacity=4 * min(PIECE, count))
        for first in range(0, count, PIECE):
            piece = slice(first, first + PIECE)
            rows = np.zeros(len(columns["hr"][piece]), FIELDS)
            for name in FIELDS.names:
                rows[name] = columns[name][piece]
            while first - channel.stats.written > PIECE:
                time.sleep(0.001)
            channel.extend(rows, columns["mono_ns"][piece])


def _answers(columns: dict[str, np.ndarray], place: Place, *, full: bool) -> dict[str, Answer]:
    stamps, mode = columns["mono_ns"], columns["mode"]
    changes = np.flatnonzero(mode[1:] != mode[:-1]) + 1
    begins = stamps[np.concatenate([[0], changes])]
    lasted = np.diff(begins, append=stamps[-1])
    opened = mode[np.concatenate([[0], changes])]
    states = np.unique(mode)
    records = np.array([np.count_nonzero(mode == state) for state in states])

    def places(found: np.ndarray) -> Answer:
        return {"seq": np.flatnonzero(found), "time": stamps[found]}

    def rows(first: int, last: int) -> Answer:
        return {name: column[first:last].copy() for name, column in columns.items()}

    answers: dict[str, Answer] = {
        "transitions": {
            "seq": changes,
            "time": stamps[changes],
            "from": mode[changes - 1],
            "to": mode[changes],
        },
        "durations": {
            "state": states,
            "duration": np.array([lasted[opened == state].sum() for state in states]),
            "intervals": np.array([np.count_nonzero(opened == state) for state in states]),
            "records": records,
        },
        "counts": {"state": states, "records": records},
        "chosen": places(mode == CHOSEN),
        "column": {"mode": mode},
    }
    if full:
        failure = int(np.flatnonzero(columns["hr"] < 0)[0])
        window = np.flatnonzero((stamps >= place.begin) & (stamps < place.end))
        then = int(np.flatnonzero(stamps <= place.when)[-1])
        bytes_ = columns["bytes"]
        zones = np.arange(0, len(stamps), ZONE)
        answers |= {
            "failure": rows(failure, failure + 1),
            "rare": places(mode == RARE),
            "window": rows(int(window[0]), int(window[-1]) + 1),
            "at": rows(then, then + 1),
            "counter": {
                "mean": np.array([int(bytes_.sum()) / len(bytes_)]),
                "min": bytes_.min(keepdims=True),
                "max": bytes_.max(keepdims=True),
            },
            "downsample": {
                "stamps": np.append(stamps[zones], stamps[-1]),
                "rows": np.append(zones, len(stamps)),
                "min": np.minimum.reduceat(bytes_, zones),
                "max": np.maximum.reduceat(bytes_, zones),
                "borders": np.array(place.borders),
            },
        }
    return answers


NEEDED = {
    "transitions": {"time", "from", "to"},
    "durations": {"state", "duration", "intervals"},
    "downsample": {"records", "min", "max"},
}
"""What an answer must have, where that is less than there is; what it has besides is compared as well."""


def compare(who: str, question: str, found: Answer | np.ndarray, wanted: Answer) -> None:
    """Hold an answer against the right one: states in any order, a mean to nine digits, all else exactly.

    Raises
    ------
    WrongAnswerError
        Names what differs.
    """
    names = getattr(getattr(found, "dtype", None), "names", None) or list(found)
    columns = {name: np.ravel(np.asarray(found[name])) for name in names}
    missing = NEEDED.get(question, set(wanted)) - set(columns)
    if missing:
        raise WrongAnswerError(f"{who}: the answer has no {', '.join(sorted(missing))}")
    if question == "downsample":
        _compare_buckets(who, columns, wanted)
        return
    if "state" in columns:
        order = np.argsort(columns["state"], kind="stable")
        columns = {name: column[order] for name, column in columns.items()}
    for name in wanted.keys() & columns.keys():
        _same(who, name, columns[name], wanted[name])


def _same(who: str, name: str, found: np.ndarray, wanted: np.ndarray) -> None:
    if len(found) != len(wanted):
        raise WrongAnswerError(f"{who}: {len(found)} of {name}, expected {len(wanted)}")
    if name == "mean":
        wrong = np.flatnonzero(~np.isclose(found, wanted, rtol=1e-9, atol=0))
    else:
        wrong = np.flatnonzero(found != wanted)
    if len(wrong):
        row = int(wrong[0])
        raise WrongAnswerError(f"{who}: {name} is wrong; row {row} is {found[row]}, expected {wanted[row]}")


def _compare_buckets(who: str, found: Answer, wanted: Answer) -> None:
    """Buckets may begin a zone beside those of equal time; what is in them is then what those zones have."""
    borders = np.concatenate([[0], np.cumsum(found["records"])]).astype(int)
    zones = borders[:-1] // ZONE
    beside = len(zones) != len(wanted["borders"]) or abs(borders[:-1] - wanted["borders"]).max() > ZONE
    if beside or (borders[:-1] % ZONE).any() or borders[-1] != wanted["rows"][-1]:
        raise WrongAnswerError(f"{who}: buckets begin with rows {borders[:3]}..., {borders[-1]}")
    _same(who, "min", found["min"], np.minimum.reduceat(wanted["min"], zones))
    _same(who, "max", found["max"], np.maximum.reduceat(wanted["max"], zones))
    for name, behind in (("start", 0), ("end", 1)):
        if name in found:
            ends = np.append(zones, len(wanted["stamps"]) - 1)[behind:][: len(zones)]
            far = abs(found[name] - wanted["stamps"][ends]) > 2 * np.diff(wanted["stamps"]).max()
            if far.any():
                raise WrongAnswerError(f"{who}: {name} of bucket {int(np.argmax(far))} is another time")
