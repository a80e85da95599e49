"""How a claim is measured: checked answers, rivals in the same process and in turn, every run shown.

A benchmark is a file ``bench_NAME.py`` of this folder with a function ``bench(quick)``, which returns a
`Bench`. Every figure is a cost, so the smaller is the better one.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import fastrec

__all__ = [
    "RUNS",
    "Bench",
    "BenchmarkError",
    "Case",
    "Claim",
    "Contestant",
    "Timed",
    "WrongAnswerError",
    "compiler",
    "find",
    "machine",
    "measure",
    "names",
    "run",
]

RUNS = 7

PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
"""Of samples: what is shown, by its name behind the unit."""

RIVALS = (
    "numpy_ringbuffer",
    "dvg-ringbuffer",
    "h5py",
    "tables",
    "pyarrow",
    "mcap",
    "pandas",
    "polars",
    "duckdb",
)
"""Distributions of the ``bench`` extra, whose versions are named with the machine."""


class BenchmarkError(Exception):
    """Nothing can be measured here; the message says why and what to do."""


class WrongAnswerError(BenchmarkError):
    """A contestant did not do what it was timed for."""


class Contestant(ABC):
    """One way to do the work of a case.

    Parameters
    ----------
    who : str
        As the tables name it.
    """

    def __init__(self, who: str) -> None:
        self.who = who

    def prepare(self, turn: int) -> None:
        """Get ready for run `turn`, whose answer differs from that of every other; not timed."""
        self.turn = turn

    @abstractmethod
    def run(self) -> dict[str, float | np.ndarray]:
        """Do the work once: the figures by unit; of an array, samples, the percentiles are shown."""

    @abstractmethod
    def check(self) -> None:
        """Compare all that the last run left behind with what it should be; not timed.

        Raises
        ------
        WrongAnswerError
        """

    def close(self) -> None:  # noqa: B027 (most hold nothing but memory)
        """Give back what it holds."""


class Timed(Contestant):
    """A contestant whose `work` is timed from outside, without garbage collection (which spares rivals most).

    Parameters
    ----------
    who : str
    unit : str
        Of one operation, such as ``"ns/push"``.
    operations : int
        How many of them `work` does.
    """

    def __init__(self, who: str, unit: str, operations: int) -> None:
        super().__init__(who)
        self.unit = unit
        self.operations = operations

    @abstractmethod
    def work(self) -> None:
        """Do all operations."""

    def run(self) -> dict[str, float]:
        collecting = gc.isenabled()
        gc.disable()
        try:
            begin = time.perf_counter_ns()
            self.work()
            elapsed = time.perf_counter_ns() - begin
        finally:
            if collecting:
                gc.enable()
        return {self.unit: elapsed / self.operations}


@dataclass(frozen=True)
class Case:
    """Contestants that do the same work: those of fastrec, and what they are compared with."""

    name: str
    ours: Sequence[Contestant]
    rivals: Sequence[Contestant] = ()


@dataclass(frozen=True)
class Claim:
    """What is said of a case: the best run of `over`, divided by the best run of `under`, against a target.

    Of several contestants the best one counts. Without `under` it is the figure itself that is held against
    the target. Of samples it may also be the percentile of all runs together, for what is rare is in few of
    them.

    Attributes
    ----------
    id : str
        Ends in ``.at_least`` or ``.at_most``, which is how `target` is meant.
    case, over, under : str
        Name of the case and the contestants; of these also several. `under` may be None.
    target : float
    unit : str, optional
        Which figures of the case, where there are several: ``"ns late, p99"``.
    pooled : bool
        Compare all runs together, not the best.
    floor : float
        Figures below it are taken for it: they cannot be measured.
    worst : bool
        Compare the worst runs, not the best: of what must never happen.
    """

    id: str
    case: str
    over: str | Sequence[str]
    under: str | Sequence[str] | None
    target: float
    unit: str | None = None
    pooled: bool = False
    floor: float = 0.0
    worst: bool = False

    def judge(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The claim with its ratio, as JSON has it."""
        choose = max if self.worst else min
        figures = {
            row["who"]: max(self.floor, row["pooled"] if self.pooled else choose(row["runs"]))
            for row in rows
            if row["case"] == self.case and self.unit in (None, row["unit"])
        }

        def best(who: str | Sequence[str]) -> float:
            return min(figures[name] for name in ([who] if isinstance(who, str) else who))

        ratio = best(self.over) / (1.0 if self.under is None else best(self.under))
        holds = ratio >= self.target if self.id.endswith(".at_least") else ratio <= self.target
        return {"id": self.id, "ratio": ratio, "target": self.target, "holds": holds}


@dataclass(frozen=True)
class Bench:
    """Cases and what is claimed of them. Contestants of all cases are closed at the end."""

    cases: Sequence[Case]
    claims: Sequence[Claim] = field(default=())


def measure(
    name: str, bench: Bench, conditions: dict[str, Any], say: Callable[[str], object] = print
) -> dict[str, Any]:
    """Run a benchmark and say what came out.

    Every contestant first makes one run that is checked and not counted; then each makes `RUNS` runs, in
    turn with the others of its case (A B C A B C ...), every one of which is checked as well.

    Parameters
    ----------
    name : str
    bench : Bench
    conditions : dict
        What `machine` returned.
    say : callable
        Takes a line of the report.

    Returns
    -------
    dict
        ``{"bench", "checked": True, "machine", "rows": [{"case", "who", "unit", "runs", "median"}],
        "claims": [{"id", "ratio", "target", "holds"}]}``; of samples a row for each of `PERCENTILES`, with
        ``"pooled"``, that of all runs together.

    Raises
    ------
    WrongAnswerError
        There are no figures then, not even those of the others.
    """
    rows: list[dict[str, Any]] = []
    with ExitStack() as closing:
        for case in bench.cases:
            for contestant in (*case.ours, *case.rivals):
                closing.callback(contestant.close)
        for case in bench.cases:
            found = _alternate(case)
            rows += found
            _report(case, found, say)
    claims = [claim.judge(rows) for claim in bench.claims]
    if claims:
        say("\nclaims (ratios of the best of alternating runs, or of all together)")
    for claim in claims:
        relation = ">=" if claim["id"].endswith(".at_least") else "<="
        verdict = "holds" if claim["holds"] else "DOES NOT HOLD"
        say(f"  {claim['id']:42} {claim['ratio']:8.3f}   target {relation} {claim['target']:<5g} {verdict}")
    return {"bench": name, "checked": True, "machine": conditions, "rows": rows, "claims": claims}


def _alternate(case: Case) -> list[dict[str, Any]]:
    contestants = (*case.ours, *case.rivals)
    if len({contestant.who for contestant in contestants}) < len(contestants):
        raise BenchmarkError(f"case {case.name!r}: two contestants of one name; rename one")
    runs: dict[tuple[str, str], list[float | np.ndarray]] = {}
    for turn in range(RUNS + 1):
        for contestant in contestants:
            contestant.prepare(turn)
            figures = contestant.run()
            contestant.check()
            for unit, figure in figures.items() if turn else ():
                runs.setdefault((contestant.who, unit), []).append(figure)
    rows = []
    for (who, unit), figures in runs.items():
        if not isinstance(figures[0], np.ndarray):
            rows.append(_row(case, who, unit, figures))
            continue
        together = np.concatenate(figures)
        for name, share in PERCENTILES.items():
            row = _row(case, who, f"{unit}, {name}", [float(np.percentile(run, share)) for run in figures])
            rows.append(row | {"pooled": float(np.percentile(together, share))})
    return rows


def _row(case: Case, who: str, unit: str, figures: Sequence[float]) -> dict[str, Any]:
    return {
        "case": case.name,
        "who": who,
        "unit": unit,
        "runs": figures,
        "median": statistics.median(figures),
    }


def _report(case: Case, rows: Sequence[dict[str, Any]], say: Callable[[str], object]) -> None:
    ours = {contestant.who for contestant in case.ours}
    for unit in dict.fromkeys(row["unit"] for row in rows):
        table = [row for row in rows if row["unit"] == unit]
        say(f"\n{case.name} [{unit}]".ljust(49) + f"{'median':>10}   {_runs(table)}")
        for row in table:
            runs = " ".join(f"{figure:.1f}" for figure in row["runs"])
            together = f"; all together {row['pooled']:.1f}" if "pooled" in row else ""
            say(f"  {row['who']:45} {row['median']:10.1f}   {runs}{together}")
        best = min(min(row["runs"]) for row in table if row["who"] in ours)
        for row in table:
            if row["who"] not in ours and min(row["runs"]) < best:
                say(f"  ! {row['who']} wins: {min(row['runs']):.1f} against {best:.1f}")


def _runs(table: Sequence[dict[str, Any]]) -> str:
    count = len(table[0]["runs"])
    return f"{count} runs" if count > 1 else "1 run"


def compiler(*, plus: bool = False) -> str:
    """Command of the machine's C compiler, or of the one for C++."""
    return os.environ.get("CXX", "c++") if plus else os.environ.get("CC", "cc")


def machine(*, quick: bool) -> dict[str, Any]:
    """Where and with what the figures were made.

    Returns
    -------
    dict
        ``cpu cores kernel python numpy compiler fastrec rivals load quick``; `load` is the load average of
        the last minute before the start, `quick` that these are no figures to quote.
    """
    try:
        command = [*compiler().split(), "--version"]
        version = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchmarkError(f"no C compiler {compiler()!r} ({error}); install gcc, or set CC") from error
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "compiler": version.stdout.splitlines()[0],
        "fastrec": fastrec.__version__,
        "rivals": ", ".join(f"{name} {_version(name)}" for name in RIVALS),
        "load": round(os.getloadavg()[0], 2),
        "quick": quick,
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        label, _, value = line.partition(":")
        if label.strip() == "model name":
            return value.strip()
    return platform.machine()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def names() -> list[str]:
    """All benchmarks there are."""
    return sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def find(name: str) -> tuple[Callable[[bool], Bench], str]:
    """The function that makes a benchmark (told whether to be quick), and what it is about."""
    if name not in names():
        raise BenchmarkError(f"no benchmark {name!r}; there are {', '.join(names())}")
    module = importlib.import_module(f"benchmarks.bench_{name}")
    return module.bench, (module.__doc__ or "").splitlines()[0]


def run(chosen: Sequence[str], *, quick: bool) -> list[dict[str, Any]]:
    """Run benchmarks by name, print the reports, and return what `measure` did."""
    conditions = machine(quick=quick)
    results = []
    for name in chosen:
        make, about = find(name)
        print(f"{name}: {about}")
        print(", ".join(f"{key} {value}" for key, value in conditions.items() if key != "quick"))
        if quick:
            print("quick: the answers are checked, the figures are not to be quoted")
        results.append(measure(name, make(quick), conditions))
        print("every answer was checked\n")
        sys.stdout.flush()
    return results
