from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import termios
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from children import PIPES, child
from waiting import until

import fastrec as fr
from fastrec.cli import main
from fastrec.cli.output import plural

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

Run = Callable[..., str]

CHILD = [sys.executable, "-m", "fastrec", "play"]
SPAN = 2_000_000_000


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``run.fastrec``: 2 s of the channels ``a`` (200 Hz) and ``b`` (20 Hz), the last records at the end."""
    monkeypatch.chdir(tmp_path)
    schema = fr.Schema.from_dtype([("mode", "<i4"), ("n", "<u4")], name="s", labels={"mode": {"ON": 1}})
    with fr.Recorder("run.fastrec") as rec:
        for name, count in (("a", 401), ("b", 41)):
            rows = np.zeros(count, schema.dtype)
            rows["mode"], rows["n"] = np.arange(count) % 2, np.arange(count)
            rec.add(name, schema=schema).extend(rows, 7 * SPAN + np.linspace(0, SPAN, count).astype("i8"))
    return tmp_path


def played(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> tuple[str, str]:
    """What a play printed, and what it reported."""
    capsys.readouterr()
    assert main(["play", *map(str, arguments)]) == code
    return capsys.readouterr()


def elapsed(lines: list[str]) -> list[int]:
    stamps = [json.loads(line)["mono_ns"] for line in lines]
    return [stamp - stamps[0] for stamp in stamps]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("b",),
        ("b", "a"),
        ("--raw",),
        ("--fields", "n"),
        ("--last", "7"),
        ("--where", "mode=ON"),
        ("--where", "mode=ON", "--last", "300ms"),
        ("a", "--between", "+1s", "+1.1s", "--fields", "mode,mono_ns"),
    ],
)
def test_the_lines_are_those_of_cat(
    here: Path, capsys: pytest.CaptureFixture[str], command: Run, arguments: tuple[str, ...]
) -> None:
    out, report = played(capsys, "run.fastrec", *arguments, "--speed", "max")
    assert out == command("cat", "run.fastrec", *arguments, "--json")
    assert report.startswith(f"fastrec: {len(out.splitlines())} records in ")
    assert report.endswith(", as fast as they were taken\n") and report.count("\n") == 1
    assert played(capsys, "run.fastrec", *arguments, "--speed", "1000", "--quiet") == (out, "")


def test_the_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, report = played(capsys, "run.fastrec", "--speed", "20")
    assert report.startswith("fastrec: 442 records in ") and report.count("\n") == 1
    assert ", intended 100 ms; late p50 " in report and ", p99 " in report and ", max " in report
    _, report = played(capsys, "run.fastrec", "--speed", "20", "--json")
    about = json.loads(report)
    assert (about["records"], about["intended_ns"]) == (442, SPAN // 20)
    assert about["duration_ns"] >= about["intended_ns"] and about["lateness"]["p50"] >= 0
    _, report = played(capsys, "run.fastrec", "--last", "0")
    assert report == "fastrec: 0 records in 0 ns, intended 0 ns\n"


def test_lines_come_when_they_are_due(here: Path) -> None:
    """Each by itself, in the buffers of nobody: never early, and the last when the recording ends."""
    began = time.monotonic_ns()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with child([*CHILD, "run.fastrec", "--quiet"], env=environment, **PIPES) as process:
        came = [(line, time.monotonic_ns()) for line in process.stdout]
        assert process.wait(60) == 0
    dues = elapsed([line for line, _ in came])
    assert len(came) == 442 and dues[-1] == SPAN
    assert all(at >= began + due for due, (_, at) in zip(dues, came, strict=True))
    # Lines that were kept for others would come in a few bursts.
    steps = np.diff([at for _, at in came])
    assert (steps > 1_000_000).sum() > 100


def test_an_interrupt_leaves_whole_lines_and_a_report(here: Path) -> None:
    with child([*CHILD, "run.fastrec"], **PIPES) as process:
        first = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    lines = [*first, *out.splitlines(keepends=True)]
    assert all(line.endswith("\n") and json.loads(line) for line in lines)
    report, interrupted = error.splitlines()
    assert (process.returncode, interrupted) == (130, "fastrec: interrupted")
    assert report.startswith(f"fastrec: {len(lines)} records in ") and len(lines) < 442


@pytest.mark.parametrize(
    ("speed", "width", "unbuffered"), [("max", 1, ""), ("max", 4000, ""), ("1000", 4000, "1")]
)
def test_an_interrupt_in_the_middle_of_a_write(here: Path, speed: str, width: int, unbuffered: str) -> None:
    """The pipe is full, and is read on after the signal only. Lines are short, or larger than buffers."""
    schema = fr.Schema.from_dtype([("n", "<u2", (width,))], name="s")
    with fr.Recorder("wide.fastrec") as rec:
        rec.add("a", schema=schema).extend(np.zeros(500, schema.dtype), np.arange(500) * 1000)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    command = [*CHILD, "wide.fastrec", "--speed", speed]
    with child(command, pipesize=4096, env=environment, **PIPES) as process:
        wait_until_full(process.stdout.fileno())
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        out, error = process.communicate(timeout=60)
    lines = out.splitlines(keepends=True)
    assert all(line.endswith("\n") and json.loads(line) for line in lines)
    report, interrupted = error.splitlines()
    assert (process.returncode, interrupted) == (130, "fastrec: interrupted")
    # The record that was interrupted may count, although its line was not begun any more.
    assert 0 < len(lines) <= int(report.split()[1]) <= len(lines) + 1 < 500


def wait_until_full(pipe: int) -> None:
    """Until nothing more has come into a pipe for a while."""
    held = [0]

    def steady() -> bool:
        time.sleep(0.03)
        held.append(int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder))
        return len(held) > 10 and held[-1] == held[-10] > 0

    until(steady)


@pytest.mark.parametrize("speed", ["1", "max"])
def test_a_reader_that_leaves_is_no_error(here: Path, speed: str) -> None:
    with child([*CHILD, "run.fastrec", "--speed", speed], pipesize=4096, **PIPES) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(60) == 0


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "1e999", "1e-999", "fast", "", "2x", "True"])
def test_what_is_no_speed(here: Path, refused: Run, speed: str) -> None:
    said = refused(2, "play", "run.fastrec", "--speed", speed)
    assert "speed" in said and f"'{speed}'" in said.replace("' ", "'")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.fastrec",), "no such folder"),
        (("run.fastrec", "c"), "no channel 'c'"),
        (("run.fastrec", "--where", "m=1"), "no field 'm' in a, b"),
        (("run.fastrec", "--fields", "m"), "no field 'm' in a, b"),
        (("run.fastrec", "--where", "mode=OFF"), "OFF"),
    ],
)
def test_what_is_not_there(here: Path, refused: Run, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(1, "play", *arguments)


def test_damage_ends_it_with_the_report_and_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = here / "run.fastrec/channels/a/records.000000.npy"
    data = bytearray(records.read_bytes())
    data[-1] ^= 1
    records.write_bytes(data)
    out, error = played(capsys, "run.fastrec", "--speed", "max", code=1)
    report, problem = error.splitlines()
    assert report.startswith(f"fastrec: {plural(len(out.splitlines()), 'record')} in ")
    assert "records.000000.npy" in problem
    index = here / "run.fastrec/channels/b/index.000000.npy"
    index.write_bytes(index.read_bytes()[:-1])
    out, error = played(capsys, "run.fastrec", "b", "--speed", "max", "--quiet", code=1)
    assert "channels/b" in error and "records in" not in error


def test_signals_are_given_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for blocked in (set(), {signal.SIGINT}):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            played(capsys, "run.fastrec", "--speed", "max")
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before | blocked
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_memory_does_not_grow_with_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither that of play nor that of cat, merged, filtered or not."""
    schema = fr.Schema.from_dtype([("n", "<u4")], name="s")
    for name, count in (("small", 1_000), ("big", 10_000)):
        with fr.Recorder(tmp_path / name) as rec:
            for channel in ("a", "b"):
                rows = np.arange(count, dtype="<u4").view(schema.dtype)
                rec.add(channel, schema=schema, capacity=count).extend(rows, np.arange(count) * 1000)

    def peak(*arguments: object) -> int:
        tracemalloc.start()
        try:
            assert main([str(argument) for argument in arguments]) == 0
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with open(os.devnull, "w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        for verb, *more in (("play", "--speed", "max", "--quiet"), ("cat", "--where", "n=7")):
            peak(verb, tmp_path / "small", *more)  # what is imported stays
            small, big = (peak(verb, tmp_path / name, *more) for name in ("small", "big"))
            # Rows that were read last are kept, up to 4 MiB; nothing is for each that was played.
            assert big < 2 * small + 2 * 10_000 * schema.record("every").itemsize, verb
