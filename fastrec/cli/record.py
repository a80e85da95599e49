"""``fastrec record SOURCE``: poll sources into a recording, until its time is up or a signal comes."""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from fastrec.channel import Channel
from fastrec.cli import defaults, keeping, sources, values
from fastrec.cli.bench import Bench
from fastrec.cli.defaults import CommandRecorder
from fastrec.cli.ending import Ending
from fastrec.cli.fields import tell_renamed
from fastrec.cli.output import complain, say, say_json, visible
from fastrec.cli.progress import progress
from fastrec.cli.sources import Wanted
from fastrec.cli.summary import late, lost, show_channel, show_next, show_place
from fastrec.cli.values import Misuse
from fastrec.errors import RecordingError, SourceError
from fastrec.living import living
from fastrec.recording.writing.rings import home_of
from fastrec.sources.source import Living
from fastrec.stats import RecorderStats

__all__ = ["add_arguments", "default_path", "run"]

FOR_A_FILE = True

_TICK = 0.1  # s from look to look; a signal ends a recording that much later at most


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    sources.add_arguments(parser)
    parser.add_argument(
        "--duration",
        type=values.duration,
        metavar="TIME",
        help='how long: "90s", "20min"; 3 is 3 s; default: to the end of sources that end, or Ctrl-C',
    )
    parser.add_argument(
        "--records", type=values.count, metavar="N", help="end once every channel has at least N records"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="folder to create, or to go on with; default: NAME.fastrec, then NAME-2.fastrec",
    )
    defaults.add_arguments(parser)
    keeping.add_arguments(parser)
    parser.add_argument(
        "--metadata",
        type=values.pair,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="stored with the recording",
    )
    parser.add_argument(
        "--traceback", action="store_true", help="tell an error of FILE.py frame by frame, too"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help="print the statistics as JSON")


def default_path(name: str) -> Path:
    """``NAME.fastrec`` here, or the first of ``NAME-2.fastrec``, ``NAME-3.fastrec`` ... that is free."""
    candidates = itertools.chain(
        [f"{name}.fastrec"], (f"{name}-{count}.fastrec" for count in itertools.count(2))
    )
    return Path(next(candidate for candidate in candidates if not os.path.lexists(candidate)))


def run(options: argparse.Namespace) -> int:
    """Record."""
    try:
        usual, wanted, kept = defaults.said(options), sources.chosen(options), keeping.said(options)
    except Misuse as wrong:
        complain(str(wrong))
        return 2
    file = sources.file_of(options)
    if options.rest and not file:
        complain(f"{options.rest[0]} behind -- is for a file such as bench.py, and there is none")
        return 2
    path = Path(options.output or default_path(file.stem if file else next(iter(wanted))))
    with Ending() as ending:
        recorder = CommandRecorder(path, usual, metadata=dict(options.metadata) or None, **kept)
        bench = file and Bench(file, options.rest, ending, quiet=options.json, traced=options.traceback)
        try:
            _fill(recorder, wanted, bench)
            if not options.quiet:
                tell_renamed(channel.schema for channel in recorder.channels.values())
            recorder.start()
            made = home_of(path)
            ended_by = _watch(recorder, options, ending)
        except BaseException:
            for failure in _ended(recorder, bench):
                complain(str(failure) or "interrupted")
            raise
        failures = _ended(recorder, bench)
    outcomes = {name: source.outcome for name, source in _living(recorder).items()}
    closed = not any(isinstance(failure, RecordingError) for failure in failures)
    if options.json:
        channels = {
            name: stats.as_dict() | ({"outcome": outcomes[name]} if name in outcomes else {})
            for name, stats in recorder.stats.items()
        }
        say_json({"path": str(path), "closed": closed, "ended_by": ended_by, "channels": channels})
    elif not options.quiet:
        there = home_of(path) == made
        _show(path, wanted, recorder, outcomes, closed=closed, there=there)
    for failure in failures[1:]:
        complain(str(failure) or "interrupted")
    if failures:
        raise failures[0]
    return 0


def _fill(recorder: CommandRecorder, wanted: Mapping[str, Wanted], bench: Bench | None) -> None:
    if bench is not None:
        bench.setup(recorder)
    for name, one in wanted.items():
        recorder.add(name, one.source, rate=one.rate)
    recorder.check_ignored()


def _ended(recorder: CommandRecorder, bench: Bench | None) -> list[BaseException]:
    """What went wrong in the end: it is told after what was recorded."""
    failures: list[BaseException] = []
    try:
        recorder.stop()
    except RecordingError as error:
        failures.append(error)
    if bench is not None:
        try:
            bench.teardown(recorder)
        except (SourceError, KeyboardInterrupt) as error:
            failures.append(error)
        finally:
            bench.close()
    return failures


def _show(
    path: Path,
    wanted: Mapping[str, Wanted],
    recorder: CommandRecorder,
    outcomes: Mapping[str, str],
    *,
    closed: bool,
    there: bool,
) -> None:
    stats = recorder.stats
    show_place(path, closed=closed, there=there)
    for name, channel in recorder.channels.items():
        show_channel(name, _what(channel, wanted.get(name)), stats[name], channel.ring.first)
        if name in outcomes:
            say(f"  outcome   {visible(outcomes[name])}")
    if there:
        show_next(path, next((name for name, one in stats.items() if one.written), None))


def _what(channel: Channel, wanted: Wanted | None) -> str:
    """What was recorded, and how often."""
    if channel.source is None:
        return f"{channel.schema.name}, pushed"
    rate = wanted.rate if wanted else channel.options.rate
    text = wanted.text if wanted else getattr(channel.source, "name", type(channel.source).__name__)
    return f"{text} flat out" if rate == "max" else f"{text} at {rate} Hz"


def _living(recorder: CommandRecorder) -> dict[str, Living]:
    """Sources that come to an end of their own, by channel."""
    return {channel.name: channel.source for channel in living(recorder.channels.values())}


def _watch(recorder: CommandRecorder, options: argparse.Namespace, ending: Ending) -> str:
    """Wait for the end; what it was that came first."""
    lives = _living(recorder).values()
    told = options.duration is not None or options.records is not None
    began = time.monotonic_ns()
    total = options.records if options.duration is None else options.duration
    with progress(total, wanted=not (options.quiet or options.json)) as show:
        while True:
            now, stats = time.monotonic_ns() - began, recorder.stats
            firsts = {name: channel.ring.first for name, channel in recorder.channels.items()}
            least = min(one.published - firsts.get(name, 0) for name, one in stats.items())
            show(least if options.duration is None else now, _line(now, stats, firsts))
            if ending.signal is not None:
                return signal.Signals(ending.signal).name
            if recorder.stopped:
                return "stop"
            if options.records is not None and least >= options.records:
                return "records"
            if lives and not told and all(source.ended for source in lives):
                return "source"
            left = _TICK if options.duration is None else (options.duration - now) / 1e9
            if left <= 0:
                return "duration"
            time.sleep(min(_TICK, left))


def _line(elapsed_ns: int, stats: RecorderStats, firsts: Mapping[str, int]) -> str:
    channels = (
        f"{name}: {one.published - firsts.get(name, 0):,} recorded, {lost(one):,} lost,"
        f" late {late(one.lateness.p99)}"
        for name, one in stats.items()
    )
    return "  ".join([f"{elapsed_ns / 1e9:.1f} s", *channels, "Ctrl-C ends it"])
