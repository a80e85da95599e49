"""``fastrec record SOURCE``: poll sources into a recording, until its time is up or a signal comes."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from fastrec.cli import sources
from fastrec.cli.output import say, say_json, visible
from fastrec.cli.progress import progress
from fastrec.cli.sources import Wanted
from fastrec.cli.summary import late, lost, show_channel, show_next, show_place
from fastrec.errors import RecordingError, SchemaError, SourceError
from fastrec.living import living
from fastrec.recorder import Recorder
from fastrec.schema.states import fields_below
from fastrec.sources.source import Living
from fastrec.stats import RecorderStats
from fastrec.times import parse_duration

__all__ = ["Ending", "add_arguments", "default_path", "run"]

_TICK = 0.1  # s from look to look; a signal ends a recording that much later at most


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    sources.add_arguments(parser)
    parser.add_argument(
        "--duration",
        type=_duration,
        metavar="TIME",
        help='how long: "90s", "20min"; 3 is 3 s; default: to the end of sources that end, or Ctrl-C',
    )
    parser.add_argument(
        "--records", type=_count, metavar="N", help="end once every channel has at least N records"
    )
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="folder to create; default: NAME.fastrec, then NAME-2.fastrec"
    )
    parser.add_argument(
        "--capacity",
        type=_capacity,
        metavar="N|TIME",
        help='of the ring: records, or a duration such as "10s"',
    )
    parser.add_argument(
        "--when-full",
        choices=("overwrite", "drop"),
        default="overwrite",
        help="what gives way when the disk is too slow: the oldest records (default) or the new ones",
    )
    parser.add_argument(
        "--store",
        choices=("every", "changes"),
        default="every",
        help="a record for every poll (default), or for every change and how long it lasted",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="FIELD",
        help="a field, or a struct of them, that may differ without being a change; needs --store changes",
    )
    parser.add_argument(
        "--heartbeat",
        type=_time,
        metavar="TIME",
        help="how often a state that lasts is put down; default 1s; needs --store changes",
    )
    parser.add_argument(
        "--flush",
        type=_time,
        default="100ms",
        metavar="TIME",
        help="how long a record may wait for the disk; default 100ms",
    )
    parser.add_argument(
        "--durability",
        type=lambda text: text if text in ("commit", "never") else _time(text),
        default="1s",
        metavar="TIME|commit|never",
        help="how often what was written is made to survive a loss of power; default 1s",
    )
    parser.add_argument(
        "--realtime",
        type=_priority,
        nargs="?",
        const=True,
        metavar="N",
        help="poll with real-time priority N, 1 to 50 (default 10); the system may refuse it, which is told",
    )
    parser.add_argument(
        "--affinity",
        type=_processors,
        metavar="LIST",
        help="processors to poll on, such as 1 or 0,2-3; the system may refuse it, which is told",
    )
    parser.add_argument(
        "--lock-memory",
        action="store_true",
        help="keep the rings in memory; the system may refuse it, which is told",
    )
    parser.add_argument(
        "--metadata",
        type=_pair,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="stored with the recording",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help="print the statistics as JSON")


def _time(text: str) -> str:
    try:
        parse_duration(text)
    except SchemaError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _duration(text: str) -> int:
    bare = re.fullmatch(r"[0-9.]+", text.strip())
    return parse_duration(_time(f"{text.strip()}s" if bare else text))


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records above 0")
    return int(text)


def _capacity(text: str) -> int | str:
    return _count(text) if text.isdecimal() else _time(text)


def _priority(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no priority; write --realtime=10, or --realtime last")
    return int(text)


def _processors(text: str) -> frozenset[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        bounds = re.fullmatch("([0-9]{1,4})(?:-([0-9]{1,4}))?", part)
        several = range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1) if bounds else ()
        if not several:
            raise argparse.ArgumentTypeError(f"{text!r} are no processors; write 1 or 0,2-3")
        numbers.update(several)
    return frozenset(numbers)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no metadata; write KEY=VALUE")
    return key, value


class Ending:
    """Within it SIGINT, SIGTERM and SIGHUP are a wish to end, not an exception in the middle of something.

    Attributes
    ----------
    signal : int or None
        Which one came.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python lets the main thread alone handle signals; on others they are the caller's business.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                # nohup: a closed terminal is no reason to end.
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number


def default_path(name: str) -> Path:
    """``NAME.fastrec`` here, or the first of ``NAME-2.fastrec``, ``NAME-3.fastrec`` ... that is free."""
    candidates = itertools.chain(
        [f"{name}.fastrec"], (f"{name}-{count}.fastrec" for count in itertools.count(2))
    )
    return Path(next(candidate for candidate in candidates if not os.path.lexists(candidate)))


def run(options: argparse.Namespace) -> int:
    """Record."""
    wanted = sources.chosen(options)
    if wanted is None:
        return 2
    ignored = _ignored(wanted, options)
    path = Path(options.output) if options.output else default_path(next(iter(wanted)))
    with Ending() as ending:
        recorder = _prepared(path, wanted, ignored, options)
        try:
            recorder.start()
            ended_by = _watch(recorder, options, ending)
        finally:
            failure = _stopped(recorder)
    outcomes = {name: source.outcome for name, source in _living(recorder).items()}
    if options.json:
        channels = {
            name: stats.as_dict() | ({"outcome": outcomes[name]} if name in outcomes else {})
            for name, stats in recorder.stats.items()
        }
        say_json({"path": str(path), "closed": failure is None, "ended_by": ended_by, "channels": channels})
    elif not options.quiet:
        _show(path, wanted, recorder.stats, outcomes, closed=failure is None)
    if failure:
        raise failure
    return 0


def _ignored(wanted: dict[str, Wanted], options: argparse.Namespace) -> dict[str, list[str]]:
    """What `--ignore` means for each channel; a field that none of them has is refused."""
    for name, value in (("--ignore", options.ignore), ("--heartbeat", options.heartbeat)):
        if value and options.store != "changes":
            raise SourceError(f"{name} needs --store changes; every poll is recorded otherwise")
    found: dict[str, list[str]] = {channel: [] for channel in wanted}
    for path in options.ignore:
        errors = []
        for channel, one in wanted.items():
            if one.source.schema is None:
                continue  # what cannot be recorded is told when it is added
            try:
                found[channel] += [field.name for field in fields_below(one.source.schema, path)]
            except SchemaError as error:
                errors.append(error)
        if len(errors) == len(wanted):
            raise errors[0]
    return found


def _prepared(
    path: Path, wanted: dict[str, Wanted], ignored: dict[str, list[str]], options: argparse.Namespace
) -> Recorder:
    recorder = Recorder(
        path,
        flush=options.flush,
        durability=None if options.durability == "never" else options.durability,
        metadata=dict(options.metadata),
    )
    try:
        for name, one in wanted.items():
            recorder.add(
                name,
                one.source,
                rate=one.rate,
                capacity=options.capacity,
                when_full=options.when_full,
                store=options.store,
                ignore=ignored[name],
                heartbeat=options.heartbeat or "1s",
                realtime=options.realtime,
                affinity=options.affinity,
                lock_memory=options.lock_memory,
            )
    except BaseException:
        recorder.stop()
        raise
    return recorder


def _stopped(recorder: Recorder) -> RecordingError | None:
    """What kept the recording from being closed: it is told after what was recorded."""
    try:
        recorder.stop()
    except RecordingError as error:
        return error
    return None


def _show(
    path: Path, wanted: dict[str, Wanted], stats: RecorderStats, outcomes: dict[str, str], *, closed: bool
) -> None:
    show_place(path, closed=closed)
    for name, one in wanted.items():
        pace = "flat out" if one.rate == "max" else f"at {one.rate} Hz"
        show_channel(name, f"{one.text} {pace}", stats[name])
        if name in outcomes:
            say(f"  outcome   {visible(outcomes[name])}")
    show_next(path, next((name for name, one in stats.items() if one.written), None))


def _living(recorder: Recorder) -> dict[str, Living]:
    """Sources that come to an end of their own, by channel."""
    return {channel.name: channel.source for channel in living(recorder.channels.values())}


def _watch(recorder: Recorder, options: argparse.Namespace, ending: Ending) -> str:
    """Wait for the end; what it was that came first."""
    lives = _living(recorder).values()
    told = options.duration is not None or options.records is not None
    began = time.monotonic_ns()
    total = options.records if options.duration is None else options.duration
    with progress(total, wanted=not (options.quiet or options.json)) as show:
        while True:
            now, stats = time.monotonic_ns() - began, recorder.stats
            least = min(channel.published for channel in stats.values())
            show(least if options.duration is None else now, _line(now, stats))
            if ending.signal is not None:
                return signal.Signals(ending.signal).name
            if options.records is not None and least >= options.records:
                return "records"
            if lives and not told and all(source.ended for source in lives):
                return "source"
            left = _TICK if options.duration is None else (options.duration - now) / 1e9
            if left <= 0:
                return "duration"
            time.sleep(min(_TICK, left))


def _line(elapsed_ns: int, stats: RecorderStats) -> str:
    channels = (
        f"{name}: {one.published:,} recorded, {lost(one):,} lost, late {late(one.lateness.p99)}"
        for name, one in stats.items()
    )
    return "  ".join([f"{elapsed_ns / 1e9:.1f} s", *channels, "Ctrl-C ends it"])
