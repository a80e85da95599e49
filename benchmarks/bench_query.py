"""Questions about 20 million records, from the path to the answer, against NumPy, pandas, Polars and DuckDB.

All files are in the page cache. NumPy and pandas are asked on the memory-mapped segments of the recording,
Polars and DuckDB on zstd Parquet of the same records: in row groups as Polars writes them, and, of runs of
20,000, in row groups of 1,024, too; the better one counts. In the last run the peak of anonymous memory is
taken in a process of its own, above what it was after the imports; that answer is checked as well. It is left
out for the smaller row groups, and for all rivals where it is to be quick.
"""

from __future__ import annotations

from typing import Any

import fastrec
from benchmarks import anonymous
from benchmarks.harness import RUNS, Bench, Case, Claim, Timed
from benchmarks.query_rivals import Duckdb, Numpy, Pandas, Polars, Tool
from benchmarks.questions import CHOSEN, RARE, Answer, Place, Shelf, compare

COUNT = 20_000_000

POINTS = 2000

CLAIMED = 20_000
"""Mean length of the runs of which there are claims."""

LENGTHS = (CLAIMED, 1000, 100, 1)

MEMORY_MB = 200


class Fastrec(Tool):
    """``fastrec.open``."""

    def records(self, place: Place) -> fastrec.Records:
        """The channel, opened anew."""
        return fastrec.open(place.run)["c"]

    def column(self, place: Place) -> Answer:
        return {"mode": self.records(place)["mode"]}

    def transitions(self, place: Place) -> Answer:
        return self.records(place).transitions("mode")

    def durations(self, place: Place) -> Answer:
        return self.records(place).durations("mode")

    def counts(self, place: Place) -> Answer:
        return self.records(place).counts("mode")

    def failure(self, place: Place) -> Answer:
        return self.records(place).where("hr < 0")[:1].to_numpy()

    def rare(self, place: Place, state: int = RARE) -> Answer:
        found = self.records(place).where(f"mode == {state}")
        return {"seq": found.seq, "time": found["mono_ns"]}

    def chosen(self, place: Place) -> Answer:
        return self.rare(place, CHOSEN)

    def window(self, place: Place) -> Answer:
        return self.records(place).between(place.begin, place.end).to_numpy()

    def at(self, place: Place) -> Answer:
        return self.records(place).at(place.when).to_numpy()

    def counter(self, place: Place) -> Answer:
        found = self.records(place).describe("bytes")
        return {name: found[name] for name in ("mean", "min", "max")}

    def downsample(self, place: Place) -> Answer:
        return self.records(place).downsample(len(place.borders), "bytes")


class Asked:
    """A tool, and what it is asked of which records."""

    def __init__(self, tool: Tool, question: str, place: Place) -> None:
        self.tool = tool
        self.question = question
        self.place = place

    def load(self) -> None:
        self.tool.load()

    def ask(self) -> Answer:
        return getattr(self.tool, self.question)(self.place)


class Asking(Timed):
    """Asks a tool a question.

    Parameters
    ----------
    tool : Tool
    question : str
        Name of a method of `tool`.
    shelf : Shelf
    length : int
        Mean length of runs of a state.
    weighed : bool
        Take the memory.
    """

    def __init__(self, tool: Tool, question: str, shelf: Shelf, length: int, *, weighed: bool = True) -> None:
        super().__init__(tool.who, "us", 1000)  # Timed counts ns
        tool.load()
        self.tool = tool
        self.question = question
        self.shelf = shelf
        self.length = length
        self.weighed = weighed

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        place, answers = self.shelf.take(self.length, full=self.length == CLAIMED)
        self.asked = Asked(self.tool, self.question, place)
        self.wanted = answers[self.question]
        self.answers: list[Answer] = []

    def work(self) -> None:
        self.answers.append(self.asked.ask())

    def run(self) -> dict[str, Any]:
        figures = super().run()
        if self.turn == RUNS and self.weighed:
            figures["MB"], answer = anonymous.peak(self.asked)
            self.answers.append(answer)
        return figures

    def check(self) -> None:
        for answer in self.answers:
            compare(self.who, self.question, answer, self.wanted)
        self.answers = []

    def close(self) -> None:
        self.shelf.remove()


OURS, NUMPY, POLARS, DUCKDB = "fastrec", "NumPy on the map", "Polars", "DuckDB"

SMALL = ", row groups of 1,024"

WITHOUT_PANDAS = frozenset({"window", "at", "column", "downsample"})
"""On these pandas is NumPy."""

EVERYWHERE = ("transitions", "durations", "counts")

QUESTIONS = {
    "transitions": "transitions with their times",
    "durations": "time in each state",
    "counts": "records of each state",
    "failure": "the first failure",
    "rare": "where a rare state is",
    "chosen": "where one state of eight is",
    "window": "a window of 50 ms",
    "at": "the record at a time",
    "counter": "mean, least and largest of a counter",
    "downsample": "a counter in {points:,} points",
    "column": "a column in memory",
}
"""What the tables call them."""

TARGETS = {
    "transitions": (20, 6),
    "durations": (20, 6),
    "counts": (20, 10),
    "failure": (20, 10),
    "rare": (20, 10),
}
"""How much quicker than Polars and DuckDB, each, and than NumPy."""


def bench(quick: bool, count: int | None = None) -> Bench:
    """All questions of runs of 20,000 records, some of shorter ones, and of states that do not last.

    Parameters
    ----------
    quick : bool
    count : int, optional
        Records: 20 million, or 200,000. There is a point of `downsample` for every 10,000.
    """
    count = count or (COUNT // 100 if quick else COUNT)
    points = count // (COUNT // POINTS)
    shelf = Shelf(count, points)
    names: dict[tuple[int, str], str] = {}
    cases = []
    for length in LENGTHS:
        runs = f"runs of {length:,}" if length > 1 else "independent"
        for question, title in QUESTIONS.items():
            if not _asked(question, length):
                continue
            names[length, question] = f"{runs}: {title.format(points=points)}"
            asking = [
                Asking(tool, question, shelf, length, weighed=tool.who == OURS or not (quick or tool.grouped))
                for tool in _tools(question, length)
            ]
            cases.append(Case(names[length, question], asking[:1], asking[1:]))
    return Bench(cases, _claims(names))


def _asked(question: str, length: int) -> bool:
    if length == 1:
        return question in ("durations", "counts", "chosen", "column")
    if length == CLAIMED:
        return question not in ("chosen", "column")
    return question in EVERYWHERE


def _tools(question: str, length: int) -> list[Tool]:
    tools: list[Tool] = [Fastrec(OURS), Numpy(NUMPY)]
    if question not in WITHOUT_PANDAS:
        tools.append(Pandas("pandas on the map"))
    for kind, who in ((Polars, POLARS), (Duckdb, DUCKDB)):
        tools.append(kind(who))
        if length == CLAIMED:
            tools.append(kind(who + SMALL, grouped=True))
    return tools


def _claims(names: dict[tuple[int, str], str]) -> list[Claim]:
    claims = []

    def claim(
        question: str,
        who: str,
        over: str | tuple[str, ...],
        under: str,
        target: float,
        length: int = CLAIMED,
    ) -> None:
        kind = "independent." if length == 1 else ""
        sense = "at_least" if under == OURS else "at_most"
        name = f"query.{kind}{question}.{who}.{sense}"
        claims.append(Claim(name, names[length, question], over, under, target, unit="us"))

    polars, duckdb = ((who, who + SMALL) for who in (POLARS, DUCKDB))
    for question, (frames, mapped) in TARGETS.items():
        claim(question, "polars", polars, OURS, frames)
        claim(question, "duckdb", duckdb, OURS, frames)
        claim(question, "numpy", NUMPY, OURS, mapped)
    for question in ("window", "at"):
        claim(question, "polars", polars, OURS, 10)
        claim(question, "duckdb", duckdb, OURS, 10)
        claim(question, "numpy", OURS, NUMPY, 3)
    for question in ("counter", "downsample"):
        rivals = tuple(tool.who for tool in _tools(question, CLAIMED)[1:])
        claim(question, "best", rivals, OURS, 5)
    for question in ("counts", "chosen"):
        claim(question, "numpy", NUMPY, OURS, 1, length=1)
        claim(question, "polars", OURS, POLARS, 2, length=1)
    claim("column", "polars", OURS, POLARS, 2, length=1)
    for (length, question), case in names.items():
        kind = "independent" if length == 1 else f"{length}"
        name = f"query.{kind}.{question}.memory.at_most"
        claims.append(Claim(name, case, OURS, None, MEMORY_MB, unit="MB"))
    return claims
