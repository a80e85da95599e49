"""A command that is recorded while it runs: its code, its signals, and what it gets of ours."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from children import PIPES, child
from waiting import until

import fastrec as fr
from fastrec.cli import main
from fastrec.cli.defaults import CommandRecorder
from fastrec.cli.ending import Ending
from fastrec.cli.record_command import Command
from fastrec.errors import RecordingError
from fastrec.recorder import Recorder

Run = Callable[..., str]

RECORD = ["record", "linux:rusage@500", "-o", "run.fastrec"]

CHILD = [sys.executable, "-m", "fastrec", *RECORD]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test records into a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def script(text: str, name: str = "soak.sh") -> str:
    Path(name).write_text(text)
    Path(name).chmod(0o755)
    return f"./{name}"


def texts() -> list[str]:
    """Of the marks of the recording, which is whole and closed."""
    run = fr.open("run.fastrec")
    assert run.state == "closed" and run.verify().ok and {mark.kind for mark in run.marks} == {"mark"}
    return [mark.text for mark in run.marks]


def text_of(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""


@pytest.mark.parametrize(
    ("does", "code", "how"),
    [
        ("exit 3", 3, "ended: exit code 3"),
        ("true", 0, "ended: exit code 0"),
        ("kill -9 $$", 137, "was killed by SIGKILL"),
        ("kill -40 $$", 168, "was killed by signal 40"),
    ],
)
def test_its_end_is_that_of_the_recording(
    capfd: pytest.CaptureFixture[str], does: str, code: int, how: str
) -> None:
    assert main([*RECORD, "--", "sh", "-c", f"echo 'a b'; {does}"]) == code
    out, err = capfd.readouterr()
    started, ended = texts()
    assert re.fullmatch(r"command started: sh -c 'echo .*', pid [1-9]\d*", started, re.DOTALL)
    assert re.fullmatch(rf"command {how} after [\d.]+ m?s", ended)
    assert out == "a b\n" and err.startswith(f"{ended}\nrun.fastrec: closed, ")
    run = fr.open("run.fastrec")
    first, last = (mark.mono_ns for mark in run.marks)
    assert run["rusage"]["mono_ns"][0] < first < last


SLOW = """
import time
import fastrec as fr
calls = []
def status():
    calls.append(0)
    time.sleep(0.4 * (len(calls) == 2))  # the first of those that take a slot
    return {"x": len(calls)}
def setup(rec):
    rec.add("x", fr.PyCall(status, schema=[("x", "<i4")]))
"""


def test_it_is_started_behind_the_first_records() -> None:
    Path("bench.py").write_text(SLOW)
    assert (
        main(["record", "bench.py", "--rate", "50", "-o", "run.fastrec", "--quiet", "--", "--", "true"]) == 0
    )
    run = fr.open("run.fastrec")
    assert run["x"]["x"][0] == 2 and run["x"]["mono_ns"][0] < run.marks[0].mono_ns


def test_stdout_has_json_alone(capfd: pytest.CaptureFixture[str]) -> None:
    argv = ["sh", "-c", 'echo "$1"; exit 3', "x", "é\udcff"]
    assert main([*RECORD, "--json", "--", *argv]) == 3
    out, err = capfd.readouterr()
    about = json.loads(out)
    seconds = about["command"].pop("seconds")
    assert about["command"] == {"argv": [*argv[:-1], "é\\udcff"], "exit_code": 3} and 0 < seconds < 60
    assert (about["ended_by"], about["closed"]) == ("command", True)
    assert err == "é\ufffd\n" and "x 'é\udcff', pid" in texts()[0]


@pytest.mark.parametrize(
    ("code", "argv", "said"),
    [
        (127, ("no-such-command",), "no-such-command: there is no such command"),
        (127, ("plain.sh", "x"), "did you mean ./plain.sh?"),
        (127, ("",), "'': there is no such command"),
        (126, ("./plain.sh",), "./plain.sh: may not be executed; chmod +x ./plain.sh"),
        (126, ("./folder",), "./folder: is a folder"),
        (2, (), "there is no command behind --"),
    ],
)
def test_what_cannot_be_run_leaves_nothing(
    here: Path, refused: Run, code: int, argv: tuple[str, ...], said: str
) -> None:
    Path("plain.sh").write_text("")
    Path("folder").mkdir()
    assert said in refused(code, *RECORD, "--duration", "1", "--", *argv)
    assert not Path("run.fastrec").exists()


def test_what_is_found_out_too_late_is_told_once(refused: Run) -> None:
    soak = script("#!/no/such/shell\n")
    line = refused(127, *RECORD, "--quiet", "--", soak)
    assert "./soak.sh: cannot be executed: No such file" in line and "first line" in line
    assert texts() == [f"command was not started: {line[len('fastrec: ') : -1]}"]


def test_a_script_whose_first_line_names_no_shell(command: Run) -> None:
    soak = script("echo $1 > said\n")
    command(*RECORD, "--quiet", "--", soak, "a  b", "x" * 5000)
    assert text_of("said") == "a b\n"
    assert re.fullmatch(r"command started: \./soak\.sh 'a  b' x{3900,4096}\.\.\., pid \d+", texts()[0])


@pytest.mark.parametrize(("own", "code"), [(0, 1), (3, 3)])
def test_a_recording_that_fails_is_told_and_the_command_goes_first(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], own: int, code: int
) -> None:
    stop = Recorder.stop

    def fail(recorder: Recorder) -> None:
        stop(recorder)
        raise RecordingError("no room on the disk")

    def refuse(recorder: Recorder, text: object) -> None:
        raise RecordingError("no room for a mark")

    monkeypatch.setattr(Recorder, "stop", fail)
    monkeypatch.setattr(Recorder, "mark", refuse)
    assert main([*RECORD, "--quiet", "--", "sh", "-c", f"touch ran; exit {own}"]) == code
    assert Path("ran").exists()
    told = ["no room for a mark", "no room for a mark", "no room on the disk"]
    assert sorted(capfd.readouterr().err.splitlines()) == [f"fastrec: {line}" for line in told]


@pytest.mark.parametrize("limit", [("--duration", "0.1"), ("--records", "20")])
def test_whichever_comes_first_ends_both(capfd: pytest.CaptureFixture[str], limit: tuple[str, str]) -> None:
    assert main([*RECORD, "--json", *limit, "--", "sleep", "30"]) == 124
    out, err = capfd.readouterr()
    about = json.loads(out)
    assert (err, about["ended_by"], about["command"]["exit_code"]) == ("", limit[0].removeprefix("--"), 143)
    assert re.fullmatch(r"command was killed by SIGTERM after .*s, sent SIGTERM by fastrec", texts()[1])


def test_one_that_is_stopped_hears_that_its_time_is_up() -> None:
    argv = [*CHILD, "--quiet", "--duration", "0.1", "--", "sh", "-c", "kill -STOP $$"]
    with child(argv) as process:
        assert process.wait(60) == 124


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_its_cleaning_up_waited_for(number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    soak = script(
        f"#!/bin/sh\ntrap 'sleep 0.2; echo clean; exit 5' {name}\ntouch ready\nwhile :; do sleep 0.01; done\n"
    )
    # Without a terminal, which would tell both of an interrupt.
    with child([*CHILD, "--json", "--", soak], start_new_session=True, **PIPES) as process:
        until(Path("ready").exists)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    about = json.loads(out)
    assert (process.returncode, err, about["ended_by"]) == (5, "clean\n", number.name)
    assert re.fullmatch(rf"command ended: exit code 5 after .*s, sent {number.name} by fastrec", texts()[1])


def test_a_signal_before_it_is_started_is_its_end() -> None:
    with Ending() as ending, CommandRecorder("run.fastrec", {}) as recorder:
        recorder.add("cpu", "linux:rusage", rate=100)
        command = Command(["touch", "ran"], quiet=False)
        signal.raise_signal(signal.SIGTERM)
        with command.running(recorder, ending):
            assert command.ended_by == "SIGTERM"
    assert command.failed == 143 and not Path("ran").exists()
    assert command.as_dict() == {"argv": ["touch", "ran"], "exit_code": None, "seconds": None}


# What begins it has a terminal of its own, whose foreground it is.
TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""

PATIENT = """
import os, signal, sys, time
if len(sys.argv) > 1:
    os.setpgid(0, 0)
from pathlib import Path
def note(number, frame):
    with open("interrupts", "a") as file:
        file.write("x")
signal.signal(signal.SIGINT, note)
Path("ready").touch()
while not Path("go").exists():
    time.sleep(0.01)
raise SystemExit(4)
"""


@pytest.mark.parametrize(("apart", "sent"), [([], ""), (["apart"], ", sent SIGINT by fastrec")])
def test_an_interrupt_of_the_terminal_reaches_it_once_and_no_bar_is_shown(
    apart: list[str], sent: str
) -> None:
    ours, theirs = os.openpty()
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    argv = [sys.executable, "-c", TERMINAL, *CHILD, "--", sys.executable, "-c", PATIENT, *apart]
    try:
        with child(argv, **streams) as process:
            until(Path("ready").exists)
            for count in (1, 2):
                os.write(ours, b"\x03")
                until(lambda count=count: len(text_of("interrupts")) >= count)
            seen = len(fr.open("run.fastrec")["rusage"])
            until(
                lambda: len(fr.open("run.fastrec")["rusage"]) > seen + 50
            )  # it goes on as long as that does
            Path("go").touch()
            assert process.wait(60) == 4
        shown = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert text_of("interrupts") == "xx"
    assert re.fullmatch(rf"command ended: exit code 4 after [\d.]+ m?s{sent}", texts()[1])
    assert "run.fastrec: closed, " in shown and "Ctrl-C ends it" not in shown


PROBE = """
import os
status = open("/proc/self/status").read().splitlines()
print([line for line in status if line.startswith(("Sig", "Cpus_allowed", "VmLck")) and "SigQ" not in line])
print(os.sched_getscheduler(0), os.sched_getaffinity(0), os.getpriority(0, 0))
print(open("/proc/self/timerslack_ns").read())
names = [f"/proc/self/fd/{name}" for name in sorted(os.listdir("/proc/self/fd"))]
print([os.readlink(name) for name in names if os.path.lexists(name)])
"""

OPENS = """
import os
def setup(rec):
    rec.add("cpu", "linux:rusage")
    os.set_inheritable(os.open("bench.py", os.O_RDONLY), True)
"""


def test_it_has_what_we_were_given_and_nothing_of_ours() -> None:
    Path("bench.py").write_text(OPENS)
    probe = [sys.executable, "-c", PROBE]
    asked = ["--rate", "100", "--realtime", "--lock-memory", "--affinity", str(min(os.sched_getaffinity(0)))]
    record = [sys.executable, "-m", "fastrec", "record", "bench.py", *asked, "--quiet", "--", "--"]
    with open("given", "w+b") as given, open("in", "w+b") as stdin:
        options = {"stdin": stdin, "pass_fds": [given.fileno()], "text": True, "check": True}
        alone, under = (
            subprocess.run([*first, *probe], stdout=subprocess.PIPE, stderr=stdin, **options).stdout
            for first in ([], record)
        )
    assert re.sub(r"pipe:\[\d+\]", "pipe", alone) == re.sub(r"pipe:\[\d+\]", "pipe", under)
    assert "/given'" in under and "bench.py" not in under


def test_its_code_is_known_where_ends_of_children_are_ignored() -> None:
    command = ["env", "--ignore-signal=CHLD", *CHILD, "--quiet", "--", "sh", "-c", "exit 3"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 3


@pytest.mark.parametrize(
    ("option", "deaf", "unbuffered"),
    [("--json", "stdout", ""), ("--json", "stdout", "1"), ("--resume", "stderr", "")],
)
def test_nobody_need_read_what_we_say_of_it(option: str, deaf: str, unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, deaf: writer}
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with child([*CHILD, option, "--", "sh", "-c", "exit 3"], env=environment, **streams) as process:
        os.close(writer)
        assert process.wait(60) == 3
    assert len(texts()) == 2


LIVES = """
import sys
from fastrec.sources import registry
class Over:
    ended, outcome = True, "over"
    def __init__(self):
        self._usage = registry.source("linux:rusage")
        self.schema, self.getter, self.check = self._usage.schema, self._usage.getter, self._usage.check
    def begin(self): pass
    def finish(self): pass
def setup(rec):
    rec.add(sys.argv[1], Over())
"""


def test_of_a_file_it_stands_behind_a_second_pair_of_dashes(capfd: pytest.CaptureFixture[str]) -> None:
    Path("bench.py").write_text(LIVES)
    file = [
        "record",
        "bench.py",
        "--rate",
        "500",
        "-o",
        "run.fastrec",
        "--json",
        "--duration",
        "20",
        "--",
        "left",
    ]
    soak = "import time; time.sleep(0.3); raise SystemExit(3)"
    assert main([*file, "--", sys.executable, "-c", soak, "--", "x"]) == 3
    about = json.loads(capfd.readouterr().out)
    assert list(about["channels"]) == ["left"] and about["command"]["argv"][-2:] == ["--", "x"]
    assert about["ended_by"] == "command"  # a source that ends before it is no reason
    assert main([*file, "--"]) == 2


STOPS = """
import threading
from pathlib import Path
def setup(rec):
    rec.add("rusage", "linux:rusage")
    def stop():
        while not Path("ready").exists():
            pass
        rec.stop()
    threading.Thread(target=stop, daemon=True).start()
"""


def test_a_recording_that_its_file_stops_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    Path("bench.py").write_text(STOPS)
    file = ["record", "bench.py", "--rate", "500", "-o", "run.fastrec", "--json", "--"]
    assert main([*file, "--", "sh", "-c", "touch ready; exec sleep 30"]) == 124
    out, err = capfd.readouterr()
    about = json.loads(out)
    assert (err, about["ended_by"], about["command"]["exit_code"]) == ("", "stop", 143)
