"""``fastrec recover SRC DST``: save what is whole of a damaged recording, and list what is not."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from fastrec.cli.ending import ended_by_exceptions
from fastrec.cli.output import byte_count, plural, say, say_json, visible
from fastrec.cli.progress import progress
from fastrec.recording import Recovery, Torn
from fastrec.recording.recovering.recover import recover

__all__ = ["add_arguments", "run"]

_LOSSY = 3
_MOST_LINES = 100  # of one kind; --json has them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("source", metavar="SRC", help="folder of the recording; it is not changed")
    parser.add_argument("target", metavar="DST", help="folder to create")
    parser.add_argument(
        "--salvage",
        action="store_true",
        help="take, and mark, whole rows that no index row tells of, too: those beyond the last index row, or"
        " of one that is damaged; never those of a block that does not match its checksum",
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.epilog = "Exit codes: 0 everything was saved, 3 something is lost or unproven, 1 it failed."


def run(options: argparse.Namespace) -> int:
    """Recover; 3 if something was lost."""
    with ended_by_exceptions(), progress(1.0, wanted=not (options.quiet or options.json)) as show:

        def tell(done: int, total: int) -> None:
            show(done / total if total else 1.0, f"{byte_count(done)} of {byte_count(total)}")

        recovery = recover(options.source, options.target, salvage=options.salvage, progress=tell)
    if options.json:
        say_json(recovery.as_dict())
    elif not options.quiet:
        _show(recovery, "")
        say(_verdict(options.target, recovery))
    return 0 if recovery.ok else _LOSSY


def _show(recovery: Recovery, place: str) -> None:
    lines = [f"problem: {place}{visible(problem)}" for problem in recovery.problems]
    lines += [f"{'mended' if torn.saved else 'torn'}: {place}{_torn(torn)}" for torn in recovery.torn]
    _say_some(lines)
    _say_some([f"note: {place}{visible(note)}" for note in recovery.notes])
    for name, channel in recovery.channels.items():
        _say_some(
            [
                f"gone: {place}{name}: {_numbers(lost.first, lost.last)}: {visible(lost.why)}"
                for lost in channel.lost
            ]
            + [f"unproven: {place}{name}: {_numbers(first, last)}" for first, last in channel.unproven]
        )
        numbers = f"numbers {channel.first:,} to {channel.end:,}" if channel.end else "no numbers"
        gone = sum(lost.last - lost.first + 1 for lost in channel.lost)
        unproven = sum(last - first + 1 for first, last in channel.unproven)
        losses = ", ".join(f"{cause} {count:,}" for cause, count in channel.losses.items())
        say(
            f"{place}{name}: {plural(channel.records, 'record')}, {numbers}, gone {gone:,}"
            + (f", unproven {unproven:,}" if unproven else "")
            + (f"; losses of the recording itself: {losses}" if losses else "")
        )
    for name, window in recovery.windows.items():
        _show(window, f"{place}windows/{visible(name)}/")


def _say_some(lines: list[str]) -> None:
    for line in lines[:_MOST_LINES]:
        say(line)
    if len(lines) > _MOST_LINES:
        say(f"... and {len(lines) - _MOST_LINES:,} more; --json has them all")


def _torn(torn: Torn) -> str:
    place = f"{torn.file}: bytes {torn.start:,} to {torn.stop:,}"
    if torn.first is not None and torn.last is not None:
        place += f", {_numbers(torn.first, torn.last)}"
    return visible(f"{place}: {torn.why}")


def _numbers(first: int, last: int) -> str:
    return f"record {first:,}" if first == last else f"records {first:,} to {last:,}"


def _verdict(target: str, recovery: Recovery) -> str:
    channels = [channel for one in _all(recovery) for channel in one.channels.values()]
    saved = sum(channel.records for channel in channels)
    if recovery.ok:
        return f"{visible(target)}: everything was saved, {plural(saved, 'record')}"
    gone = sum(lost.last - lost.first + 1 for channel in channels for lost in channel.lost)
    lost = f"{plural(gone, 'record')} gone" if gone else "not everything could be saved"
    return f"{visible(target)}: {plural(saved, 'record')} saved, {lost}"


def _all(recovery: Recovery) -> Iterator[Recovery]:
    yield recovery
    for window in recovery.windows.values():
        yield from _all(window)
