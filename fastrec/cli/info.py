"""``fastrec info RUN``: what is in a recording, without reading its records."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastrec.cli.fields import about_field, meaning_of, type_of
from fastrec.cli.losses import by_cause, told
from fastrec.cli.output import byte_count, folder_bytes, mendable, plural, say, say_json, table, visible
from fastrec.durations import format_duration
from fastrec.errors import FastrecError
from fastrec.recording import Recording, open
from fastrec.recording.channel import Channel
from fastrec.recording.ends import End
from fastrec.recording.writing.remains import Remains, remains
from fastrec.records.plain import date
from fastrec.schema import Field
from fastrec.times import Clock

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("run", metavar="RUN", help="folder of the recording")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(options: argparse.Namespace) -> int:
    """Say what there is; 1 if something of it is damaged."""
    recording = open(options.run)
    about = _about(recording)
    if options.json:
        say_json(about)
    else:
        _show(about, recording)
    return 1 if about["problems"] else 0


def _about(recording: Recording) -> dict[str, Any]:
    problems, ends = recording.problems, recording.ends
    channels: dict[str, Any] = {}
    stats, left = recording.stats, remains(recording)
    for name in recording:
        try:
            channels[name] = _about_channel(recording, name, stats.get(name, {}), ends.get(name), left)
        except FastrecError as error:
            if str(error) not in problems:
                problems.append(str(error))
    clock, info = recording.clock, recording.info
    starts = [one["start_ns"] for one in channels.values() if one["start_ns"] is not None]
    ends = [one["end_ns"] for one in channels.values() if one["end_ns"] is not None]
    return {
        "path": str(recording.path),
        "state": recording.state,
        "uuid": recording.uuid,
        "host": info.get("host"),
        "tool": info.get("tool"),
        "timezone": info.get("timezone"),
        "start": date(clock, min(starts, default=None)),
        "end": date(clock, max(ends, default=None)),
        "duration_ns": max(ends) - min(starts) if starts else None,
        "bytes": folder_bytes(recording.path),
        "sessions": len(recording.sessions),
        "starts": [_start(clock, one) for one in recording.sessions],
        "clock_events": [
            {
                "kind": event.kind,
                "after": date(clock, event.after),
                "before": date(clock, event.before),
                "after_ns": event.after,
                "before_ns": event.before,
                "by_ns": event.by_ns,
            }
            for event in recording.clock_events
        ],
        "metadata": info.get("metadata"),
        "marks": [
            {"mono_ns": mark.mono_ns, "time": date(clock, mark.mono_ns), "kind": mark.kind, "text": mark.text}
            for mark in recording.marks
        ],
        "windows": [_about_window(name, window) for name, window in _windows(recording, problems)],
        "problems": problems,
        "waiting": left.waiting,
        "notes": left.notes,
        "channels": channels,
    }


def _windows(recording: Recording, problems: list[str]) -> Iterator[tuple[str, Recording]]:
    try:
        for name in recording.windows:
            try:
                yield name, recording.windows[name]
            except FastrecError as error:
                problems.append(str(error))
    except FastrecError as error:  # one of them is a link
        problems.append(str(error))


def _about_window(name: str, window: Recording) -> dict[str, Any]:
    fired = next((mark for mark in window.marks if mark.kind in ("trigger", "fire")), None)
    return {
        "name": name,
        "mono_ns": fired and fired.mono_ns,
        "time": fired and date(window.clock, fired.mono_ns),
        "why": fired and fired.text,
        "bytes": folder_bytes(window.path),
    }


def _start(clock: Clock, session: Mapping[str, Any]) -> dict[str, Any]:
    start = session.get("start_ns")
    return {"time": date(clock, start) if type(start) is int else None, **session}


def _about_channel(
    recording: Recording, name: str, stats: dict[str, Any], end: End | None, left: Remains
) -> dict[str, Any]:
    records = recording[name]
    channel = Channel(recording.path, bytes.fromhex(recording.uuid), name)
    schema, folder = channel.schema, recording.path / "channels" / name
    return {
        "rate": channel.options.get("rate"),
        "store": channel.store,
        "records": len(records),
        "polls": records.polls,
        "record_bytes": schema.storage(channel.store).itemsize,
        "bytes": folder_bytes(folder),
        "segments": len(list(folder.glob("records.*.npy"))),
        "start": date(records.clock, records.start),
        "end": date(records.clock, records.end),
        "start_ns": records.start,
        "end_ns": records.end,
        "ends": None if end is None else {"record": end.end, "time_ns": end.time, "why": end.why},
        "gaps": by_cause(records.gaps, left.begins.get(name)),
        "texts_lost": lost if isinstance(lost := stats.get("texts_lost"), int) else None,
        "schema": {
            "name": schema.name,
            "bytes": schema.size,
            "abi": schema.abi,
            "byteorder": schema.byteorder,
            "digest": schema.digest,
            "fields": [about_field(field) for field in schema.fields],
        },
    }


def _show(about: dict[str, Any], recording: Recording) -> None:
    say(f"{visible(about['path'])}: {about['state']}, {byte_count(about['bytes'])}")
    where = [("host", about["host"]), ("by", about["tool"]), ("zone", about["timezone"])]
    lines = [(name, visible(str(value))) for name, value in where]
    if about["duration_ns"] is not None:
        lines += [
            ("start", str(about["start"])),
            ("end", str(about["end"])),
            ("length", format_duration(about["duration_ns"])),
        ]
    if about["sessions"] > 1:
        lines += [("session", visible(_told_session(one))) for one in about["starts"]]
    lines += [_told_event(event) for event in about["clock_events"]]
    if isinstance(about["metadata"], dict):
        lines += [("metadata", visible(f"{key} = {value}")) for key, value in about["metadata"].items()]
    lines += [
        ("mark", visible(f"{mark['time'] or mark['mono_ns']} {mark['text']}")) for mark in about["marks"]
    ]
    lines += [
        ("window", visible(f"{one['time'] or one['mono_ns']} {one['why']}: windows/{one['name']}"))
        for one in about["windows"]
    ]
    table(lines, indent="  ")
    for name, channel in about["channels"].items():
        _show_channel(name, channel, recording[name].schema.fields, unclean=about["state"] == "unclean")
    for problem in about["problems"]:
        say(f"damaged: {visible(problem)}")
    if about["problems"]:
        say(visible(mendable(about["path"])))
    for note in about["notes"]:
        say(f"note: {visible(note)}")


def _told_session(one: Mapping[str, Any]) -> str:
    when = one["time"] or one.get("start_ns")
    return f"{one.get('session')} from {when}, boot {one.get('boot_id')}, {one.get('clock')} clock"


def _told_event(event: Mapping[str, Any]) -> tuple[str, str]:
    by, between = event["by_ns"], f"between {event['after']} and {event['before']}"
    if event["kind"] == "suspend":
        return "slept", f"for {format_duration(by)} {between}"
    return "clock", f"set {'back' if by < 0 else 'forward'} by {format_duration(abs(by))} {between}"


def _show_channel(name: str, channel: dict[str, Any], fields: Iterable[Field], *, unclean: bool) -> None:
    schema = channel["schema"]
    rate = {None: "pushed", "max": "flat out"}.get(channel["rate"], f"at {channel['rate']} Hz")
    held = f" of {plural(channel['polls'], 'poll')}" if channel["store"] == "changes" else ""
    say(f"{name}: {plural(channel['records'], 'record')}{held}, {visible(rate)}")
    each = f"{channel['record_bytes']:,} bytes each, {plural(channel['segments'], 'segment')}"
    lines = [("store", "changes")] if channel["store"] == "changes" else []
    lines += [("lost", told(channel["gaps"]))]
    if channel["texts_lost"]:
        lines.append(("texts", f"{channel['texts_lost']:,} could not be read or kept"))
    lines += [
        ("start", str(channel["start"])),
        ("end", str(channel["end"])),
    ]
    if unclean and channel["ends"]:
        lines.append(
            ("ends", visible(f"before record {channel['ends']['record']:,}: {channel['ends']['why']}"))
        )
    lines += [
        ("size", f"{byte_count(channel['bytes'])}, {each}"),
        (
            "schema",
            visible(f"{schema['name']}, {schema['bytes']:,} bytes, {schema['abi']}, {schema['digest']}"),
        ),
    ]
    table(lines, indent="  ")
    rows = [(field.name, type_of(field), field.unit, meaning_of(field)) for field in fields]
    table([tuple(map(visible, row)) for row in rows], indent="    ")
