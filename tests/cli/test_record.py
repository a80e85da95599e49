from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from children import PIPES, child
from tasks import tasks
from waiting import taken_away, until

import fastrec as fr
from fastrec.cli import main
from fastrec.cli.record import default_path
from fastrec.core.ring import tsc_refusal
from fastrec.errors import RecordingError
from fastrec.recorder import Recorder

Run = Callable[..., str]

CHILD = [sys.executable, "-m", "fastrec", "record", "linux:rusage"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test records into a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_of_the_readme(command: Run) -> None:
    text = command("record", "linux:rusage", "--rate", "1000", "--duration", "0.3", "-o", "run.fastrec")
    run = fr.open("run.fastrec")
    assert run.state == "closed" and run.verify().ok and list(run) == ["rusage"]
    stats = run.stats["rusage"]
    assert 300 <= stats["slots"] <= 3000
    assert (
        stats["slots"] == stats["recorded"] + stats["missed"] and len(run["rusage"]) == stats["recorded"] > 0
    )
    for said in (
        "run.fastrec: closed, ",
        "rusage: linux:rusage at 1000 Hz",
        f"  records   {stats['recorded']:,} of {stats['slots']:,} slots, ",
        f"  lost      {stats['missed']:,}",
        "  lateness  p50 ",
        "p99.9 ",
        "  fastrec cat run.fastrec rusage --last 5\n",
    ):
        assert said in text


def test_numpy_alone_loads_what_the_last_line_says(command: Run) -> None:
    text = command("record", "linux:rusage", "--rate", "1000", "--records", "20", "-o", "it's.fastrec")
    line = text.splitlines()[-1]
    program, minus_c, code = shlex.split(line)
    assert (program, minus_c) == ("python3", "-c")
    # Everything but the standard library and numpy is out of reach.
    only = (
        "import sys\n"
        "class Only:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.partition('.')[0]\n"
        "        if top != 'numpy' and top not in sys.stdlib_module_names:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Only())\n"
    )
    done = subprocess.run([sys.executable, "-c", only + code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    last = np.load("it's.fastrec/channels/rusage/records.000000.npy")[-1]
    assert done.stdout == f"{last}\n" and last["ru_maxrss"] > 0


def test_two_channels_of_different_rates(command: Run) -> None:
    about = json.loads(
        command(
            "record",
            "fast=linux:rusage@max",
            "slow=linux:rusage",
            "--rate",
            "100",
            "--records",
            "5",
            "--json",
        )
    )
    assert (about["path"], about["closed"], about["ended_by"]) == ("fast.fastrec", True, "records")
    assert list(about["channels"]) == ["fast", "slow"]
    fast, slow = (about["channels"][name] for name in ("fast", "slow"))
    assert fast["recorded"] > slow["recorded"] >= 5
    assert fast["slots"] == sum(fast[name] for name in ("recorded", "held", "missed", "failed", "dropped"))
    run = fr.open("fast.fastrec")
    assert len(run["slow"]) == slow["recorded"] and len(run["fast"]) + fast["overwritten"] == fast["recorded"]


def test_metadata_name_and_silence(command: Run) -> None:
    options = ("--name", "me", "--metadata", "who=a=b", "--metadata", "why=", "--durability", "never")
    text = command("record", "linux:rusage@200", "--records", "3", "--quiet", *options, "--flush", "10ms")
    run = fr.open("me.fastrec")
    assert text == "" and list(run) == ["me"]
    assert run.info["metadata"] == {"who": "a=b", "why": ""}


def recorded(command: Run, *given: str) -> tuple[dict[str, object], dict[str, object]]:
    """Statistics of twenty polls at 100 Hz, and the options that the recording has."""
    about = json.loads(command("record", "linux:rusage@100", "--records", "20", "--json", *given))
    channel = json.loads(Path(about["path"], "channels/rusage/channel.json").read_text())
    return about["channels"]["rusage"], channel["options"]


def test_how_long_it_spins(command: Run) -> None:
    asleep, _ = recorded(command, "--spin", "0")
    awake, _ = recorded(command, "--spin", "20ms")  # longer than the period: it never sleeps
    assert awake["cpu"] > 4 * asleep["cpu"] > 0


@pytest.mark.skipif(tsc_refusal() is not None, reason="the kernel does not keep time by the counter")
def test_what_stamps(command: Run) -> None:
    stats, options = recorded(command, "--clock", "tsc")
    assert stats["clock_error"] > 0 and options["clock"] == "tsc"
    assert recorded(command)[1]["clock"] == "monotonic"


def test_names_that_are_taken(here: Path) -> None:
    assert default_path("a") == Path("a.fastrec")
    Path("a.fastrec").mkdir()
    Path("a-2.fastrec").symlink_to("nowhere")
    assert default_path("a") == Path("a-3.fastrec")


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ("linux:rusage",), "--rate"),
        (2, ("linux:rusage", "--rate", "fast"), "'fast' is no rate"),
        (2, ("linux:rusage", "--rate", "1e999999999"), "is no rate"),
        (2, ("linux:rusage@",), "is no source"),
        (2, ("a=linux:rusage", "a=linux:rusage", "--rate", "9"), "two channels are called 'a'"),
        (2, ("linux:rusage", "b=linux:rusage", "--rate", "9", "--name", "x"), "--name is for one SOURCE"),
        (2, ("linux:rusage", "--rate", "9", "--duration", "soon"), "'soon' is not a duration"),
        (2, ("linux:rusage", "--rate", "9", "--flush", "5"), "is not a duration"),
        (2, ("linux:rusage", "--rate", "9", "--records", "0"), "above 0"),
        (2, ("linux:rusage", "--rate", "9", "--capacity", "0"), "above 0"),
        (2, ("linux:rusage", "--rate", "9", "--metadata", "x"), "KEY=VALUE"),
        (2, ("linux:rusage", "--rate", "9", "--when-full", "cry"), "'cry'"),
        (2, ("linux:rusage", "--rate", "9", "--spin", "5"), "is not a duration"),
        (2, ("linux:rusage", "--rate", "9", "--clock", "sun"), "'sun'"),
        (1, ("linux:rusgae", "--rate", "9"), "did you mean 'rusage'"),
        (1, ("linux:rusgae",), "did you mean 'rusage'"),
        (1, ("wmdrm", "--rate", "9"), "no source is called 'wmdrm' (a name is FAMILY:GETTER"),
        (2, ("a=linux:rusage", "--rate", "9", "--name", "b"), "give the channel one name"),
        (1, ("linus:rusage", "--rate", "9"), "did you mean 'linux'"),
        (1, ("rusage", "--rate", "9"), "FAMILY:GETTER"),
        (2, ("linux:rusage", "--rate", "0"), "rate="),
        (2, ("linux:rusage@1e9",), "rate="),
        (2, ("linux:rusage@1/0",), "rate="),
        (1, ("linux:rusage", "--rate", "9", "--capacity", "3"), "at least 64"),
        (1, ("linux:rusage", "--rate", "9", "-o", "no/where.fastrec"), "no"),
        (1, ("linux:rusage", "a=linux:nothing", "--rate", "9"), "nothing"),
    ],
)
def test_what_cannot_be_recorded_leaves_nothing(
    here: Path, refused: Run, code: int, arguments: tuple[str, ...], said: str
) -> None:
    assert said in refused(code, "record", *arguments)
    assert list(here.iterdir()) == []
    until(lambda: not tasks("fr-"))


def test_a_folder_that_is_there_stays_as_it_is(here: Path, refused: Run) -> None:
    Path("x.fastrec").mkdir()
    assert "x.fastrec" in refused(1, "record", "linux:rusage", "--rate", "9", "-o", "x.fastrec")
    assert list(here.rglob("*")) == [here / "x.fastrec"]


def test_what_was_recorded_is_told_before_what_went_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = Recorder.stop

    def fail(recorder: Recorder) -> None:
        stop(recorder)
        raise RecordingError("no room on the disk")

    monkeypatch.setattr(Recorder, "stop", fail)
    assert main(["record", "linux:rusage", "--rate", "500", "--records", "3"]) == 1
    out, err = capsys.readouterr()
    assert err == "fastrec: no room on the disk\n"
    assert out.startswith("rusage.fastrec: not closed, ") and "  records   " in out


@pytest.mark.filterwarnings("always:.*the disk takes no records")
def test_what_the_disk_did_not_take_is_told(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_disk / "run.fastrec"
    assert main(["record", "linux:rusage@20000", "--records", "90000", "-o", str(path)]) == 1
    out, err = capsys.readouterr()
    (written,) = re.findall(
        r"\n  written   up to number ([0-9,]+); the recording has nothing after it\n", out
    )
    records = fr.open(path)["rusage"]
    assert int(records.seq[-1]) < int(written.replace(",", "")) < int(records.seq[-1]) + 1_000_000
    live, end = err.splitlines()
    assert re.match(
        r"fastrec: warning: /.*: channel 'rusage': the disk takes no records: No space left on device; ", live
    )
    assert "No space left on device" in end


def test_another_in_its_place_is_not_measured(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = Recorder.stop

    def removed(recorder: Recorder) -> None:
        monkeypatch.setattr(Recorder, "stop", stop)
        until(lambda: taken_away(Path("run.fastrec")))
        with fr.Recorder("run.fastrec") as other:
            other.mark("another")
        stop(recorder)

    monkeypatch.setattr(Recorder, "stop", removed)
    assert main(["record", "linux:rusage@500", "--records", "3", "-o", "run.fastrec"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("run.fastrec: not closed, no longer at this path\n") and "next" not in out
    assert re.fullmatch(r"fastrec: /.*: was removed .*; \d+ records of channel 'rusage' are not .*\n", err)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def is_recording(path: Path) -> bool:
    records = path / "channels/rusage/records.000000.npy"
    return records.exists() and len(np.load(records, mmap_mode="r")) > 50


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_whole_closed_recording(here: Path, number: signal.Signals) -> None:
    with child([*CHILD, "--rate", "1000", "--json"], **PIPES) as process:
        wait_for(lambda: is_recording(here / "rusage.fastrec"), process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    about = json.loads(out)
    assert (about["ended_by"], about["closed"]) == (number.name, True)
    run = fr.open("rusage.fastrec")
    assert run.state == "closed" and run.verify().ok
    assert len(run["rusage"]) == about["channels"]["rusage"]["recorded"] == run.stats["rusage"]["recorded"]


def test_nohup_outlives_its_terminal(here: Path) -> None:
    with child(["nohup", *CHILD, "--rate", "1000", "--json"], **PIPES) as process:
        wait_for(lambda: is_recording(here / "rusage.fastrec"), process)
        process.send_signal(signal.SIGHUP)
        seen = len(fr.open("rusage.fastrec")["rusage"])
        wait_for(lambda: len(fr.open("rusage.fastrec")["rusage"]) > seen + 300, process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and json.loads(out)["ended_by"] == "SIGINT"


def test_a_live_recording_can_be_asked(here: Path, command: Run) -> None:
    with child([*CHILD, "--rate", "1000", "--quiet"]) as process:
        wait_for(lambda: is_recording(here / "rusage.fastrec"), process)
        assert json.loads(command("info", "rusage.fastrec", "--json"))["state"] == "live"
        assert len(command("cat", "rusage.fastrec", "--last", "5", "--json").splitlines()) == 5
        assert ": whole, " in command("verify", "rusage.fastrec")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_somebody_who_looks_on_sees_it_grow(monkeypatch: pytest.MonkeyPatch, command: Run) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    text = command("record", "linux:rusage", "--rate", "500", "--duration", "250ms")
    assert "Ctrl-C ends it" in text and text.count(" recorded, ") >= 2


class TestChanges:
    QUIET = ("--store", "changes", "--ignore", "ru_utime", "--ignore", "ru_stime", "--ignore", "ru_minflt")
    STEADY = (*QUIET, "--ignore", "ru_nvcsw", "--ignore", "ru_nivcsw", "--ignore", "ru_maxrss")

    def test_what_lasts_is_held(self, command: Run) -> None:
        text = command(
            "record", "linux:rusage@1000", *self.STEADY, "--heartbeat", "20ms", "--records", "9", "-o", "r"
        )
        stats, records = fr.open("r").stats["rusage"], fr.open("r")["rusage"]
        assert records.store == "changes" and records.polls == stats["recorded"] + stats["held"]
        assert stats["published"] == len(records) >= 9 > stats["recorded"]
        assert f"  records   {len(records):,} of {stats['slots']:,} slots, " in text
        assert f"  held      {stats['held']:,} equal polls, {stats['recorded']:,} change" in text
        about = command("info", "r")
        assert (
            f"rusage: {len(records)} records of {records.polls} polls, at 1000 Hz\n  store   changes\n"
            in about
        )
        ignored = json.loads(Path("r/channels/rusage/channel.json").read_text())["options"]["ignore"]
        assert ignored[:3] == ["ru_utime.tv_sec", "ru_utime.tv_usec", "ru_stime.tv_sec"]

    def test_a_field_counts_for_the_channels_that_have_it(self, command: Run) -> None:
        fields = ("--ignore", "ru_utime", "--ignore", "time")
        options = ("--rate", "100", "--store", "changes", "--records", "2", "--quiet", "-o", "r")
        command("record", "linux:rusage", "linux:timex", *fields, *options)
        ignored = [
            json.loads(Path(f"r/channels/{name}/channel.json").read_text())["options"]["ignore"]
            for name in ("rusage", "timex")
        ]
        assert ignored == [["ru_utime.tv_sec", "ru_utime.tv_usec"], ["time.tv_sec", "time.tv_usec"]]

    @pytest.mark.parametrize(
        ("code", "arguments", "said"),
        [
            (2, ("--ignore", "ru_utime"), "--ignore needs --store changes"),
            (2, ("--heartbeat", "1s"), "--heartbeat needs --store changes"),
            (
                1,
                ("--store", "changes", "--ignore", "ru_utim"),
                "no field 'ru_utim'; did you mean 'ru_utime.tv_sec'",
            ),
            (
                1,
                ("--store", "changes", "--heartbeat", "1us"),
                "heartbeat='1us'; it is a duration from 1ms to 8760h",
            ),
        ],
    )
    def test_refused(
        self, code: int, arguments: tuple[str, ...], said: str, refused: Callable[..., str]
    ) -> None:
        assert said in refused(code, "record", "linux:rusage@100", *arguments, "-o", "r")
        assert not Path("r").exists()


# The folder


def test_it_goes_on_with_a_recording_and_keeps_to_a_budget(
    command: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [
        "record",
        "linux:rusage",
        "--rate",
        "20000",
        "--records",
        "20000",
        "-o",
        "run.fastrec",
        "--quiet",
    ]
    command(*common, "--segment-bytes", "200kB")
    first = fr.open("run.fastrec")["rusage"]
    assert main([*common]) == 1
    assert "exists; use another path, or go on with it" in capsys.readouterr().err
    command(*common, "--resume", "--keep-bytes", "1MB", "--segment-bytes", "0.1MB", "--durability", "10ms")
    run = fr.open("run.fastrec")
    records = run["rusage"]
    assert run.verify().ok
    assert len(run.sessions) == 2
    assert int(records.seq[-1]) >= len(first) + 19_999
    assert int(records.seq[0]) > 0


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        (["--resume"], "--resume needs -o", 2),
        (["--resume", "-o", "run", "--metadata", "a=b"], "leave it out with --resume", 2),
        (["--keep-bytes", "much"], "'much' is no size", 2),
        (["--keep-bytes", "0"], "'0' is no size", 2),
        (["--keep-seconds", "soon"], "soon", 2),
        (["-o", "run", "--keep-bytes", "9", "--segment-bytes", "8"], "segments are removed whole", 1),
    ],
)
def test_what_makes_no_sense_of_the_folder(
    options: list[str], words: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "linux:rusage", "--rate", "100", *options]) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
