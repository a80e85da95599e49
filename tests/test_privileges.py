"""Real time, processors, locked memory: asked for by the polling thread, granted or refused, never fatal."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from programs import build
from seen import SEEN, seen
from waiting import until

import fastrec as fr
from fastrec.cli import main

ALL = {"realtime": 10, "affinity": 1, "lock_memory": True}

POWERLESS = ["setpriv", "--bounding-set=-sys_nice,-ipc_lock,-sys_resource"]
"""What a program is run by that has only what the limits of a user allow."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("pacing"), "pacing.c", "-shared", "-fPIC")


@pytest.fixture(scope="module")
def getters(library: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(library))


def thread_of(channel: fr.channel.Channel) -> int:
    """Number of the thread that fills a channel."""
    until(lambda: channel.stats.recorded)
    return int(channel.current()["thread"])


def locked() -> int:
    """Bytes of this process that stay in memory."""
    return 1024 * int(re.search(r"VmLck:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def without_power(script: str, *arguments: object, limits: str = "true") -> str:
    """What a script printed that may do no more than its limits, after some of the shell's, say."""
    command = f'{limits} && exec {" ".join(POWERLESS)} "$@"'
    python = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(
        ["bash", "-c", command, "bash", *python], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


ASKING = """
import sys, fastrec as fr
with fr.Recorder() as rec:
    asked = {"realtime": 20, "affinity": 0, "lock_memory": True}
    channel = rec.add("a", "linux:rusage", rate=1000, capacity=4096, **asked)
    while channel.stats.recorded < 3: pass
for name, outcome in channel.stats.privileges.items():
    print(name, outcome)
"""


class TestGranted:
    """The kernel is asked what is so."""

    def test_all(self, getters: ctypes.CDLL, tmp_path: Path) -> None:
        before = locked()
        with fr.Recorder(tmp_path / "run.fastrec") as rec:
            channel = rec.add("a", seen(getters), rate=1000, capacity=4096, **ALL)
            thread = thread_of(channel)
            assert os.sched_getscheduler(thread) == os.SCHED_FIFO
            assert os.sched_getparam(thread).sched_priority == 10
            assert os.sched_getaffinity(thread) == {1}
            assert locked() - before >= channel.ring.core.size + channel.polling.size
            # The asker's own thread is as it was.
            assert os.sched_getscheduler(0) == os.SCHED_OTHER and os.sched_getaffinity(0) > {1}
            wanted = {"realtime": "granted", "affinity": "granted", "lock_memory": "granted"}
            assert channel.stats.privileges == channel.stats.as_dict()["privileges"] == wanted
        assert channel.stats.privileges == wanted  # also when the thread has gone
        assert fr.open(tmp_path / "run.fastrec").stats["a"]["privileges"] == wanted

    def test_before_the_first_poll(self, getters: ctypes.CDLL) -> None:
        rec = fr.Recorder()
        rec.add("a", seen(getters), rate=1000, realtime=7, affinity=[0])
        (thread,) = [
            int(task.name)
            for task in Path("/proc/self/task").iterdir()
            if (task / "comm").read_text() == "fr-main\n"
        ]
        assert os.sched_getparam(thread).sched_priority == 7 and os.sched_getaffinity(thread) == {0}
        rec.stop()

    def test_nothing_was_asked(self, getters: ctypes.CDLL) -> None:
        before = locked()
        with fr.Recorder() as rec:
            channel = rec.add("a", seen(getters), rate=1000, realtime=False)
            thread = thread_of(channel)
            assert channel.stats.privileges == {} and locked() == before
            assert os.sched_getscheduler(thread) == os.SCHED_OTHER
            assert os.sched_getaffinity(thread) == os.sched_getaffinity(0)
            assert channel.current()["slack"] == 1

    def test_a_thread_of_python(self) -> None:
        """A Python function may be called in real time: whoever has the GIL is waited for all the same."""
        seen: list[tuple[int, set[int]]] = []

        def get() -> bytes:
            seen.append((os.sched_getscheduler(0), os.sched_getaffinity(0)))
            return bytes(8)

        with fr.Recorder() as rec:
            source = fr.PyCall(get, schema=[("a", "<i8")])
            channel = rec.add("py", source, rate=100, realtime=True, affinity=[0])
            until(lambda: channel.stats.recorded > 2)
        assert seen[0] == (os.SCHED_OTHER, os.sched_getaffinity(0))  # the first call takes no slot
        assert set(map(str, seen[1:])) == {str((os.SCHED_FIFO, {0}))}

    def test_memory_of_a_pushed_channel(self) -> None:
        before = locked()
        with fr.Recorder() as rec:
            channel = rec.add("s", schema=SEEN, capacity=4096, lock_memory=True)
            assert channel.stats.privileges == {"lock_memory": "granted"}
            assert locked() - before >= channel.ring.core.size
        del rec, channel
        until(lambda: locked() == before)

    def test_what_is_locked_is_given_back(self, getters: ctypes.CDLL) -> None:
        before = locked()
        with fr.Recorder() as rec:
            for name in "abcdefgh":  # more than earlier tests can have left
                rec.add(name, seen(getters), rate=1000, capacity=64, lock_memory=True)
        del rec
        assert locked() == before


class TestRefused:
    def test_without_power_and_limits(self) -> None:
        """No right, no limit: each says so, and what was asked of processors needs none."""
        told = without_power(ASKING, limits="ulimit -l 100 && ulimit -r 0").splitlines()
        assert told[0].startswith(
            "realtime refused: Operation not permitted: RLIMIT_RTPRIO is 0; raise it to 20"
        )
        assert told[1] == "affinity granted"
        assert re.match(
            r"lock_memory refused: .*[0-9,]+ bytes to lock, and RLIMIT_MEMLOCK is 102,400", told[2]
        )

    def test_a_limit_is_a_right(self) -> None:
        told = without_power(ASKING, limits="ulimit -l 4096 && ulimit -r 0").splitlines()
        assert told[1:] == ["affinity granted", "lock_memory granted"]

    def test_the_ring_alone_is_not_enough(self) -> None:
        """What a getter fills, before it is in the ring, is locked too."""
        rec = fr.Recorder()
        size = rec.add("a", "linux:rusage", rate=10, capacity=4096).ring.core.size
        rec.stop()
        told = without_power(ASKING, limits=f"ulimit -l {size // 1024 + 4}").splitlines()
        assert re.match(
            "lock_memory refused: Cannot allocate memory: [0-9]{2},[0-9]{3} bytes to lock", told[2]
        )

    @pytest.mark.parametrize("affinity", [True, "1", [], [-1], 1.5])
    def test_what_is_no_processor(self, affinity: object) -> None:
        with pytest.raises(fr.SourceError, match="it is the number of a processor"):
            fr.Recorder().add("a", "linux:rusage", rate=10, affinity=affinity)

    @pytest.mark.parametrize("affinity", [1023, [0, 1023], range(1024)])
    def test_processors_that_are_not_there(self, getters: ctypes.CDLL, affinity: object) -> None:
        """Not even those that are: the thread runs where it did."""
        with fr.Recorder() as rec:
            channel = rec.add("a", seen(getters), rate=1000, affinity=affinity)
            outcome = channel.stats.privileges["affinity"]
            assert os.sched_getaffinity(thread_of(channel)) == os.sched_getaffinity(0)
        assert outcome.startswith("refused: Invalid argument: ") and "1023] asked for" in outcome

    def test_the_only_processor(self) -> None:
        """A thread that never sleeps does not take it for ever, nor does a channel make it one."""
        script = """
import os, fastrec as fr
os.sched_setaffinity(0, {0})
with fr.Recorder() as rec:
    for name, options in {"max": {"rate": "max"}, "spun": {"rate": 100, "spin": "10ms"}}.items():
        channel = rec.add(name, "linux:rusage", thread=name, realtime=True, **options)
        print(channel.stats.privileges["realtime"])
        rec.thread(name).paused().__enter__()
    paced = rec.add("paced", "linux:rusage", rate=100, realtime=True)
    print(paced.stats.privileges["realtime"])
    try:
        rec.add("more", "linux:rusage", rate="max")
    except fr.SourceError as error:
        print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0 and done.stderr == "", done.stderr
        *sleepless, paced, error = done.stdout.splitlines()
        assert sleepless == ["refused: it never sleeps, and nothing else could run on the only processor"] * 2
        assert paced == "granted" and error.startswith(
            "channel 'more' never sleeps, and thread 'main' is real-time"
        )


class TestWhoDecides:
    def test_the_first_channel(self, getters: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            first = rec.add("a", seen(getters), rate=1000, realtime=12)
            silent = rec.add("b", seen(getters), rate=100)
            same = rec.add("c", seen(getters), rate=100, realtime=12)
            for options, complaint in (
                ({"realtime": 13}, r"'d': realtime=13, but for thread 'main' 12 was asked first"),
                ({"affinity": 0}, r"'d': affinity=\[0\], but for thread 'main' nothing was asked first"),
            ):
                with pytest.raises(fr.SourceError, match=complaint):
                    rec.add("d", seen(getters), rate=100, **options)
            assert list(rec.channels) == ["a", "b", "c"]
            for channel in (first, silent, same):
                assert channel.stats.privileges == {"realtime": "granted"}
            other = rec.add("d", seen(getters), rate=100, realtime=13, thread="other")
            assert os.sched_getparam(thread_of(other)).sched_priority == 13
            assert os.sched_getparam(thread_of(first)).sched_priority == 12

    def test_a_first_channel_that_says_nothing(self, getters: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            rec.add("a", seen(getters), rate=1000)
            with pytest.raises(
                fr.SourceError, match="nothing was asked first; leave it out, or name another"
            ):
                rec.add("b", seen(getters), rate=1000, realtime=True)

    def test_not_one_that_was_refused(self, getters: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            failing = fr.Call(getters.get_seen, fr.OUT, schema=SEEN, returns="nonzero")
            with pytest.raises(fr.SourceError, match="failed"):
                rec.add("a", failing, rate=1000, realtime=12)
            channel = rec.add("a", seen(getters), rate=1000, realtime=5)
            assert os.sched_getparam(thread_of(channel)).sched_priority == 5

    def test_the_maker(self, getters: ctypes.CDLL) -> None:
        """A thread made with one of them; its first channel decides of the other."""
        with fr.Recorder() as rec:
            rec.thread("sdk", start=[seen(getters)], realtime=9)
            with pytest.raises(fr.SourceError, match="realtime=8, but for thread 'sdk' 9 was asked first"):
                rec.add("a", seen(getters), rate=1000, thread="sdk", realtime=8)
            channel = rec.add("a", seen(getters), rate=1000, thread="sdk", affinity=[0, 1])
            assert channel.stats.privileges == {"realtime": "granted", "affinity": "granted"}
            assert os.sched_getparam(thread_of(channel)).sched_priority == 9

    def test_a_thread_without_calls(self, getters: ctypes.CDLL) -> None:
        with fr.Recorder() as rec:
            thread = rec.thread("mine", affinity=1)
            assert rec.thread("mine") is thread and thread.privileges == {"affinity": "granted"}
            channel = rec.add("a", seen(getters), rate=1000, thread="mine")
            assert os.sched_getaffinity(thread_of(channel)) == {1}
            with pytest.raises(fr.SourceError, match="runs already"):
                rec.thread("mine", affinity=0)

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"realtime": 0}, "from 1 to 50"),
            ({"realtime": 51}, "from 1 to 50"),
            ({"affinity": []}, "number of a processor"),
            ({"affinity": "1"}, "number of a processor"),
        ],
    )
    def test_what_means_nothing(self, options: dict[str, object], complaint: str) -> None:
        with fr.Recorder() as rec:
            before = len(os.listdir("/proc/self/task"))
            with pytest.raises(fr.SourceError, match=complaint):
                rec.thread("sdk", **options)
            with pytest.raises(fr.SourceError, match=complaint):
                rec.add("a", "linux:rusage", rate=10, **options)
            assert len(os.listdir("/proc/self/task")) == before

    @pytest.mark.parametrize("options", [{"realtime": True}, {"affinity": 0}])
    def test_no_thread_polls_what_is_pushed(self, options: dict[str, object]) -> None:
        with fr.Recorder() as rec, pytest.raises(fr.SourceError, match="this channel is pushed"):
            rec.add("s", schema=SEEN, **options)


class TestCommandLine:
    def test_granted(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "run.fastrec"
        wanted = ["--realtime", "12", "--affinity", "0-1", "--lock-memory"]
        assert main(["record", "linux:rusage@1000", "--records", "5", "-o", str(path), *wanted]) == 0
        assert "  granted   realtime, affinity, lock_memory\n" in capsys.readouterr().out
        assert set(fr.open(path).stats["rusage"]["privileges"].values()) == {"granted"}

    def test_refused(self, tmp_path: Path) -> None:
        script = "import sys; from fastrec.cli import main; sys.exit(main(sys.argv[1:]))"
        asked = ["--lock-memory", "--affinity", "1,1000-1001", "--realtime"]
        command = ["record", "linux:rusage@1000", "--records", "5", *asked]
        text = without_power(
            script, *command, "-o", tmp_path / "a.fastrec", limits="ulimit -l 0 && ulimit -r 0"
        )
        assert "  refused   realtime: Operation not permitted: RLIMIT_RTPRIO is 0; raise it to 10" in text
        assert "  refused   affinity: Invalid argument: [1, 1000, 1001] asked for; this process has" in text
        assert "  refused   lock_memory: " in text and "granted" not in text
        text = without_power(
            script, *command, "--json", "-o", tmp_path / "b.fastrec", limits="ulimit -l 0 && ulimit -r 0"
        )
        outcomes = json.loads(text)["channels"]["rusage"]["privileges"]
        assert list(outcomes) == ["realtime", "affinity", "lock_memory"]
        assert all(outcome.startswith("refused: ") for outcome in outcomes.values())

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--realtime", "fast"], "'fast' is no priority"),
            (["--realtime=0"], "from 1 to 50"),
            (["--affinity", "3-1"], "'3-1' are no processors"),
            (["--affinity", "1,,2"], "are no processors"),
            (["--affinity", "0-99999"], "are no processors"),
            (["--affinity", "1024"], "from 0 to 1,023"),
        ],
    )
    def test_what_means_nothing(
        self, arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "run.fastrec"
        assert main(["record", "linux:rusage@10", "-o", str(path), *arguments]) in (1, 2)
        out, err = capsys.readouterr()
        assert said in err and err.count("\n") == 1 and out == "" and not path.exists()
