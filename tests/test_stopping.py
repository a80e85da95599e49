"""A thread that is asked while its call blocks, a fork while it polls, an end of the process: none hangs."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from programs import build, load_apart
from seen import SEEN, seen
from waiting import until

import fastrec as fr
from fastrec import lifetimes
from fastrec.core.ring import Ring as CoreRing

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("pacing"), "pacing.c", "-shared", "-fPIC")


@pytest.fixture
def getters(library: Path, tmp_path: Path) -> ctypes.CDLL:
    """The library under a name of its own: nobody has called it yet."""
    return load_apart(library, tmp_path)


def ran(script: str, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A script that ended as it should; it may fork with threads about."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


class TestWhileACallBlocks:
    """Whatever the thread is asked meanwhile: one error in time, an account that adds up, an end."""

    @pytest.fixture
    def impatient(self, getters: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Iterator[fr.Recorder]:
        """A recorder, not started, whose calls are given up after 0.1 s."""
        monkeypatch.setattr(fr.threads, "_RETURNING", 0.1)
        monkeypatch.setattr(fr.recorder, "_STUCK", 0.1)
        before = len(os.listdir("/proc/self/task"))
        ctypes.c_int.in_dll(getters, "block_ms").value = 700
        rec = fr.Recorder()
        yield rec
        assert rec._state == "stopped"
        for channel in rec.channels.values():
            stats = channel.stats
            assert stats.slots == stats.recorded + stats.missed and stats.failed == 0
        until(lambda: len(os.listdir("/proc/self/task")) <= before)

    @staticmethod
    def block(getters: ctypes.CDLL, call: int) -> None:
        """Let that call block; the first is number 1."""
        ctypes.c_uint64.in_dll(getters, "block_at").value = call

    def test_the_first_call(self, getters: ctypes.CDLL, impatient: fr.Recorder) -> None:
        self.block(getters, 1)
        with pytest.raises(fr.SourceError, match="has not returned for"):
            impatient.add("a", seen(getters), rate=1000)
        assert not impatient.channels
        with pytest.warns(RuntimeWarning, match="the thread stays"):
            impatient.stop()

    def test_a_second_channel(self, getters: ctypes.CDLL, impatient: fr.Recorder) -> None:
        first = impatient.add("a", seen(getters), rate=1000)
        impatient.start()
        self.block(getters, 50)
        until(lambda: first.stats.in_call > 1_000_000)
        with pytest.raises(fr.SourceError, match="has not returned for"):
            impatient.add("b", seen(getters), rate=1000)
        assert list(impatient.channels) == ["a"]
        until(lambda: not first.stats.in_call)
        until(lambda recorded=first.stats.recorded: first.stats.recorded > recorded + 50)
        # Nobody else called: what was given up was not begun later.
        numbers = first.snapshot()["number"]
        assert numbers.tolist() == list(range(2, len(numbers) + 2))
        second = impatient.add("b", seen(getters), rate=1000)
        until(lambda: second.stats.recorded > 3)
        impatient.stop()
        assert first.stats.missed >= 690

    def test_a_start(
        self, getters: ctypes.CDLL, impatient: fr.Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The thread is in a call of somebody else when it should begin."""
        monkeypatch.setattr(fr.threads, "_OPENING", 0.1)
        impatient.add("a", seen(getters), rate=1000)
        self.block(getters, 2)
        with pytest.raises(fr.SourceError, match="has not returned for"):
            impatient.thread("main").run(seen(getters))
        impatient.start()  # which waits for longer than the call takes
        until(lambda: impatient["a"].stats.recorded > 3)
        impatient.stop()

    def test_a_pause_and_a_stop(self, getters: ctypes.CDLL, impatient: fr.Recorder) -> None:
        channel = impatient.add("a", seen(getters), rate=1000)
        impatient.start()
        self.block(getters, 50)
        until(lambda: channel.stats.in_call > 1_000_000)
        with pytest.raises(fr.SourceError, match="has not returned for"), impatient.thread("main").paused():
            pass
        with pytest.warns(RuntimeWarning, match="the thread stays"):
            impatient.stop()
        recorded = channel.stats.recorded
        assert channel.stats.in_call > 100_000_000 and channel.stats.missed >= 100
        # The call returns to nobody.
        until(lambda: not Path(f"/proc/self/task/{channel.current()['thread']}").exists())
        assert channel.stats.recorded == recorded == 48


class TestInterrupts:
    """Ctrl-C at each line of a start, a resume and a stop: nothing is locked, no thread and no ring is left.

    Lines that say only ``try:`` are left out: the interpreter looks for an interrupt at calls, at jumps back
    and where a function begins.
    """

    FILES = tuple(
        f"/fastrec/{name}.py"
        for name in (
            "recorder",
            "lifetimes",
            "threads",
            "recording/writing/destination",
            "recording/writing/writer",
            "recording/writing/resuming",
            "recording/writing/rings",
            "recording/writing/spooling",
            "recording/writing/files",
            "recording/writing/journals",
        )
    )
    OF_STATUS = {"schema": np.dtype([("count", "<u8")]), "capacity": 100}

    def traced(self, act: Callable[[], None], at: tuple[str, int] | None = None) -> list[tuple[str, int]]:
        """The lines that `act` reaches; the first time that it reaches the one `at`, an interrupt comes."""
        reached: dict[tuple[str, int], None] = {}

        def inside(frame: FrameType, event: str, _: Any) -> Any:
            line = frame.f_code.co_filename, frame.f_lineno
            if event == "line" and line not in reached:
                reached[line] = None
                if line == at:
                    raise KeyboardInterrupt
            return inside

        def entered(frame: FrameType, event: str, _: Any) -> Any:
            return inside if frame.f_code.co_filename.endswith(self.FILES) else None

        before = sys.gettrace()
        sys.settrace(entered)
        try:
            act()
        finally:
            sys.settrace(before)
        text = {file: Path(file).read_text().splitlines() for file, _ in reached}
        return [(file, line) for file, line in reached if text[file][line - 1].strip() != "try:"]

    @staticmethod
    def rings() -> list[str]:
        """The rings of this process that have names in shared memory."""
        found = []
        for path in Path("/dev/shm").glob("fastrec.*"):
            with suppress(OSError):
                if CoreRing(left=path.name.encode()).about["pid"] == os.getpid():
                    found.append(path.name)
        return found

    def begin(self, path: Path, *, resume: bool) -> fr.Recorder:
        rec = fr.Recorder(path, resume=resume)
        rec.add("c", **self.OF_STATUS).push(bytes(8))
        rec.add("cpu", "linux:rusage", rate=1000, capacity=100)
        rec.__enter__()  # as at a `with`, without its end
        return rec

    def trial(self, path: Path, what: str, at: tuple[str, int] | None = None) -> list[tuple[str, int]]:
        """One of them, interrupted or not, and what must be true afterwards; the lines that it reached."""
        before, left = (
            len(os.listdir("/proc/self/task")),
            self.rings(),
        )  # by another test, whose disk was full
        if what == "resume":
            self.begin(path, resume=False).stop()
        running: list[fr.Recorder] = [self.begin(path, resume=False)] if what == "stop" else []
        begin = partial(self.begin, path, resume=what == "resume")
        act = running[0].stop if running else lambda: running.append(begin())
        lines = []
        if at is None:
            lines = self.traced(act)
        else:
            # A line of a loop over the rings of others need not be reached again.
            with suppress(KeyboardInterrupt):
                self.traced(act, at)
        for rec in running:
            rec.stop()
        running.clear()
        gc.collect()  # what an interrupted constructor had made is gone with its traceback
        until(lambda: len(os.listdir("/proc/self/task")) <= before)
        assert not lifetimes._running and self.rings() == left
        if what != "start" or path.exists():
            run = fr.open(path)
            assert run.state == "closed" and run.verify().ok
        with fr.Recorder(path, resume=True) as rec:  # nobody has the lock
            rec.add("c", **self.OF_STATUS).push(bytes(8))
        run = fr.open(path)
        assert run["c"].seq.tolist() == list(range(len(run["c"]))) and run.verify().ok
        return lines

    def test_at_the_last_line_of_a_start(self, tmp_path: Path) -> None:
        lines = self.trial(tmp_path / "0", "start")
        last = [line for line in lines if line[0].endswith("fastrec/recorder.py")][-1]
        assert "return self" in Path(last[0]).read_text().splitlines()[last[1] - 1]
        self.trial(tmp_path / "1", "start", last)

    @pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.stress)])
    @pytest.mark.parametrize("what", ["start", "resume", "stop"])
    def test_at_each_line(self, tmp_path: Path, what: str, step: int) -> None:
        lines = self.trial(tmp_path / "0", what)
        assert len(lines) > 100
        for number, line in enumerate(lines[::step], 1):
            try:
                self.trial(tmp_path / f"{number}", what, line)
            except BaseException as error:
                error.add_note(f"interrupted at {line}")
                raise


BEGIN = f"""
import ctypes, os, sys, threading, time, numpy as np, fastrec as fr
getters = ctypes.CDLL(sys.argv[1])
def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)
def add(rec):
    seen = fr.Call(getters.get_seen, fr.OUT, schema=np.dtype({SEEN.descr!r}))
    return rec.add("a", seen, rate=2000)
rec = fr.Recorder(sys.argv[2], flush="5ms")
channel = add(rec)
rec.start()
until(lambda: channel.stats.recorded > 10)
"""


class TestForks:
    def test_two_hundred(self, library: Path, tmp_path: Path) -> None:
        """Each child has the one thread and ends in its own way; the parent polls on and loses no slot."""
        path = tmp_path / "run.fastrec"
        ran(
            BEGIN
            + """
descriptors = len(os.listdir("/proc/self/fd"))
ends = {1: lambda: sys.exit(3), 2: lambda: 1 / 0, 3: lambda: rec.stop()}  # of every 20th
codes = {1: 3, 2: 1, 3: 0}
for number in range(200):
    before = channel.stats.recorded
    child = os.fork()
    if not child:
        sys.stderr = open(os.devnull, "w")
        assert len(os.listdir("/proc/self/task")) == 1
        seen = channel.stats.slots
        if number % 50 == 7:
            with fr.Recorder() as own:
                mine = add(own)
                until(lambda: mine.stats.recorded > 10)
        assert channel.stats.slots >= seen  # the ring is the parent's, and shared
        ends.get(number % 20, lambda: os._exit(5))()
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == codes.get(number % 20, 5), number
    until(lambda: channel.stats.recorded > before)
assert len(os.listdir("/proc/self/fd")) == descriptors
rec.stop()
stats = channel.stats
assert stats.slots == stats.recorded + stats.missed and stats.failed == 0
""",
            library,
            path,
        )
        run = fr.open(path)
        assert run.state == "closed" and run.verify().ok
        numbers = run["a"]["number"]
        np.testing.assert_array_equal(numbers, np.arange(2, len(numbers) + 2))

    def test_a_child_holds_nothing_of_the_parents(self, tmp_path: Path) -> None:
        """Neither files nor lock: with the child alive, the dead parent's recording goes on from its ring."""
        path = tmp_path / "run.fastrec"
        script = """
import os, signal, sys, time, numpy as np, fastrec as fr
path = sys.argv[1]
rec = fr.Recorder(path, flush="1h", durability="20ms", segment_bytes=1)
rec.start()
channel = rec.add("c", schema=[("n", "<u8")], capacity=16_384)
for end in (10_000, 20_000, 30_000, 40_000):  # more than an eighth of the ring is written
    channel.extend(np.arange(end - 10_000, end, dtype="<u8").view([("n", "<u8")]))
    while channel.stats.written < end:
        time.sleep(0.001)
rec.mark("a file of the recording itself")
own = open(os.path.join(path, "recording.json"))
channel.extend(np.arange(40_000, 40_100, dtype="<u8").view([("n", "<u8")]))
child = os.fork()
if not child:
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass  # of the listing itself
    held = [link for link in links if path in link or "/dev/shm" in link]
    assert held == [own.name], held
    assert channel.stats.published == 40_100 and len(own.read()) > 0
    print(os.getpid(), flush=True)
    os.close(1)
    time.sleep(60)
    os._exit(0)
os.close(1)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, path]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
            child = int(parent.stdout.readline())
            try:
                parent.stdin.close()
                assert parent.wait(60) == -signal.SIGKILL
                with fr.Recorder(path, resume=True):
                    pass
            finally:
                os.kill(child, signal.SIGKILL)
        assert fr.open(path)["c"]["n"].tolist() == list(range(40_100))
        assert fr.open(path).verify().ok


class TestADiskThatDoesNotAnswer:
    @staticmethod
    def ran_where_flushes_are_held(tmp_path: Path, script: str, path: Path, *options: str) -> None:
        """A script of `path` and of a file: as long as that is there, no flush comes back."""
        held = tmp_path / "held"
        shim = build(tmp_path, "no_flush.c", "-shared", "-fPIC", "-ldl")
        environment = os.environ | {"LD_PRELOAD": str(shim), "NO_FLUSH": str(held)}
        command = [sys.executable, *options, "-c", script, path, held]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr

    def test_a_stop_ends_in_time_and_says_what_is_open(self, tmp_path: Path) -> None:
        """In every mode of durability; what its threads use stays, and they end when the disk comes back."""
        script = """
import gc, os, sys, time, numpy as np, fastrec as fr
from pathlib import Path
fr.recording.writing.writer._PATIENCE = 0.2
folder, held = Path(sys.argv[1]), Path(sys.argv[2])
threads = lambda: len(os.listdir("/proc/self/task"))
before = threads()
for mode in ("10ms", "commit", None):
    rec = fr.Recorder(folder / f"run{mode}", durability=mode, flush="1ms")
    rec.start()
    channel = rec.add("c", schema=[("n", "<u8")])
    channel.extend(np.zeros(100, [("n", "<u8")]))
    while channel.stats.written < 100 or mode and channel.stats.durable < 100:
        time.sleep(0.001)
    held.touch()
    channel.extend(np.zeros(50, [("n", "<u8")]))
    while channel.stats.written < 150:
        time.sleep(0.001)
    try:
        rec.stop()
    except fr.RecordingError as error:
        assert "not answered for 0.2 s; channel 'c': of 150 records 150 are written, and" in str(error), error
        assert f"{100 if mode else 0} of them durable" in str(error), error
    else:
        raise AssertionError("it waited")
    spooling = channel.spooling
    del rec, channel
    gc.collect()
    assert threads() > before
    held.unlink()
    end = time.monotonic() + 30
    while threads() > before:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert spooling.marks()["durable"] == (150 if mode else 0)
"""
        self.ran_where_flushes_are_held(tmp_path, script, tmp_path)
        for run in tmp_path.glob("run*"):
            with fr.Recorder(run, resume=True):
                pass
            assert len(fr.open(run)["c"]) == 150 and fr.open(run).verify().ok

    def test_a_recorder_without_channels_says_so_too(self, tmp_path: Path) -> None:
        """Its files stay open as long as its threads are there: they would be somebody else's."""
        script = """
import sys, fastrec as fr
from pathlib import Path
fr.recording.writing.writer._PATIENCE = 0.2
folder, held = Path(sys.argv[1]), Path(sys.argv[2])
rec = fr.Recorder(folder / "run")
rec.start()
held.touch()
try:
    rec.stop()
except fr.RecordingError as error:
    assert "not answered for 0.2 s; nothing was recorded" in str(error), error
else:
    raise AssertionError("it said nothing")
assert fr.open(folder / "run").state == "live"
held.unlink()
"""
        self.ran_where_flushes_are_held(tmp_path, script, tmp_path, "-W", "ignore")

    def test_marks_that_are_not_durable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rec = fr.Recorder(tmp_path / "run")
        rec.add("c", schema=[("n", "<u8")])
        rec.start()
        rec.mark("m")

        def fdatasync(descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", fdatasync)
        with pytest.raises(
            fr.RecordingError, match="the marks may not survive a loss of power: Input/output"
        ):
            rec.stop()
        monkeypatch.undo()
        assert fr.open(tmp_path / "run").state == "unclean"

    def test_a_fork_leaves_what_is_not_the_recorders(self, tmp_path: Path) -> None:
        """A file of the user's own in the folder, a recording within it, and a third recorder."""
        script = """
import os, sys, warnings
from pathlib import Path
import fastrec as fr
from fastrec import lifetimes
def made(path):
    rec = fr.Recorder(path)
    rec.add("x", schema=[("n", "<u8")])
    rec.start()
    return rec
folder = Path(sys.argv[1])
outer, inner, other = recorders = [made(folder / "r"), made(folder / "r/inner"), made(folder / "other")]
lifetimes._made = [*recorders]
notes = open(folder / "r/notes.txt", "w+")
pid = os.fork()
if not pid:
    code = 1
    try:
        notes.write("mine")
        notes.flush()
        left = [os.readlink(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd") if one > "2"
                and os.path.lexists(f"/proc/self/fd/{one}")]
        left = [one for one in left if one.startswith(str(folder)) and not one.endswith("notes.txt")]
        code = 0 if not left else print(left) or 1
    finally:
        os._exit(code)
assert os.waitpid(pid, 0)[1] == 0
for rec in recorders:
    rec.stop()
assert (folder / "r/notes.txt").read_text() == "mine"
"""
        ran(script, tmp_path)

    def test_full_segments_wait_with_few_files(self, tmp_path: Path) -> None:
        """They keep theirs open until they are durable; before there are too many, segments grow instead."""
        path = tmp_path / "run.fastrec"
        script = """
import os, resource, sys, time, numpy as np, fastrec as fr
from pathlib import Path
path, held = map(Path, sys.argv[1:])
files = lambda: len(os.listdir("/proc/self/fd"))
most = 32 * 5 + files() + 16 * 12 + 8
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
rec = fr.Recorder(path, segment_bytes=1, flush="1ms", durability="1ms")
rec.start()
channels = [rec.add(f"c{n}", schema=[("n", "<u8")], capacity=4096) for n in range(16)]
def push(start, stop):
    for at in range(start, stop, 1024):
        for channel in channels:
            channel.extend(np.arange(at, at + 1024, dtype="<u8").view([("n", "<u8")]))
        for channel in channels:
            while channel.stats.written < at + 1024:
                assert not channel.spooling.marks()["error"], channel.spooling.marks()
                time.sleep(0.0001)
        assert files() < most, files()
held.touch()
push(0, 20 * 1024)
written = sum(len(list(path.glob(f"channels/{c.name}/records.*"))) for c in channels)
assert written < 16 * 3 + 32, written
held.unlink()
while channels[0].stats.durable < 20 * 1024:
    time.sleep(0.001)
push(20 * 1024, 24 * 1024)
rec.stop()
assert len(list(path.glob("channels/c0/records.*"))) > 3
"""
        self.ran_where_flushes_are_held(tmp_path, script, path)
        run = fr.open(path)
        assert run.verify().ok
        for records in run.values():
            assert records["n"].tolist() == list(range(24 * 1024))


class TestEnds:
    """The interpreter goes while a thread polls."""

    @pytest.mark.parametrize("seconds", [0, 3600])
    @pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "threading.Thread(target=sys.exit).start()"])
    def test_of_the_interpreter(self, library: Path, tmp_path: Path, end: str, seconds: int) -> None:
        """Also with a getter that blocks for ever, and with daemon threads that ask and push all the time."""
        path = tmp_path / "run.fastrec"
        done = ran(
            BEGIN
            + f"""
import fastrec.recorder
fastrec.recorder._STUCK = 0.2
pushed = rec.add("s", schema=[("n", "<u8")])
def trouble():
    while True:
        try:
            pushed.push(bytes(8))
            channel.stats, channel.last(3), rec.stats
        except fr.RecordingError:
            return
for _ in range(3):
    threading.Thread(target=trouble, daemon=True).start()
if {seconds}:
    ctypes.c_int.in_dll(getters, "block_ms").value = 1000 * {seconds}
    ctypes.c_uint64.in_dll(getters, "block_at").value = channel.stats.recorded + 100
    until(lambda: channel.stats.in_call > 10_000_000)
{end}
""",
            library,
            path,
        )
        assert ("the thread stays" in done.stderr) == bool(seconds) and "Traceback" not in done.stderr
        run = fr.open(path)
        assert run.state == "closed" and run.verify().ok and len(run["a"]) > 10 and len(run["s"]) > 0
        stats = run.stats["a"]
        assert stats["slots"] == stats["recorded"] + stats["missed"]

    def test_of_a_process_in_a_call_by_a_signal(self, library: Path, tmp_path: Path) -> None:
        """SIGTERM's default action, with a getter that blocks for ever: what was written is whole."""
        path = tmp_path / "run.fastrec"
        ran(
            BEGIN
            + """
import signal
ctypes.c_int.in_dll(getters, "block_ms").value = 3_600_000
ctypes.c_uint64.in_dll(getters, "block_at").value = channel.stats.recorded + 100
until(lambda: channel.stats.in_call > 10_000_000 and channel.stats.written == channel.stats.recorded)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGTERM)
""",
            library,
            path,
            code=-signal.SIGTERM,
        )
        run = fr.open(path)
        assert run.state == "unclean" and run.verify().ok
        np.testing.assert_array_equal(run["a"]["number"], np.arange(2, len(run["a"]) + 2))


@pytest.mark.stress
def test_ten_thousand_recorders(getters: ctypes.CDLL) -> None:
    """Resident memory does not rise with them; test_hostile has a thousand, with threads and descriptors."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def cycles(count: int) -> None:
        for _ in range(count):
            with fr.Recorder() as rec:
                rec.add("a", seen(getters), rate=1000, capacity=64)

    cycles(1_000)
    before, threads = resident(), len(os.listdir("/proc/self/task"))
    cycles(10_000)
    assert resident() - before < 4 << 20  # a page a cycle would be 40 MB
    until(lambda: len(os.listdir("/proc/self/task")) <= threads)
