"""``fastrec record SOURCE``: poll sources into a recording; its time, a signal or a command ends it."""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from fastrec.channel import Channel
from fastrec.cli import defaults, keeping, record_command, sources, triggers, values
from fastrec.cli.bench import Bench
from fastrec.cli.defaults import CommandRecorder
from fastrec.cli.ending import Ending
from fastrec.cli.fields import tell_renamed
from fastrec.cli.output import complain, say, say_json, visible
from fastrec.cli.progress import progress
from fastrec.cli.record_command import Command
from fastrec.cli.sources import Wanted
from fastrec.cli.summary import late, lost, show_channel, show_next, show_place
from fastrec.cli.values import Misuse
from fastrec.errors import RecordingError, SourceError
from fastrec.living import living
from fastrec.recording.writing.rings import home_of
from fastrec.sources.source import Living
from fastrec.stats import RecorderStats

__all__ = ["add_arguments", "default_path", "run"]

FOR_OTHERS = True

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
    triggers.add_arguments(parser)
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
    record_command.add_arguments(parser)


def default_path(name: str) -> Path:
    """``NAME.fastrec`` here, or the first of ``NAME-2.fastrec``, ``NAME-3.fastrec`` ... that is free."""
    candidates = itertools.chain(
        [f"{name}.fastrec"], (f"{name}-{count}.fastrec" for count in itertools.count(2))
    )
    return Path(next(candidate for candidate in candidates if not os.path.lexists(candidate)))


def run(options: argparse.Namespace) -> int:
    """Record."""
    file = sources.file_of(options)
    try:
        arguments, argv = record_command.split(options.rest, file)
        command = Command(argv, quiet=options.json) if argv else None
        usual, wanted, kept = defaults.said(options), sources.chosen(options), keeping.said(options)
    except Misuse as wrong:
        complain(str(wrong))
        return 2
    if command is not None and (refusal := command.refusal()) is not None:
        complain(refusal[1])
        return refusal[0]
    path = Path(options.output or default_path(file.stem if file else next(iter(wanted))))
    with Ending() as ending:
        recorder = CommandRecorder(path, usual, metadata=dict(options.metadata) or None, **kept)
        bench = file and Bench(file, arguments, ending, quiet=options.json, traced=options.traceback)
        try:
            _fill(recorder, wanted, bench)
            added = triggers.Added(recorder, options)
            if not options.quiet:
                tell_renamed(channel.schema for channel in recorder.channels.values())
            recorder.start()
            made = home_of(path)
            with command.running(recorder, ending) if command else nullcontext():
                ended_by = _watch(recorder, options, ending, command)
        except BaseException:
            for failure in _ended(recorder, bench):
                complain(str(failure) or "interrupted")
            raise
        failures = _ended(recorder, bench)
    outcomes = {name: source.outcome for name, source in _living(recorder).items()}
    closed = not any(isinstance(failure, RecordingError) for failure in failures)
    with command.telling() if command else nullcontext():
        if options.json:
            channels = {
                name: stats.as_dict() | ({"outcome": outcomes[name]} if name in outcomes else {})
                for name, stats in recorder.stats.items()
            }
            about = {"command": command.as_dict()} if command else {}
            about = {"path": str(path), "closed": closed, "ended_by": ended_by, **about}
            about |= {"triggers": told} if (told := added.as_list()) else {}
            say_json(about | {"channels": channels})
        elif not options.quiet:
            if command:
                say(command.outcome)
            _show(path, wanted, recorder, outcomes, added, closed=closed, there=home_of(path) == made)
    failures = [*(command.failures if command else ()), *failures]
    code = command.failed if command else 0
    for failure in added.failures:
        complain(failure)
    for failure in failures if code else failures[1:]:
        complain(str(failure) or "interrupted")
    if failures and not code:
        raise failures[0]
    return code or int(bool(added.failures))


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
    added: triggers.Added,
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
    added.show()
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


def _watch(
    recorder: CommandRecorder, options: argparse.Namespace, ending: Ending, command: Command | None
) -> str:
    """Wait for the end; what it was that came first."""
    lives = _living(recorder).values()
    told = command is not None or options.duration is not None or options.records is not None
    # A bar would be drawn over what a command prints.
    quiet = command is not None or options.quiet or options.json
    began = time.monotonic_ns()
    total = options.records if options.duration is None else options.duration
    with progress(total, wanted=not quiet) as show:
        while True:
            now, stats = time.monotonic_ns() - began, recorder.stats
            firsts = {name: channel.ring.first for name, channel in recorder.channels.items()}
            least = min(one.published - firsts.get(name, 0) for name, one in stats.items())
            show(least if options.duration is None else now, _line(now, stats, firsts))
            if command is None and ending.signal is not None:
                return signal.Signals(ending.signal).name
            if command is not None and command.ended_by is not None:
                return command.ended_by
            if recorder.stopped:
                return "stop"
            if options.records is not None and least >= options.records:
                return "records"
            if lives and not told and all(source.ended for source in lives):
                return "source"
            left = _TICK if options.duration is None else (options.duration - now) / 1e9
            if left <= 0:
                return "duration"
            (command.wait if command else time.sleep)(min(_TICK, left))


def _line(elapsed_ns: int, stats: RecorderStats, firsts: Mapping[str, int]) -> str:
    channels = (
        f"{name}: {one.published - firsts.get(name, 0):,} recorded, {lost(one):,} lost,"
        f" late {late(one.lateness.p99)}"
        for name, one in stats.items()
    )
    return "  ".join([f"{elapsed_ns / 1e9:.1f} s", *channels, "Ctrl-C ends it"])
