"""What a hostile user, program or system does to a recorder: nothing crashes, hangs or is left behind."""

from __future__ import annotations

import _ctypes
import csv
import ctypes
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from children import PIPES, child
from programs import build

import fastrec as fr
from fastrec.cli import main

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

STATUS = np.dtype([("mode", "<i4"), ("count", "<u4"), ("level", "<f8")])


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("getters"), "getters.c", "-shared", "-fPIC")


@pytest.fixture
def copy(library: Path, tmp_path: Path) -> Path:
    """The library in a file of its own, that nobody else has loaded."""
    return Path(shutil.copy(library, tmp_path / "getters.so"))


def until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def ran(script: str, *arguments: object) -> str:
    """What a script printed that ended well; it may fork with threads about."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


class TestLibraries:
    """The code that is polled goes away."""

    def test_closed_before(self, copy: Path) -> None:
        library = ctypes.CDLL(str(copy))
        function = library.get_status
        _ctypes.dlclose(library._handle)
        assert str(copy) not in Path("/proc/self/maps").read_text()
        with pytest.raises(fr.SourceError, match=r"get_status at 0x[0-9a-f]+ lies in no loaded"):
            fr.Call(function, fr.OUT, schema=STATUS)

    def test_closed_and_deleted_while_polled(self, copy: Path) -> None:
        library = ctypes.CDLL(str(copy))
        with fr.Recorder() as rec:
            channel = rec.add("s", fr.Call(library.get_status, fr.OUT, schema=STATUS), rate=1000)
            until(lambda: channel.stats.recorded > 10)
            for _ in range(3):
                _ctypes.dlclose(library._handle)
            copy.unlink()
            before = channel.stats.recorded
            until(lambda: channel.stats.recorded > before + 50)
        assert channel.stats.failed == 0
        np.testing.assert_array_equal(channel.snapshot()["count"], np.arange(2, channel.stats.recorded + 2))

    @pytest.mark.parametrize("instead", [None, b"no library"])
    def test_gone_from_disk_before(self, copy: Path, instead: bytes | None) -> None:
        """What is loaded counts, not what its name leads to by now."""
        library = ctypes.CDLL(str(copy))
        function = library.get_status
        copy.unlink()
        if instead:
            copy.write_bytes(instead)
        call = fr.Call(function, fr.OUT, schema=STATUS)
        for _ in range(3):
            _ctypes.dlclose(library._handle)
        assert call.read()["count"] == 1


BEGIN = """
import sys, time, fastrec as fr
path = sys.argv[1]
def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)
def begin(path):
    rec = fr.Recorder(path, flush="5ms")
    return rec, rec.add("cpu", "linux:rusage", rate=2000), rec.add("s", schema=[("n", "<u8")])
"""

POLLING = BEGIN + "rec, cpu, pushed = begin(path)"


def closed(path: Path, least: int = 1) -> fr.recording.Recording:
    """A whole recording of both channels."""
    run = fr.open(path)
    assert run.state == "closed" and run.verify().ok and list(run) == ["cpu", "s"]
    assert len(run["cpu"]) >= least
    return run


class TestEnds:
    """Whatever ends the program while it polls."""

    def test_an_exception(self, tmp_path: Path) -> None:
        path = tmp_path / "run.fastrec"
        threads = len(os.listdir("/proc/self/task"))
        with pytest.raises(ZeroDivisionError), fr.Recorder(path) as rec:
            cpu = rec.add("cpu", "linux:rusage", rate=2000)
            rec.add("s", schema=[("n", "<u8")]).push(bytes(8))
            until(lambda: cpu.stats.recorded > 10)
            raise ZeroDivisionError
        until(lambda: len(os.listdir("/proc/self/task")) == threads)
        assert len(closed(path, 11)["s"]) == 1

    @pytest.mark.parametrize("end", ["sys.exit(3)", "raise SystemExit(3)", "raise KeyboardInterrupt"])
    def test_an_exit_within(self, tmp_path: Path, end: str) -> None:
        script = f"""{POLLING}
with rec:
    pushed.push(bytes(8))
    until(lambda: cpu.stats.recorded > 10)
    {end}
"""
        command = [sys.executable, "-c", script, tmp_path / "run.fastrec"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == (3 if "3" in end else -signal.SIGINT)
        assert len(closed(tmp_path / "run.fastrec", 11)["s"]) == 1

    def test_an_exit_of_several_recorders(self, tmp_path: Path) -> None:
        """One of them has lost its folder: the others are closed all the same, and it is told."""
        script = f"""{POLLING}
import shutil
more = [fr.Recorder(f"{{path}}.{{n}}") for n in range(4)]
for n, one in enumerate(more):
    one.add("cpu", "linux:rusage", rate=500)
    one.add("s", schema=[("n", "<u8")]).push(n.to_bytes(8, "little"))
    one.start()
rec.start()
pushed.push(bytes(8))
until(lambda: cpu.stats.recorded > 10)
while more[1].path.exists():
    shutil.rmtree(more[1].path, ignore_errors=True)  # of a file that was just made, it may fail
del rec, more, one
"""
        path = tmp_path / "run.fastrec"
        command = [sys.executable, "-c", script, path]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0 and f"{path}.1" in result.stderr
        assert "Traceback" not in result.stderr
        closed(path, 11)
        for n in (0, 2, 3):
            assert closed(Path(f"{path}.{n}"))["s"]["n"].tolist() == [n]

    @pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP", "_exit"])
    def test_without_a_word(self, tmp_path: Path, how: str) -> None:
        """The default action of a signal, or os._exit: all below the last mark that was told is there."""
        path = tmp_path / "run.fastrec"
        end = "if n >= 20_000: os._exit(0)" if how == "_exit" else ""
        script = f"""{POLLING}
import os
rec.start()
n = 0
while True:
    pushed.push(n.to_bytes(8, "little"))
    n += 1
    if n % 500 == 0:
        print(cpu.stats.written, pushed.stats.written, flush=True)
        time.sleep(0.001)
    {end}
"""
        with child([sys.executable, "-c", script, path], **PIPES) as process:
            told = process.stdout.readline()
            while how != "_exit" and min(map(int, told.split())) < 100:
                told = process.stdout.readline()
            if how != "_exit":
                process.send_signal(getattr(signal, how))
            rest = process.stdout.read()
            assert process.wait(60) == (0 if how == "_exit" else -getattr(signal, how))
        cpu, pushed = map(int, [line for line in (told + rest).split("\n")[:-1] if line][-1].split())
        run = fr.open(path)
        assert run.state == "unclean" and run.verify().ok
        assert len(run["cpu"]) >= cpu > 0 and len(run["s"]) >= pushed > 0
        np.testing.assert_array_equal(run["s"]["n"], np.arange(len(run["s"])))

    def test_signals_that_are_handled(self, tmp_path: Path) -> None:
        """The threads that record take none, so no call of theirs is interrupted; Python gets them all."""
        ran(
            f"""{POLLING}
import os, signal, threading
from pathlib import Path
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(threading.current_thread() is threading.main_thread()))
with rec:
    pushed.push(bytes(8))
    for n in range(200):
        os.kill(os.getpid(), signal.SIGUSR1)
        until(lambda: len(seen) > n)
    before = cpu.stats.recorded
    until(lambda: cpu.stats.recorded > before + 50)
    names = []
    for task in Path("/proc/self/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name.startswith(("fr-", "fastrec-")):  # NumPy has threads of its own
            names.append(name)
            blocked = int((task / "status").read_text().split("SigBlk:")[1].split()[0], 16)
            assert blocked >> (signal.SIGUSR1 - 1) & blocked >> (signal.SIGINT - 1) & 1
    assert sorted(names) == ["fastrec-spool", "fastrec-sync", "fr-main"]
assert seen == [True] * 200 and cpu.stats.failed == 0
stats = cpu.stats
assert stats.slots == stats.recorded + stats.missed
""",
            tmp_path / "run.fastrec",
        )
        closed(tmp_path / "run.fastrec", 50)


class TestForks:
    @pytest.mark.parametrize("thread", [False, True])
    def test_a_child_records_by_itself(self, tmp_path: Path, thread: bool) -> None:
        """Forked from any thread while the parent polls: its copy is inert, a recorder of its own is not."""
        path = tmp_path / "run.fastrec"
        ran(
            f"""{POLLING}
import os, threading
def fork():
    global status
    child = os.fork()
    if not child:
        try:
            assert len(os.listdir("/proc/self/task")) == 1
            try:
                pushed.push(bytes(8))
                os._exit(5)
            except fr.RecordingError:
                rec.stop()
            own, mine, other = begin(path + ".child")
            with own:
                other.push(bytes(8))
                until(lambda: mine.stats.recorded > 10)
            os._exit(7)
        finally:
            os._exit(6)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
with rec:
    pushed.push(bytes(8))
    until(lambda: cpu.stats.recorded > 10)
    if {thread}:
        forker = threading.Thread(target=fork)
        forker.start()
        forker.join()
    else:
        fork()
    assert status == 7, status
    before = cpu.stats.recorded
    until(lambda: cpu.stats.recorded > before + 10)
    pushed.push(bytes(8))
""",
            path,
        )
        assert len(closed(path, 20)["s"]) == 2
        closed(Path(f"{path}.child"), 11)

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_workers_record_by_themselves(self, tmp_path: Path, method: str) -> None:
        """Of multiprocessing, two at once, with a parent that polls."""
        script = tmp_path / "workers.py"
        script.write_text(f"""{BEGIN}
import multiprocessing
def work(number):
    own, mine, pushed = begin(f"{{path}}.{{number}}")
    with own:
        pushed.push(number.to_bytes(8, "little"))
        until(lambda: mine.stats.recorded > 10)
if __name__ == "__main__":
    rec, cpu, pushed = begin(path)
    with rec:
        pushed.push(bytes(8))
        context = multiprocessing.get_context("{method}")
        workers = [context.Process(target=work, args=(number,)) for number in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
            assert worker.exitcode == 0
        until(lambda: cpu.stats.recorded > 10)
""")
        path = tmp_path / "run.fastrec"
        command = [sys.executable, "-W", "ignore::DeprecationWarning", script, path]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, result.stderr
        closed(path, 11)
        for number in range(2):
            assert closed(Path(f"{path}.{number}"), 11)["s"]["n"].tolist() == [number]


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "path"])
def test_a_thousand_starts_and_stops(stored: bool) -> None:
    """Threads and descriptors are as many afterwards, and mappings do not pile up."""

    def counts() -> tuple[int, int, int]:
        maps = Path("/proc/self/maps").read_bytes().count(b"\n")
        return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), maps

    def cycles(path: Path | None, count: int) -> None:
        for _ in range(count):
            with fr.Recorder(path) as rec:
                rec.add("cpu", "linux:rusage", rate=10_000, capacity=64)
                rec.add("s", schema=STATUS, capacity=64).push(bytes(16))
            if path is not None:
                shutil.rmtree(path)

    # A file system in memory: on a disk most of the time would go to its flushes.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder, "run.fastrec") if stored else None
        gc.collect()
        cycles(path, 100)
        tasks, descriptors, maps = counts()
        cycles(path, 1000)
    # A thread that was joined is listed a moment longer; mappings of the allocator come and go.
    most = tasks, descriptors, maps + 20
    until(lambda: all(now <= then for now, then in zip(counts(), most, strict=True)))


# A program whose children have less and less of something, and tell what one start made of it.
LIMITED = """
import gc, os, resource, sys, time, fastrec as fr, fastrec.recording.writing.writer
folder, what, *amounts = sys.argv[1:]
source = fr.sources.registry.source("linux:rusage")
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

def counts():
    gc.collect()
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))

def limit(amount):
    if what == "descriptors":
        used = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + int(amount), hard))
    else:
        pages = int(open("/proc/self/statm").read().split()[0])
        most = pages * resource.getpagesize() + int(float(amount) * (1 << 20))
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

def start(amount):
    before = counts()
    rec = fr.Recorder(f"{folder}/{amount}.fastrec")
    channels = []
    try:
        if what == "descriptors":
            limit(amount)
        channels.append(rec.add("cpu", source, rate=1000, capacity=64))
        channels.append(rec.add("s", schema=[("n", "<u8")], capacity=64))
        if what == "memory":
            limit(amount)
        with rec:
            channels[1].push(bytes(8))
        told = "whole"
    except fr.FastrecError as error:
        told = f"{type(error).__name__}: {error}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    rec = None
    channels.clear()
    until = time.monotonic() + 30
    while any(now > then for now, then in zip(counts(), before)):  # a joined thread is listed a moment longer
        assert time.monotonic() < until, (told, counts(), before)
    print(told, flush=True)

for amount in amounts:
    child = os.fork()
    if not child:
        try:
            start(amount)
            os._exit(0)
        finally:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


class TestTooLittle:
    """A system that has too little: one error that says of what, and nothing left."""

    def test_descriptors(self, tmp_path: Path) -> None:
        """Each step of a start in turn is the first that gets none."""
        told = ran(LIMITED, tmp_path, "descriptors", *range(30)).splitlines()
        for amount, line in enumerate(told):
            path = tmp_path / f"{amount}.fastrec"
            # A segment that could not be opened is the disk's failure: it ends in a recording, unclean.
            begun = line == "whole" or "what was written before is whole" in line
            assert path.exists() == begun, line
            if begun:
                run = fr.open(path)
                assert run.state == ("closed" if line == "whole" else "unclean") and run.verify().ok
        assert len(told) == 30 and told[-1] == "whole"
        assert all(line == "whole" or "Too many open files" in line for line in told)
        assert told[0].startswith("SourceError: no file descriptor for a ring")
        for name in ("recording.json", "clocks.npy", "stats.jsonl", "marks.jsonl", "channels/s"):
            assert any(f"/{name}: Too many open files" in line for line in told), name

    def test_memory(self, tmp_path: Path) -> None:
        amounts = (0, 0.6, 1, 2, 5, 9, 14, 17, 20, 25, 33, 100)
        told = ran(LIMITED, tmp_path, "memory", *amounts).splitlines()
        for amount, line in zip(amounts, told, strict=True):
            assert line == "whole" or "no memory to record" in line or "no thread to write it" in line
            path = tmp_path / f"{amount}.fastrec"
            assert path.exists() == (line == "whole")
        assert any("no memory" in line for line in told) and any("no thread" in line for line in told)
        assert told[-1] == "whole" and fr.open(path).verify().ok

    def test_memory_for_a_channel_that_joins(self, tmp_path: Path) -> None:
        """The recorder goes on, and later there is room for one of that name."""
        path = tmp_path / "run.fastrec"
        ran(
            f"""{POLLING}
import os, resource
with rec:
    pushed.push(bytes(8))
    until(lambda: cpu.stats.written and pushed.stats.written)
    folder = sorted(os.listdir(path + "/channels"))
    descriptors = len(os.listdir("/proc/self/fd"))
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + (2 << 20), resource.RLIM_INFINITY))
    try:
        rec.add("late", schema=[("n", "<u8")], capacity=64)
        sys.exit(3)
    except fr.RecordingError as error:
        assert "no memory to record with" in str(error)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert sorted(os.listdir(path + "/channels")) == folder and list(rec.channels) == ["cpu", "s"]
    assert len(os.listdir("/proc/self/fd")) == descriptors
    rec.add("late", schema=[("n", "<u8")], capacity=64).push(bytes(8))
""",
            path,
        )
        run = fr.open(path)
        assert run.state == "closed" and run.verify().ok and list(run) == ["cpu", "late", "s"]
        assert len(run["late"]) == len(run["s"]) == 1


@pytest.mark.parametrize("options", [{"segment_bytes": 10**400}, {"flush": "2562047h"}, {"flush": "0s"}])
def test_the_largest_and_smallest_options(tmp_path: Path, options: dict) -> None:
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path, **options) as rec:
        channel = rec.add("s", schema=STATUS, capacity=64)
        channel.push(bytes(16))
    assert channel.stats.durable == len(fr.open(path)["s"]) == 1 and fr.open(path).verify().ok


def test_the_longest_durability_is_not_the_shortest(tmp_path: Path) -> None:
    """292 years from now: a time that overflowed would flush without end."""
    with fr.Recorder(tmp_path / "run.fastrec", flush="1ms", durability="2562047h 47min") as rec:
        channel = rec.add("s", schema=STATUS)
        channel.push(bytes(16))
        until(lambda: channel.stats.written == 1)
        time.sleep(0.05)  # the one flush at the start is over
        before = channel.stats.durable
        for number in range(2, 12):
            channel.push(bytes(16))
            until(lambda number=number: channel.stats.written == number)
        assert channel.stats.durable == before
    assert channel.stats.durable == 11


def test_metadata_of_100_mb(tmp_path: Path) -> None:
    path = tmp_path / "run.fastrec"
    rec = fr.Recorder(path, metadata={"x": "x" * 100_000_000})
    rec.add("s", schema=STATUS, capacity=64)
    with pytest.raises(fr.RecordingError, match="at most 67,108,864 could be read back"):
        rec.start()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a b", ".hidden", "..x", "\udcff", "x" * 65, "-rf", "a\nb", "CPU", "other"])
def test_channels_made_by_hand(tmp_path: Path, name: str) -> None:
    """An empty folder is no channel; a copy is none under a name that cannot be, and damage under another."""
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path) as rec:
        rec.add("cpu", schema=STATUS, capacity=64).push(bytes(16))
    made = path / "channels" / name
    made.mkdir()
    assert list(fr.open(path)) == ["cpu"] and fr.open(path).verify().ok
    made.rmdir()
    shutil.copytree(path / "channels/cpu", made)
    run = fr.open(path)
    assert len(run["cpu"]) == 1
    if name in ("CPU", "other"):
        with pytest.raises(fr.CorruptionError, match="does not match its checksum"):
            run[name]
        assert not run.verify().ok
    else:
        assert list(run) == ["cpu"] and run.verify().ok


@pytest.mark.parametrize("size", [1, 7, 8, 65_527, 65_528])
def test_payloads_of_every_size(tmp_path: Path, size: int) -> None:
    """One byte; a record of 64 KiB, stamp included, to the byte."""
    path = tmp_path / "run.fastrec"
    rows = np.random.default_rng(size).integers(0, 256, (100, size), dtype="u1")
    with fr.Recorder(path, segment_bytes=1 << 20) as rec:
        channel = rec.add("s", schema=[("raw", "u1", (size,))], capacity=128)
        assert channel.extend(rows[:50]) == 50
        assert all(channel.push(row) for row in rows[50:])
        np.testing.assert_array_equal(channel.snapshot()["raw"], rows)
        with pytest.raises(fr.SchemaError, match=f"{size + 1} bytes pushed"):
            channel.push(bytes(size + 1))
    run = fr.open(path)
    np.testing.assert_array_equal(run["s"]["raw"].reshape(rows.shape), rows)
    assert run.verify().ok
    if size == 65_528:
        with pytest.raises(fr.SchemaError, match="payload of 65529 bytes makes records of 65544"):
            fr.Recorder().add("s", schema=[("raw", "u1", (size + 1,))])


def test_odd_names_of_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Words of Python, SQL and fastrec; case alone; quotes, commas, formulas, letters beyond Latin-1."""
    names = [
        "class",
        "None",
        "__class__",
        "payload",
        "seq",
        "gaps",
        "select",
        "a",
        "A",
        " ",
        "a,b",
        "a;b",
        "a/b",
    ]
    names += [
        "'\"\\",
        "{0}",
        "%s",
        "=1+1",
        "-x",
        "0",
        "é",
        "e\u0301",
        "λ",
        "🦀",
        "x" * 255,
        "mono_ns",
        "polls",
    ]
    dtype = np.dtype([(name, "<i4") for name in names])
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path) as rec:
        channel = rec.add("s", schema=fr.Schema.from_dtype(dtype), capacity=64)
        kept = [field.name for field in channel.schema.fields]
        channel.push(np.arange(len(names), dtype="<i4"))
    assert kept == [*names[:-2], "mono_ns_", "polls_"]
    records = fr.open(path)["s"]
    decoded = records.decode()
    for number, name in enumerate(kept):
        assert records[name].tolist() == records.where(**{name: number})[name].tolist() == [number]
        assert decoded[name].tolist() == [number]
    records.export(tmp_path / "s.csv")
    with open(tmp_path / "s.csv", newline="", encoding="utf-8-sig") as file:
        header, row = csv.reader(file)
    assert len(header) == len(row) and row[-len(kept) :] == [str(number) for number in range(len(kept))]
    records.export(tmp_path / "s.npy")
    assert np.load(tmp_path / "s.npy").tobytes() == records.to_numpy().tobytes()
    assert main(["cat", str(path), "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert [line[name] for name in kept] == list(range(len(kept)))
    for verb in ("info", "verify", "cat"):
        assert main([verb, str(path)]) == 0


def test_as_many_fields_as_there_may_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1,024 fields are recorded, read back, decoded, printed, exported; test_members refuses more."""
    names = [f"field_{n:04}" for n in range(1024)]
    schema = fr.Schema.from_dtype([(name, "<f4" if n % 2 else "<i8") for n, name in enumerate(names)])
    rows = np.zeros(300, schema.dtype)
    for n, name in enumerate(names):
        rows[name] = np.arange(300) * n
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path) as rec:
        channel = rec.add("wide", schema=schema, capacity=512)
        channel.extend(rows[:200])
        for row in rows[200:]:
            channel.push(row)
        assert channel.snapshot().decode()["field_0003"][-1] == 897
    records = fr.open(path)["wide"]
    for name in names:
        np.testing.assert_array_equal(records[name], rows[name])
    decoded = records.decode()
    assert decoded["field_1023"].tolist() == rows["field_1023"].tolist()
    for suffix in ("csv", "npy"):
        records.export(tmp_path / f"wide.{suffix}")
    exported = np.load(tmp_path / "wide.npy")
    assert exported.tobytes() == records.to_numpy().tobytes()
    lines = (tmp_path / "wide.csv").read_text().splitlines()
    assert len(lines) == 301 and all(len(line.split(",")) >= 1025 for line in lines)
    for verb in (["info"], ["cat", "--last", "3"], ["verify"]):
        assert main([verb[0], str(path), *verb[1:]]) == 0
    assert "field_1023" in capsys.readouterr().out
