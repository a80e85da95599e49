"""A day of simulated time, and a century: what is due is recorded or missed, dates are right but for ms."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from programs import build, run, seeded
from recording.writer import UUID, Folder

import fastrec as fr
from fastrec.recording import layout
from fastrec.recording.opening import JSON_LIMIT
from fastrec.recording.writing import files
from fastrec.schema.gaps import Cause

pytestmark = pytest.mark.once  # programs of the headers, however they are installed

MS, S = 10**6, 10**9
DAY = 86_400
SLEW = 400e-6
"""By how much the simulated clock of dates runs faster or slower than the monotonic one, at most."""

DATES = fr.Schema.from_dtype([("called", "<i8"), ("date", "<i8"), ("number", "<u8")], name="dates")
STATE = fr.Schema.from_dtype([("state", "<u8")], name="state")
CHANNELS = {"polled": (DATES, "every"), "held": (STATE, "changes")}
ACCOUNT = ("slots", "recorded", "held", "missed", "failed", "dropped")
MARKS = ("published", "written", "durable", "overwritten", "disk")


@dataclass
class Told:
    """What the simulation told: what befell the clocks, by stamp; slot 0 and the end; accounts by channel."""

    events: list[tuple[str, int, int]]
    start: int
    end: int
    accounts: dict[str, dict[str, int]]


def simulate(program: Path, root: Path, seed: int, seconds: int, period: int, keep: int = 0) -> Told:
    """Have a recording made at `root`, and close it."""
    folder = Folder(root)
    folder.session(start=1000 * S)
    (root / "clocks.npy").write_bytes(layout.npy_header(layout.CLOCK_DTYPE))
    for name, (schema, store) in CHANNELS.items():
        dtype = schema.storage(store)
        options = {"rate": f"{S}/{period}", "capacity": 65_536, "store": store, "when_full": "overwrite"}
        options |= {"thread": "main", "heartbeat_ns": S, "clock": "monotonic", "ignore": []}
        members = {"name": name, "schema": schema.to_dict(), "digest": schema.digest}
        members |= {"record_size": dtype.itemsize, "options": options}
        files.create_channel(root, UUID, members)
        rows = (layout.GAP_ROW_DTYPE, layout.zone_dtype(len(schema.numeric)), layout.INDEX_DTYPE, dtype)
        kinds = [(b"", 1)] + [(layout.npy_header(one), one.itemsize) for one in rows]
        (root / "channels" / f"{name}.kinds").write_bytes(
            b"".join(struct.pack("<II", len(header), size) + header for header, size in kinds)
        )
    done = run(program, root, seed, seconds, period, keep)
    assert done.returncode == 0, (done.returncode, done.stderr)
    events, accounts, span = [], {}, (0, 0)
    for line in done.stdout.splitlines():
        what, *numbers = line.split()
        values = [int(number) for number in numbers]
        if what in CHANNELS:
            accounts[what] = dict(zip(ACCOUNT + MARKS, values, strict=True))
            (root / "channels" / f"{what}.kinds").unlink()
        elif what == "end":
            span = values[0], values[1]
        else:
            events.append((what, values[0], values[1]))
    totals = {
        name: {
            "records": account["published"],
            "segments": len(list((root / "channels" / name).glob("records.*"))),
            "stats": account,
        }
        for name, account in accounts.items()
    }
    files.create_closed(root, UUID, session=0, mono_ns=span[1], channels=totals)
    return Told(events, *span, accounts)


def check_accounts(run: fr.Recording, told: Told, period: int, *, kept: bool) -> None:
    """Every slot that was due has one fate; what is not in the files is in a gap."""
    due = (told.end - told.start) // period + 1
    for name, account in told.accounts.items():
        assert account["slots"] == sum(account[one] for one in ACCOUNT[1:])
        # The last slot's period is not over: it was served, or the end came before its call.
        assert account["slots"] in (due - 1, due), (name, account, due)
        assert account["published"] == account["written"] == account["durable"]
        assert account["overwritten"] == account["disk"] == account["dropped"] == 0
        records = run[name]
        lost = Counter()
        for gap in records.gaps:
            lost[Cause(gap["cause"])] += int(gap["count"])
        assert len(records) + lost[Cause.RETIRED] == account["published"]
        if not kept:
            assert set(lost) == {Cause.MISSED, Cause.FAILED} - ({Cause.FAILED} if name == "held" else set())
            assert lost[Cause.MISSED] == account["missed"] and lost[Cause.FAILED] == account["failed"]
            polls = int(records["polls"].sum()) if name == "held" else len(records)
            assert polls == account["recorded"] + account["held"]
        stamps = records["mono_ns"]
        ends = records["until_ns"] if name == "held" else stamps
        assert (stamps[1:] > ends[:-1]).all() and (ends >= stamps).all()


def check_grid(records: fr.Records, told: Told, period: int) -> None:
    """Each record was called in its own slot, however long it has run; late by the machine alone."""
    called = records["called"]
    before = np.zeros(len(called) + 1, np.int64)
    for gap in records.gaps:
        before[int(gap["seq"])] += int(gap["count"])
    slots = np.arange(len(called)) + np.cumsum(before)[: len(called)]
    late = called - (told.start + slots * period)
    # A call begins in its slot's own period; what else happens before it looks at the clock is some us.
    assert (late >= 0).all() and np.quantile(late, 0.999) < period
    hours = [np.median(part) for part in np.array_split(late, 24)]
    assert max(hours) - min(hours) < 5_000, "the grid drifts"
    assert records["number"].tolist() == list(range(len(called)))


def check_dates(run: fr.Recording, told: Told, period: int) -> None:
    """What befell the clocks is told once, in its place; dates are right but between it and a reading."""
    found = run.clock_events
    assert Counter(one.kind for one in found) == Counter(what for what, _, _ in told.events)
    # In one place the sleep comes first, on both sides.
    for event, (what, at, by) in zip(found, told.events, strict=True):
        assert event.kind == what and event.after <= at <= event.before, (event, what, at, by)
        assert event.before - at < 2 * S, "nobody noticed"
        assert abs(event.by_ns - by) <= SLEW * (event.before - event.after) + MS / 2, (event, by)
    called, date = run["polled"]["called"], run["polled"]["date"]
    off = np.abs(run.clock.walls(called) - date)
    known = np.ones(len(called), bool)
    for event, (_, at, _) in zip(found, told.events, strict=True):
        known &= ~((called >= at) & (called < event.before))
    assert (~known).sum() <= len(found) * 2 * S // period
    # Before a step dates go on from the reading before, of up to 10 s ago; else the line bends between two.
    assert off[known].max() <= SLEW * 10 * S + MS / 2
    bend = 2 * SLEW * 10 * S / 4 + MS / 2
    assert np.quantile(off[known], 0.999) <= bend


def check_sizes(run: fr.Recording, told: Told, root: Path) -> None:
    """Readings every 10 s or a round later, one more for each event; statistics of each channel as often."""
    ticks = (told.end - told.start) // (10 * S) + 2
    assert ticks * 0.99 <= len(run.readings) <= ticks + len(told.events)
    lines = (root / "stats.jsonl").read_bytes().count(b"\n")
    assert abs(lines / len(told.accounts) - ticks) <= ticks // 50 + 4
    assert (root / "stats.jsonl").stat().st_size <= lines * 400


def live(program: Path, root: Path, seed: int, seconds: int, period: int) -> None:
    """One run, and everything that must hold of it."""
    told = simulate(program, root, seed, seconds, period)
    run = fr.open(root)
    report = run.verify()
    assert report.ok, report.problems
    check_accounts(run, told, period, kept=False)
    check_grid(run["polled"], told, period)
    check_dates(run, told, period)
    check_sizes(run, told, root)
    kinds = Counter(what for what, _, _ in told.events)
    assert kinds["step"] >= seconds // 10_000 and kinds["suspend"] >= seconds // 20_000


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("day"), "day.c")


def test_a_day(program: Path, tmp_path: Path) -> None:
    live(program, tmp_path / "day.fastrec", 1, DAY, 100 * MS)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(2, 22))
def test_many_days(program: Path, tmp_path: Path, seed: int) -> None:
    live(program, tmp_path / "day.fastrec", seed, DAY, 100 * MS)


@pytest.mark.stress
def test_a_day_at_a_kilohertz(program: Path, tmp_path: Path) -> None:
    """Of 170 million polls the newest 64 MiB are kept."""
    root, keep = tmp_path / "day.fastrec", 64 << 20
    told = simulate(program, root, 1, DAY, MS, keep)
    run = fr.open(root)
    assert run.verify().ok
    check_accounts(run, told, MS, kept=True)
    check_dates(run, told, MS)
    check_sizes(run, told, root)
    size = sum(path.stat().st_size for path in (root / "channels").rglob("*"))
    assert keep / 2 < size < keep * 1.2


def test_years_do_not_drown_in_readings(program: Path) -> None:
    """A century of 64 channels, whose clock is set all the time: the readings can still be read."""
    done = run(program, "years", 64, 100)
    told = dict(zip(*[iter(done.stdout.split())] * 2, strict=True))
    assert 16 << 20 < int(told["clocks"]) < JSON_LIMIT
    assert int(told["stats"]) < 2 * JSON_LIMIT


@pytest.mark.stress
@pytest.mark.parametrize(
    ("header", "before", "after"),
    [
        ("log.h", "l->leaps < FR_LOG_LEAPS && fr_log_leapt(l, clock)", "0"),
        ("log.h", "return asleep > slack ||", "return"),
        ("log.h", "row.uncertainty < best.uncertainty", "row.uncertainty > best.uncertainty"),
        ("log.h", "(after - before) / 2 + offset, real, boot", "(after - before) / 2 + offset, real, real"),
        ("log.h", "int due = now >= l->clocks_due", "int due = 1"),
        ("log.h", "l->clocks_due = now + fr_log_pause", "l->clocks_due = now + 6 * fr_log_pause"),
        ("poll.h", "c->ring.account.missed += slots;", "c->ring.account.missed += slots - (slots > 1);"),
        ("poll.h", "fr_grid_skip(g, slots - 1);", "fr_grid_skip(g, slots - (slots > 2));"),
        ("poll.h", "g->next += (int64_t)forward;", "g->next += (int64_t)forward + (g->slot % 7 == 0);"),
        ("poll.h", "        fr_ring_lose(r, FR_GAP_FAILED, code, 1, stamp, stamp);\n", ""),
        ("poll.h", "return c->stamp = stamp < c->stamp ? c->stamp : stamp;", "return c->stamp = begin;"),
    ],
)  # fmt: skip
def test_a_seeded_bug_shows(tmp_path: Path, header: str, before: str, after: str) -> None:
    flags = ["-Wno-unused-function", "-Wno-unused-variable", "-Wno-unused-parameter"]
    program = build(tmp_path, "day.c", *flags, include=seeded(tmp_path, header, before, after))
    with pytest.raises(AssertionError):
        live(program, tmp_path / "day.fastrec", 1, DAY // 4, 100 * MS)


@pytest.mark.stress
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("#define FR_LOG_LEAPS 10 ", "#define FR_LOG_LEAPS (1 << 30) "),
        ("FR_LOG_EVERY << (doublings < 20 ? doublings : 20)", "FR_LOG_EVERY << doublings / 1000"),
    ],
)  # fmt: skip
def test_a_seeded_bug_drowns_them(tmp_path: Path, before: str, after: str) -> None:
    program = build(tmp_path, "day.c", include=seeded(tmp_path, "log.h", before, after))
    with pytest.raises(AssertionError):
        test_years_do_not_drown_in_readings(program)
