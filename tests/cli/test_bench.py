"""``fastrec record FILE.py``: setup and teardown, the command's options as defaults, every way to fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from children import PIPES, child
from programs import build
from tasks import tasks
from waiting import until

import fastrec as fr
from fastrec.cli import main

Run = Callable[..., str]

SHORT = ("--rate", "100", "--duration", "0.1")

PLAIN = """
from pathlib import Path
def setup(rec):
    rec.add("cpu", "linux:rusage")
def teardown(rec):
    Path("closed").write_text(str(rec["cpu"].stats.published))
"""

STATUS = """
import ctypes
class Status(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("axis", ctypes.c_int32), ("rest", ctypes.c_uint8 * 24)]
"""

SDK = """
import ctypes, os
from pathlib import Path
import fastrec as fr
from status import Status

lib = ctypes.CDLL(os.path.abspath("motor.so"))
assert __name__ != "__main__" and __file__ == os.path.abspath("bench.py")

def setup(rec):
    assert isinstance(rec, fr.Recorder)
    rec.thread("sdk", start=[fr.Call(lib.motor_open)], stop=[fr.Call(lib.motor_close)])
    for axis in range(3):
        rec.add(f"axis{axis}", fr.Call(lib.get_status, axis, fr.OUT, schema=Status), thread="sdk")
    rec.add("axis3", fr.Call(lib.get_status, 3, fr.OUT, schema=Status), thread="sdk", rate=500)
    rec.add("pushed", schema=Status).push(bytes(32))

def teardown(rec):
    assert lib.motor_close() == -9, "its thread closes it before"
    Path("closed").write_text("yes")
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bench(text: str = PLAIN, name: str = "bench.py") -> str:
    Path(name).write_text(text)
    return name


def options_of(run: str, channel: str) -> dict[str, object]:
    return json.loads(Path(run, "channels", channel, "channel.json").read_text())["options"]


def test_an_sdk_that_needs_opening(command: Run) -> None:
    """Every channel of a real library, opened before and closed after, on a thread of its own."""
    build(Path(), "motor.c", "-shared", "-fPIC")
    bench(STATUS, "status.py")
    text = command("record", bench(SDK), "--rate", "1000", "--duration", "0.3", "--metadata", "who=me")
    run = fr.open("bench.fastrec")
    assert run.state == "closed" and run.verify().ok and Path("closed").read_text() == "yes"
    assert list(run) == ["axis0", "axis1", "axis2", "axis3", "pushed"]
    for axis in range(4):
        assert set(run[f"axis{axis}"]["axis"].tolist()) == {axis}
    assert run.info["metadata"] == {"who": "me"}
    assert "axis3: get_status at 500 Hz\n" in text and "pushed: Status, pushed\n" in text


class TestDefaults:
    def test_the_command_says_what_the_file_does_not(self, command: Run) -> None:
        file = bench(
            "def setup(rec):\n"
            "    rec.add('a', 'linux:rusage')\n"
            "    rec.add('b', 'linux:rusage', rate=50, store='every', capacity=200)\n"
            "    rec.add('c', 'linux:rusage', ignore=['ru_stime'], heartbeat='2s', when_full='drop')\n"
            "    rec.add('d', 'linux:timex')\n"
            "    rec.add('e', schema=[('x', '<i4')])\n"
        )
        given = ("--rate", "100", "--store", "changes", "--ignore", "ru_utime", "--heartbeat", "1500ms")
        command("record", file, *given, "--capacity", "300", "--duration", "0.1", "-o", "r", "--quiet")
        a, b, c, d, e = (options_of("r", name) for name in "abcde")
        assert (a["rate"], a["store"], a["capacity"]) == ("100", "changes", 300)
        assert a["ignore"] == ["ru_utime.tv_sec", "ru_utime.tv_usec"] and a["heartbeat_ns"] == 1_500_000_000
        assert (b["rate"], b["store"], b["capacity"], b["ignore"]) == ("50", "every", 200, [])
        assert c["ignore"] == ["ru_stime.tv_sec", "ru_stime.tv_usec"] and c["heartbeat_ns"] == 2_000_000_000
        assert (a["when_full"], c["when_full"]) == ("overwrite", "drop")
        assert d["ignore"] == [] and d["store"] == "changes"
        assert (e["rate"], e["store"], e["capacity"]) == (None, "every", 300)

    def test_of_a_thread_its_first_channel_decides_or_its_maker(self, command: Run) -> None:
        processor = min(os.sched_getaffinity(0))
        file = bench(
            "import fastrec as fr\n"
            "def setup(rec):\n"
            f"    rec.thread('mine', affinity={processor})\n"
            "    rec.add('a', 'linux:rusage', thread='mine')\n"
            "    rec.add('b', 'linux:rusage')\n"
            "    rec.add('c', 'linux:rusage')\n"
            f"    rec.add('d', 'linux:rusage', thread='other', affinity=[{processor}])\n"
            "    rec.add('e', fr.PyCall(lambda: {'x': 1}, schema=[('x', '<i4')]))\n"
        )
        given = ("--affinity", f"{processor},1000", "--rate", "20", "--duration", "0.1", "--json")
        channels = json.loads(command("record", file, *given))["channels"]
        assert all(channels[name]["privileges"]["affinity"] for name in "abcde")
        assert channels["a"]["privileges"]["affinity"] == channels["d"]["privileges"]["affinity"] == "granted"

    def test_a_thread_made_without_a_wish_takes_the_commands(self, command: Run) -> None:
        build(Path(), "motor.c", "-shared", "-fPIC")
        processor = min(os.sched_getaffinity(0))
        file = bench(
            "import ctypes, fastrec as fr\nlib = ctypes.CDLL('./motor.so')\n"
            "def setup(rec):\n"
            "    rec.thread('sdk', stop=[fr.Call(lib.motor_close, returns='nonzero')])\n"
            "    rec.add('a', 'linux:rusage', thread='sdk')\n"
        )
        given = ("--affinity", str(processor), "--rate", "20", "--duration", "0.1", "--json")
        channels = json.loads(command("record", file, *given))["channels"]
        assert channels["a"]["privileges"] == {"affinity": "granted"}

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (("--ignore", "ru_utim"), "no field 'ru_utim'; did you mean 'ru_utime.tv_sec'"),
            (("--ignore", "calls"), "no field 'calls'"),
        ],
    )
    def test_a_field_that_no_channel_has(self, given: tuple[str, ...], told: str, refused: Run) -> None:
        assert told in refused(1, "record", bench(), "--rate", "9", "--store", "changes", *given)

    def test_a_field_that_no_channel_asks_for(self, refused: Run) -> None:
        file = bench("def setup(rec):\n    rec.add('a', 'linux:rusage', rate=9, store='every')\n")
        line = refused(1, "record", file, "--store", "changes", "--ignore", "ru_utime")
        assert "--ignore ru_utime: no channel took it" in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def setup(rec):\n    x = 1\n    y = 1 / 0\n", "line 3, in setup: ZeroDivisionError: division"),
        ("import nothing_of_the_kind\n", "line 1: ModuleNotFoundError: No module named 'nothing"),
        ("\ndef setup(rec)\n", "line 2: SyntaxError: expected ':'"),
        ("x = '\0'\n", "null bytes"),
        ("x = 1\n", "has no function setup(rec), which adds the channels\n"),
        ("def setpu(rec): pass\n", "which adds the channels; did you mean 'setpu'?"),
        ("setup = 5\n", "setup is a int, no function"),
        ("async def setup(rec): pass\n", "setup(rec) is async or yields; write a plain function"),
        ("def setup(rec):\n    yield\n", "setup(rec) is async or yields"),
        ("def setup(rec): pass\n", "setup(rec) has added no channel; call rec.add(NAME, SOURCE)"),
        ("def setup(): pass\n", "in setup: TypeError: setup() takes 0 positional arguments but 1 was given"),
        ("def setup(rec):\n    rec.add('a', 'linux:rusgae')\n", "line 2, in setup: linux has no getter"),
        ("def setup(rec):\n    rec.add('a', 'linux:rusage')\n", "line 2, in setup: "),
        ("def setup(rec):\n    rec.start()\n", "line 2, in setup: this recorder is not yours to start"),
        ("def setup(rec):\n    with rec: pass\n", "line 2, in setup: this recorder is not yours to start"),
        ("def setup(rec):\n    rec.stop()\n", "line 2, in setup: this recorder is not yours to stop"),
        ("import sys\ndef setup(rec):\n    sys.exit('gone')\n", "line 3, in setup: SystemExit: gone"),
        ("def setup(rec):\n    raise ValueError('a\\nb\\x1b[31m')\n", "in setup: ValueError: a b\\x1b[31m"),
        ("def f():\n    raise OSError(5, 'I/O')\ndef setup(rec):\n    f()\n", "line 2, in setup: OSError: "),
        ("import failing\ndef setup(rec): pass\n", "line 1: RuntimeError: of another file"),
    ],
)  # fmt: skip
def test_one_line_says_where_and_what(here: Path, refused: Run, text: str, told: str) -> None:
    Path("failing.py").write_text("raise RuntimeError('of another file')")
    path = list(sys.path)
    assert f"fastrec: bench.py{', ' if told[:4] in ('line', 'in s') else ': '}" in (
        line := refused(1, "record", bench(text))
    )
    assert told in line
    assert sys.path == path and "__record__" not in sys.modules
    assert not Path("bench.fastrec").exists()
    until(lambda: not tasks("fr-"))


@pytest.mark.parametrize(
    ("code", "given", "told"),
    [
        (1, ("bnech.py",), "bnech.py: there is no such file; did you mean 'bench.py'?"),
        (1, ("no/such.py",), "no/such.py: there is no such file"),
        (1, ("folder.py",), "folder.py: is no file"),
        (2, ("bench.py", "linux:rusage"), "bench.py says what is recorded; leave linux:rusage out"),
        (2, ("a=linux:rusage", "bench.py"), "leave a=linux:rusage out, and add it in its setup(rec)"),
        (2, ("bench.py", "other.py"), "leave other.py out"),
        (2, ("bench.py", "--name", "x"), "--name is for a SOURCE; say it in bench.py"),
        (2, ("bench.py", "--url", "x"), "--url is for a SOURCE; say it in bench.py"),
        (2, ("bench.py", "--heartbeat", "1s"), "--heartbeat needs --store changes"),
    ],
)
def test_what_cannot_be(refused: Run, code: int, given: tuple[str, ...], told: str) -> None:
    bench()
    Path("folder.py").mkdir()
    assert told in refused(code, "record", *given, "--rate", "9")


def test_a_field_that_has_another_name_here(capsys: pytest.CaptureFixture[str]) -> None:
    file = bench("def setup(rec):\n    rec.add('a', schema=[('polls', '<i4')]).push(bytes(4))\n")
    for more in ("--json", "--quiet"):
        assert main(["record", file, "--duration", "0.01", more]) == 0
        told = "fastrec: polls is a column of the recorder; a field of this name is called polls_\n"
        assert capsys.readouterr().err == ("" if more == "--quiet" else told)


def test_a_source_may_end_like_a_file(command: Run) -> None:
    command("record", f"linux:fstat:{bench()}", "--rate", "100", "--records", "2", "-o", "r")
    assert list(fr.open("r")) == ["fstat"]


def test_a_folder_that_exists_is_told_before_anything_is_opened(refused: Run) -> None:
    Path("r").mkdir()
    assert "exists" in refused(
        1, "record", bench("import os\nos.mkdir('ran')\n" + PLAIN), "--rate", "9", "-o", "r"
    )
    assert not Path("ran").exists()


def test_teardown_comes_after_a_setup_that_failed(refused: Run) -> None:
    text = PLAIN.replace("linux:rusage", "linux:rusgae").replace('rec["cpu"].stats.published', '"x"')
    assert "line 4, in setup: " in refused(1, "record", bench(text), "--rate", "9")
    assert Path("closed").read_text() == "x"


def test_teardown_does_not_come_where_setup_never_began(refused: Run) -> None:
    assert "line 1: " in refused(1, "record", bench("1 / 0\n" + PLAIN), "--rate", "9")
    assert not Path("closed").exists()


def test_both_failures_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    file = bench("def setup(rec):\n    raise ValueError('a')\ndef teardown(rec):\n    raise OSError('b')\n")
    assert main(["record", file]) == 1
    assert capsys.readouterr().err == (
        "fastrec: bench.py, line 4, in teardown: OSError: b\n"
        "fastrec: bench.py, line 2, in setup: ValueError: a\n"
    )


def test_a_teardown_that_fails_leaves_a_closed_recording(capsys: pytest.CaptureFixture[str]) -> None:
    file = bench(f"{PLAIN}    raise ValueError('stuck')\n")
    assert main(["record", file, "--rate", "100", "--records", "3"]) == 1
    out, err = capsys.readouterr()
    assert err == "fastrec: bench.py, line 7, in teardown: ValueError: stuck\n"
    assert out.startswith("bench.fastrec: closed, ") and "cpu: getrusage at 100 Hz" in out
    run = fr.open("bench.fastrec")
    assert run.state == "closed" and run.verify().ok and len(run["cpu"]) >= 3


def test_frame_by_frame_for_whoever_asks(capsys: pytest.CaptureFixture[str]) -> None:
    file = bench("def f():\n    raise ValueError('deep')\ndef setup(rec):\n    f()\n")
    assert main(["record", file, "--traceback"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "fastrec: Traceback (most recent call last):"
    assert "line 4, in setup" in lines[1] and "line 2, in f" in lines[3] and "raise ValueError" in lines[4]
    assert lines[-1] == "fastrec: bench.py, line 2, in setup: ValueError: deep"


def test_what_the_file_prints_leaves_json_whole(capsys: pytest.CaptureFixture[str]) -> None:
    work = "    import threading\n    threading.Timer(0.05, print, ['thread']).start()\n    rec.add"
    file = bench("print('module')\n" + PLAIN.replace("    rec.add", f"    print('setup')\n{work}"))
    assert main(["record", file, "--rate", "100", "--records", "30", "--json"]) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)["channels"]) == ["cpu"] and err == "module\nsetup\nthread\n"


def test_a_mark_and_an_end_from_a_thread_of_the_file(command: Run) -> None:
    file = bench(
        "import threading, time\n"
        "def work(rec):\n"
        "    while rec['cpu'].stats.published < 5: time.sleep(0.01)\n"
        "    rec.mark('half')\n"
        "    rec.stop()\n"
        "def setup(rec):\n"
        "    rec.add('cpu', 'linux:rusage')\n"
        "    threading.Thread(target=work, args=[rec]).start()\n"
    )
    about = json.loads(command("record", file, "--rate", "200", "--json"))
    assert (about["ended_by"], about["closed"]) == ("stop", True)
    assert [mark.text for mark in fr.open("bench.fastrec").marks] == ["half"]


def test_arguments_of_the_file_stand_behind_two_dashes(command: Run, refused: Run) -> None:
    Path("bench.py").write_text(
        "import argparse, sys\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--axis', type=int, default=7)\naxis = parser.parse_args().axis\n"
        "def setup(rec):\n    assert sys.argv[0] == 'bench.py'\n    rec.add(f'axis{axis}', 'linux:rusage')\n"
    )
    before = sys.argv
    assert "axis7: " in command("record", "bench.py", *SHORT, "-o", "a.fastrec")
    assert "axis2: " in command("record", "bench.py", *SHORT, "-o", "b.fastrec", "--", "--axis", "2")
    assert sys.argv is before
    assert main(["record", "bench.py", *SHORT, "-o", "c.fastrec", "--", "--axes", "2"]) == 1
    assert not Path("c.fastrec").exists()
    assert "--axis: there is no such command" in refused(
        127, "record", "linux:rusage", *SHORT, "--", "--axis", "2"
    )


def test_the_file_is_read_as_python_reads_it(command: Run) -> None:
    """What our own files say of the future is not said of theirs."""
    Path("bench.py").write_text(
        PLAIN + "def typed(x: int): ...\nassert typed.__annotations__ == {'x': int}, typed.__annotations__\n"
    )
    assert "cpu: " in command("record", "bench.py", *SHORT, "-o", "a.fastrec")


def test_dataclasses_and_a_folder_elsewhere(command: Run, here: Path) -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/beside.py").write_text("RATE = 50\n")
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom beside import RATE\n"
        "@dataclass\nclass Where:\n    rate: int = RATE\n"
        "def setup(rec):\n    rec.add('cpu', 'linux:rusage', rate=Where().rate)\n"
    )
    command("record", bench(text, "elsewhere/b@=.py"), "--records", "2")
    assert options_of("b@=.fastrec", "cpu")["rate"] == "50"
    assert not list(here.rglob("*b@*.pyc"))


RECORD = [sys.executable, "-m", "fastrec", "record", "bench.py", "--rate", "200"]


def wait_for(path: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not Path(path).exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_sdk_opens(number: signal.Signals) -> None:
    bench(
        "import time\nfrom pathlib import Path\n"
        "def setup(rec):\n    rec.add('a', 'linux:rusage')\n    Path('began').touch()\n    time.sleep(600)\n"
        "def teardown(rec):\n    Path('closed').touch()\n"
    )
    with child(RECORD, **PIPES) as process:
        wait_for("began", process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "fastrec: interrupted\n")
    assert Path("closed").exists() and not Path("bench.fastrec").exists()


def test_a_signal_while_it_records() -> None:
    bench(PLAIN)
    with child([*RECORD, "--json"], **PIPES) as process:
        wait_for("bench.fastrec/channels/cpu/records.000000.npy", process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err, json.loads(out)["ended_by"]) == (0, "", "SIGINT")
    assert fr.open("bench.fastrec").state == "closed"
    assert int(Path("closed").read_text()) == len(fr.open("bench.fastrec")["cpu"])


def test_a_second_signal_ends_a_teardown_that_hangs() -> None:
    bench(f"{PLAIN}    import time\n    time.sleep(600)\n")
    with child(RECORD, **PIPES) as process:
        wait_for("bench.fastrec/channels/cpu/records.000000.npy", process)
        process.send_signal(signal.SIGINT)
        wait_for("closed", process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "fastrec: interrupted\n")
    assert out.startswith("bench.fastrec: closed, ") and fr.open("bench.fastrec").verify().ok
