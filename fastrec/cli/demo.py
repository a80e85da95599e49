"""``fastrec demo``: individualize against a server of our own, record that at 10 kHz, tell what happened."""

from __future__ import annotations

import argparse
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np

from fastrec import recording, wmdrm
from fastrec.channel import Channel
from fastrec.cli.ending import Ending
from fastrec.cli.output import byte_count, say, say_json, table, visible
from fastrec.cli.progress import progress
from fastrec.cli.record import default_path
from fastrec.cli.summary import show_channel, show_next, show_place
from fastrec.durations import format_duration
from fastrec.recorder import Recorder
from fastrec.records import Records
from fastrec.records.plain import plain
from fastrec.stats import Stats
from fastrec.wmdrm.certificate import contexts
from fastrec.wmdrm.server import FAULTS, Fault, UpgradeServer
from fastrec.wmdrm.source import IndividualizationSource

__all__ = ["add_arguments", "run"]

RATE = 10_000
SIZE = 6 << 20
SPEED = 3 << 20
LANES = ("enIndiStatus", "enHTTPStatus")
FAILS = {
    "refused": "nobody listens at the port",
    "cancel": "the user cancels after a third of the download",
    "no-length": "no failure, but nobody says how much will come",
    **FAULTS,
}

_TICK = 0.05
_AFTERWARDS = 200  # records of the final state
_CANCEL_AT = 1 / 3
_PATIENCE = 30.0  # s that the client waits for the server
_SHORT = 1.0  # the same, where it is to end so
_BAR = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="folder to create; default: demo.fastrec, demo-2.fastrec ..."
    )
    parser.add_argument(
        "--fail",
        choices=FAILS,
        metavar="HOW",
        help="let it go wrong: " + "; ".join(f"{how}: {what}" for how, what in FAILS.items()),
    )
    parser.add_argument(
        "--https",
        action="store_true",
        help="over TLS, with a throw-away certificate that the program openssl makes",
    )
    parser.add_argument("--json", action="store_true", help="print what happened as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the demo; the failure that was asked for is no failure of the demo."""
    path = Path(options.output) if options.output else default_path("demo")
    with (
        tempfile.TemporaryDirectory() as folder,
        _source(Path(folder), options.fail, secure=options.https) as source,
        Ending() as ending,
    ):
        with Recorder(path, metadata={"demo": options.fail or "success"}) as rec:
            channel = rec.add("status", source, rate=RATE)
            _watch(source, channel, options.fail, ending, quiet=options.json)
        stats = channel.stats
    records = recording.open(path)["status"]
    if options.json:
        lanes = {field: _lane(records, field) for field in LANES}
        last = {name: plain(values)[0] for name, values in records[-1:].decode().items()}
        say_json(
            {
                "path": str(path),
                "result": str(source.client.result),
                "outcome": source.outcome,
                "last": last,
                "lanes": lanes,
                "stats": stats.as_dict(),
            }
        )
    else:
        _show(path, records, stats, source.client.error)
    return 0


@contextmanager
def _source(folder: Path, fail: str | None, *, secure: bool) -> Iterator[IndividualizationSource]:
    """A client of a server of our own, both with what they need in `folder`."""
    of_server, of_client = contexts(folder) if secure else (None, None)
    with _server(fail, of_server) as url:
        timeout = _SHORT if fail == "timeout" else _PATIENCE
        client = wmdrm.Individualization(url, folder / "upgrade.bin", timeout=timeout, context=of_client)
        yield IndividualizationSource(client)


@contextmanager
def _server(fail: str | None, context: ssl.SSLContext | None) -> Iterator[str]:
    """The URL of the first round trip."""
    if fail == "refused":
        with (
            socket.socket() as held
        ):  # bound, so that nobody else listens there; not listening, so that it refuses
            held.bind(("127.0.0.1", 0))
            scheme = "http" if context is None else "https"
            yield f"{scheme}://127.0.0.1:{held.getsockname()[1]}/individualize"
    else:
        fault = cast(Fault, fail) if fail in FAULTS else None
        told = fail != "no-length"
        with UpgradeServer(
            SIZE, rate=SPEED, with_length=told, with_size=told, context=context, fault=fault
        ) as server:
            yield server.url


def _watch(
    source: IndividualizationSource, channel: Channel, fail: str | None, ending: Ending, *, quiet: bool
) -> None:
    """Show the recorded progress until the client has ended, and its end has been recorded."""
    with progress(1.0, wanted=not quiet, lines=True) as show:
        while not source.client.wait(_TICK):
            row = channel.current()
            done, total = (
                (int(row["dwHTTPReadProgress"]), int(row["dwHTTPReadTotal"])) if row is not None else (0, 0)
            )
            fraction = done / total if total else 0.0
            show(
                fraction,
                f"{byte_count(done)} of {byte_count(total) if total else 'unknown'}, round trip {_trip(row)}",
            )
            if ending.signal is not None or (fail == "cancel" and _trip(row) == 2 and fraction >= _CANCEL_AT):
                source.client.cancel()
        seen = channel.stats.slots
        while channel.stats.slots < seen + _AFTERWARDS:
            time.sleep(_AFTERWARDS / RATE)


def _trip(row: np.void | None) -> int:
    return 1 if row is None else int(row["dwHTTPRequest"]) + 1


def _lane(records: Records, field: str) -> list[dict[str, Any]]:
    """The states a field went through; times from the first record on."""
    labels = records.schema.field(field).labels
    return [
        {
            "state": labels.name(int(interval["state"])),
            "start_ns": int(interval["start"]) - records.start,
            "duration_ns": int(interval["duration"]),
            "records": int(interval["records"]),
        }
        for interval in records.intervals(field, max_gap="1s")
    ]


def _drawn(lane: list[dict[str, Any]], whole: int) -> Iterator[tuple[str, ...]]:
    """A line a state, with its place in the run."""
    for state in lane:
        left = min(_BAR - 1, state["start_ns"] * _BAR // whole)
        width = max(1, min(_BAR - left, round(state["duration_ns"] * _BAR / whole)))
        yield (
            state["state"],
            f"+{format_duration(state['start_ns'])}",
            format_duration(state["duration_ns"]),
            f"{state['records']:,} records",
            "." * left + "#" * width + "." * (_BAR - left - width),
        )


def _show(path: Path, records: Records, stats: Stats, error: Exception | None) -> None:
    last = {name: values[0] for name, values in records[-1:].decode().items()}
    for field in LANES:
        say(f"{field}:")
        table(
            _drawn(_lane(records, field), max(1, records.end - records.start)), indent="  ", right=(1, 2, 3)
        )
        say()
    say(f"It ended with {visible(last['hr'])}, {int(records['hr'][-1]) & 0xFFFFFFFF:#010x}.")
    if error is not None:
        say(f"What the client says about it: {visible(str(error))}.")
    if last["pszIndiRespUrl"]:
        say(f"The upgrade came from {visible(last['pszIndiRespUrl'])}.")
    for trip in wmdrm.progress(records).round_trips:
        if trip.number and trip.progress:
            of = (
                "of an unknown size"
                if trip.fraction is None
                else f"of {byte_count(trip.total)} ({trip.fraction:.0%})"
            )
            say(f"Round trip {trip.number}: {byte_count(trip.progress)} {of}.")
    say()
    show_channel("status", f"GetStatus at {RATE:,} Hz", stats)
    say()
    show_place(path, closed=True)
    show_next(path, "status")
