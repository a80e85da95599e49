"""What is said at the end of a recording: counts, losses by cause, lateness, and what to try next."""

from __future__ import annotations

import shlex
from pathlib import Path

from fastrec.cli.output import byte_count, folder_bytes, plural, say, visible
from fastrec.durations import format_duration
from fastrec.privileges import GRANTED
from fastrec.stats import Quantiles, Stats

__all__ = ["late", "lost", "show_channel", "show_next", "show_place"]

_CAUSES = ("overwritten", "dropped", "missed", "failed", "disk")


def lost(stats: Stats) -> int:
    """Everything that was to be recorded and was not."""
    return sum(getattr(stats, cause) for cause in _CAUSES)


def late(ns: int) -> str:
    """One of `Quantiles` for people."""
    return "unknown" if ns < 0 else format_duration(ns)


def show_place(path: Path, *, closed: bool, there: bool = True) -> None:
    """Print where the recording lies; not `there`: it was moved or removed, and what is there is another."""
    state = "closed" if closed else "not closed"
    size = byte_count(folder_bytes(path)) if there else "no longer at this path"
    say(f"{visible(str(path))}: {state}, {size}")


def show_channel(name: str, what: str, stats: Stats, first: int = 0) -> None:
    """Print what was recorded of a channel.

    Parameters
    ----------
    name : str
    what : str
        What was recorded, and how often: ``"linux:rusage at 1000 Hz"``.
    stats : Stats
        As they were after the stop.
    first : int
        Number of its first record in this session.
    """
    causes = [f"{cause} {getattr(stats, cause):,}" for cause in _CAUSES if getattr(stats, cause)]
    say(f"{visible(name)}: {visible(what)}")
    records = f"{stats.published - first:,} of {plural(stats.slots, 'slot')}, {stats.rate:,.1f} a second"
    say(f"  records   {records}" + (f", from number {first:,} on" if first else ""))
    if stats.written < stats.published:
        say(f"  written   up to number {stats.written:,}; the recording has nothing after it")
    say(f"  lost      {lost(stats):,}" + (f": {', '.join(causes)}" if causes else ""))
    if stats.held:
        changes = f", {plural(stats.recorded, 'change')}" if stats.published - first > stats.recorded else ""
        say(f"  held      {plural(stats.held, 'equal poll')}{changes}")
    if stats.texts_lost:
        say(f"  texts     {stats.texts_lost:,} could not be read or kept")
    granted = [name for name, outcome in stats.privileges.items() if outcome == GRANTED]
    if granted:
        say(f"  granted   {', '.join(granted)}")
    for name, outcome in stats.privileges.items():
        if outcome != GRANTED:
            say(f"  refused   {name}: {outcome.removeprefix('refused: ')}")
    say(f"  lateness  {_quantiles(stats.lateness)}")
    say(f"  calls     {_quantiles(stats.duration)}, {stats.cpu:.1%} of a processor")


def _quantiles(times: Quantiles) -> str:
    shown = {"p50": times.p50, "p90": times.p90, "p99": times.p99, "p99.9": times.p999, "max": times.max}
    return ", ".join(f"{name} {late(ns)}" for name, ns in shown.items())


def show_next(path: Path, name: str | None) -> None:
    """Print commands to paste: what there is; the newest records of a channel, with fastrec and without."""
    run = shlex.quote(str(path))
    steps = [f"fastrec info {run}"]
    if name is not None:
        files = sorted((path / "channels" / name).glob("records.*.npy"))
        file = str(files[0] if files else path / "channels" / name / "records.000000.npy")
        quoted = (
            '"' + file.replace("\\", "\\\\").replace('"', '\\"') + '"'
        )  # leaves the shell its single quotes
        without = f'import numpy; print(numpy.load({quoted}, mmap_mode="r")[-1])'
        steps += [f"fastrec cat {run} {name} --last 5", f"python3 -c {shlex.quote(without)}"]
    say("next")
    for step in steps:
        say(f"  {visible(step)}")
