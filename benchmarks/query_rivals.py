"""Tools that are asked the questions of the benchmark `query`: from path to answer, each its quickest way.

NumPy and pandas have the recording's own files, Polars and DuckDB Parquet of the same records. Those that can
use several threads do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.questions import CHOSEN, RARE, ZONE, Answer, Place
from benchmarks.stores import library

__all__ = ["Duckdb", "Numpy", "Pandas", "Polars", "Tool"]

LOOK_BACK_NS = 1_000_000
"""How far before a time its record is looked for at first: a thousand of them."""


class Tool:
    """A way to ask; a method a question, each of which takes a `Place`.

    Parameters
    ----------
    who : str
        As the tables name it.
    """

    libraries: tuple[str, ...] = ()

    grouped = False
    """Whether it reads the file of small row groups."""

    def __init__(self, who: str) -> None:
        self.who = who

    def load(self) -> None:
        """Import what it takes."""
        for name in self.libraries:
            library(name)


class Numpy(Tool):
    """``numpy.load`` of each segment, memory-mapped, and whole columns of it."""

    def segments(self, place: Place) -> list[np.ndarray]:
        """The records, a memory-mapped array a segment."""
        return [np.load(file, mmap_mode="r") for file in place.segments]

    def column(self, place: Place, name: str = "mode") -> Answer:
        return {name: np.concatenate([rows[name] for rows in self.segments(place)])}

    def transitions(self, place: Place) -> Answer:
        times, after, before = _changes(self.segments(place))
        return {"time": times[1:], "from": before[1:], "to": after[1:]}

    def durations(self, place: Place) -> Answer:
        segments = self.segments(place)
        begins, states, _ = _changes(segments)
        return _lasted(begins, states, segments[-1]["mono_ns"][-1])

    def counts(self, place: Place) -> Answer:
        counts = np.sum([np.bincount(rows["mode"], minlength=RARE + 1) for rows in self.segments(place)], 0)
        states = np.flatnonzero(counts)
        return {"state": states, "records": counts[states]}

    def failure(self, place: Place) -> Answer:
        for rows in self.segments(place):
            failed = rows["hr"] < 0
            first = failed.argmax()
            if failed[first]:
                return np.array(rows[first : first + 1])
        raise LookupError("no record failed")

    def rare(self, place: Place, state: int = RARE) -> Answer:
        first, found, times = 0, [], []
        for rows in self.segments(place):
            at = np.flatnonzero(rows["mode"] == state)
            found.append(first + at)
            times.append(rows["mono_ns"][at])
            first += len(rows)
        return {"seq": np.concatenate(found), "time": np.concatenate(times)}

    def chosen(self, place: Place) -> Answer:
        return self.rare(place, CHOSEN)

    def window(self, place: Place) -> Answer:
        parts = []
        for rows in self.segments(place):
            begin, end = np.searchsorted(rows["mono_ns"], (place.begin, place.end))
            if begin < end:
                parts.append(np.array(rows[begin:end]))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def at(self, place: Place) -> Answer:
        for rows in reversed(self.segments(place)):
            behind = np.searchsorted(rows["mono_ns"], place.when, side="right")
            if behind:
                return np.array(rows[behind - 1 : behind])
        raise LookupError("no record is so old")

    def counter(self, place: Place) -> Answer:
        total, count, least, most = 0, 0, [], []
        for rows in self.segments(place):
            values = np.ascontiguousarray(rows["bytes"])
            total, count = total + int(values.sum()), count + len(values)
            least.append(values.min())
            most.append(values.max())
        return {"mean": total / count, "min": min(least), "max": max(most)}

    def downsample(self, place: Place) -> Answer:
        return _buckets(self.column(place, "bytes")["bytes"], place.borders)


def _changes(segments: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stamps of the first record and of every change, the states from then on, and those before."""
    times, states = [], []
    last = None
    for rows in segments:
        mode = rows["mode"]
        at = np.flatnonzero(mode[1:] != mode[:-1]) + 1
        if last is None or mode[0] != last:
            at = np.concatenate([[0], at])
        times.append(rows["mono_ns"][at])
        states.append(mode[at])
        last = mode[-1]
    after = np.concatenate(states)
    return np.concatenate(times), after, np.concatenate([after[:1], after[:-1]])


def _lasted(begins: np.ndarray, states: np.ndarray, end: int) -> Answer:
    """Durations from intervals that adjoin; sums below 2**53 are exact."""
    totals = np.bincount(states, np.diff(begins, append=end)).astype(np.int64)
    intervals = np.bincount(states)
    found = np.flatnonzero(intervals)
    return {"state": found, "duration": totals[found], "intervals": intervals[found]}


def _buckets(values: np.ndarray, borders: tuple[int, ...], size: int = 1) -> Answer:
    """Least and largest value from border to border, which are rows; `size` of them are one value."""
    begins = np.array(borders)
    return {
        "records": np.diff(begins, append=len(values)),
        "min": np.minimum.reduceat(values, begins // size),
        "max": np.maximum.reduceat(values, begins // size),
    }


class Pandas(Numpy):
    """A DataFrame, or Series, of the columns of the memory-mapped segments that it takes."""

    libraries = ("pandas",)

    def frame(self, place: Place, *names: str) -> Any:
        """Columns by name."""
        segments = self.segments(place)
        columns = {name: np.concatenate([rows[name] for rows in segments]) for name in names}
        return library("pandas").DataFrame(columns, copy=False)

    def transitions(self, place: Place) -> Answer:
        frame = self.frame(place, "mono_ns", "mode")
        before = frame["mode"].shift(fill_value=frame["mode"].iloc[0])
        changed = frame["mode"] != before
        found = frame[changed]
        return {
            "time": found["mono_ns"].to_numpy(),
            "from": before[changed].to_numpy(),
            "to": found["mode"].to_numpy(),
        }

    def durations(self, place: Place) -> Answer:
        frame = self.frame(place, "mono_ns", "mode")
        end = int(frame["mono_ns"].iloc[-1])
        found = frame[frame["mode"] != frame["mode"].shift(fill_value=-1)]
        lasted = found["mono_ns"].shift(-1, fill_value=end) - found["mono_ns"]
        sums = lasted.groupby(found["mode"]).agg(["sum", "count"])
        return {
            "state": sums.index.to_numpy(),
            "duration": sums["sum"].to_numpy(),
            "intervals": sums["count"].to_numpy(),
        }

    def counts(self, place: Place) -> Answer:
        counts = self.frame(place, "mode")["mode"].value_counts()
        return {"state": counts.index.to_numpy(), "records": counts.to_numpy()}

    def failure(self, place: Place) -> Answer:
        first = int((self.frame(place, "hr")["hr"] < 0).idxmax())
        for rows in self.segments(place):
            if first < len(rows):
                return np.array(rows[first : first + 1])
            first -= len(rows)
        raise LookupError("no record failed")

    def rare(self, place: Place, state: int = RARE) -> Answer:
        frame = self.frame(place, "mono_ns", "mode")
        found = frame.loc[frame["mode"] == state, "mono_ns"]
        return {"seq": found.index.to_numpy(), "time": found.to_numpy()}

    def counter(self, place: Place) -> Answer:
        found = self.frame(place, "bytes")["bytes"].agg(["mean", "min", "max"])
        return {name: found[name] for name in ("mean", "min", "max")}


class Polars(Tool):
    """Lazy queries of ``polars.scan_parquet``, and NumPy's arrays of what they find.

    Parameters
    ----------
    who : str
    grouped : bool
        The file of small row groups.
    """

    libraries = ("polars",)

    def __init__(self, who: str, *, grouped: bool = False) -> None:
        super().__init__(who)
        self.grouped = grouped

    def scan(self, place: Place, **options: Any) -> tuple[Any, Any]:
        """The file, and what makes expressions of its columns."""
        polars = library("polars")
        return polars.scan_parquet(place.grouped if self.grouped else place.parquet, **options), polars.col

    def found(self, query: Any) -> Answer:
        """What a query finds, as arrays."""
        frame = query.collect()
        return {name: frame[name].to_numpy() for name in frame.columns}

    def column(self, place: Place, name: str = "mode") -> Answer:
        file, _ = self.scan(place)
        return self.found(file.select(name))

    def transitions(self, place: Place) -> Answer:
        file, col = self.scan(place)
        pairs = file.select(
            col("mono_ns").alias("time"), col("mode").shift(1).alias("from"), col("mode").alias("to")
        )
        return self.found(pairs.filter(col("from") != col("to")))

    def durations(self, place: Place) -> Answer:
        file, col = self.scan(place)
        pieces = file.select(
            col("mode").alias("state"),
            (col("mono_ns").shift(-1) - col("mono_ns")).alias("duration"),
            col("mode").shift(1).ne_missing(col("mode")).alias("intervals"),
        )
        return self.found(pieces.group_by("state").agg(col("duration").sum(), col("intervals").sum()))

    def counts(self, place: Place) -> Answer:
        file, col = self.scan(place)
        return self.found(file.group_by(col("mode").alias("state")).len("records"))

    def failure(self, place: Place) -> Answer:
        file, col = self.scan(place)
        return self.found(file.filter(col("hr") < 0).head(1))

    def rare(self, place: Place, state: int = RARE) -> Answer:
        file, col = self.scan(place, row_index_name="seq")
        return self.found(file.filter(col("mode") == state).select("seq", col("mono_ns").alias("time")))

    def chosen(self, place: Place) -> Answer:
        return self.rare(place, CHOSEN)

    def window(self, place: Place) -> Answer:
        file, col = self.scan(place)
        return self.found(file.filter(col("mono_ns").is_between(place.begin, place.end, closed="left")))

    def at(self, place: Place) -> Answer:
        file, col = self.scan(place)
        near = col("mono_ns").is_between(place.when - LOOK_BACK_NS, place.when)
        found = self.found(file.filter(near).last())
        return (
            found if len(found["mono_ns"]) else self.found(file.filter(col("mono_ns") <= place.when).last())
        )

    def counter(self, place: Place) -> Answer:
        file, col = self.scan(place)
        value = col("bytes")
        return self.found(
            file.select(value.mean().alias("mean"), value.min().alias("min"), value.max().alias("max"))
        )

    def downsample(self, place: Place) -> Answer:
        return _buckets(self.column(place, "bytes")["bytes"], place.borders)


class Duckdb(Tool):
    """SQL on the Parquet file, and NumPy's arrays of what it finds.

    Its windows without an order go along the file, which is the order of the records, and sort nothing.

    Parameters
    ----------
    who : str
    grouped : bool
        The file of small row groups.
    """

    libraries = ("duckdb",)

    def __init__(self, who: str, *, grouped: bool = False) -> None:
        super().__init__(who)
        self.grouped = grouped

    def found(self, place: Place, query: str) -> Answer:
        """What a query finds; ``{}`` in it is the file, ``seq`` the number of a row."""
        path = place.grouped if self.grouped else place.parquet
        numbered = f"(select *, file_row_number as seq from read_parquet('{path}', file_row_number = true))"
        with library("duckdb").connect() as connection:
            return connection.execute(
                query.replace("{}", f"'{path}'").replace("{seq}", numbered)
            ).fetchnumpy()

    def column(self, place: Place) -> Answer:
        return self.found(place, "select mode from {}")

    def transitions(self, place: Place) -> Answer:
        pairs = 'select mono_ns as time, lag(mode) over () as "from", mode as "to" from {}'
        return self.found(place, f'select * from ({pairs}) where "from" <> "to"')

    def durations(self, place: Place) -> Answer:
        pairs = "select mono_ns, mode, lag(mode) over () as before from {}"
        found = self.found(place, f"select mono_ns, mode from ({pairs}) where mode is distinct from before")
        end = self.found(place, "select max(mono_ns) as last from {}")["last"][0]
        return _lasted(found["mono_ns"], found["mode"], end)

    def counts(self, place: Place) -> Answer:
        return self.found(place, "select mode as state, count(*) as records from {} group by mode")

    def failure(self, place: Place) -> Answer:
        return self.found(place, "select * from {} where hr < 0 limit 1")

    def rare(self, place: Place, state: int = RARE) -> Answer:
        return self.found(place, f"select seq, mono_ns as time from {{seq}} where mode = {state}")

    def chosen(self, place: Place) -> Answer:
        return self.rare(place, CHOSEN)

    def window(self, place: Place) -> Answer:
        inside = f"mono_ns >= {place.begin} and mono_ns < {place.end}"
        return self.found(place, f"select * from {{}} where {inside}")

    def at(self, place: Place) -> Answer:
        query = f"select * from {{}} where mono_ns between {place.when - LOOK_BACK_NS} and {place.when}"
        found = self.found(place, query)
        if not len(found["mono_ns"]):
            newest = f"select max(mono_ns) from {{}} where mono_ns <= {place.when}"
            found = self.found(place, f"select * from {{}} where mono_ns = ({newest})")
        return {name: column[-1:] for name, column in found.items()}

    def counter(self, place: Place) -> Answer:
        return self.found(place, "select avg(bytes) as mean, min(bytes) as min, max(bytes) as max from {}")

    def downsample(self, place: Place) -> Answer:
        zones = self.found(
            place,
            f"select seq // {ZONE} as zone, count(*) as records, min(bytes) as min, max(bytes) as max "
            "from {seq} group by zone order by zone",
        )
        begins = np.array(place.borders) // ZONE
        return {
            "records": np.add.reduceat(zones["records"], begins),
            "min": np.minimum.reduceat(zones["min"], begins),
            "max": np.maximum.reduceat(zones["max"], begins),
        }
