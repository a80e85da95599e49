"""Triggers of the command line: what is kept, what the exit code says, and asking whoever records."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from children import PIPES, child
from waiting import until

import fastrec as fr
from fastrec.cli import main
from fastrec.cli.keeping import windows
from fastrec.cli.triggers import reach

Run = Callable[..., str]

RECORD = ["record", "linux:rusage@500", "-o", "run.fastrec"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_kept_is_told(command: Run) -> None:
    """That it held at the start is no edge, for which --fail-on alone makes up."""
    text = command(
        *RECORD, "--records", "50", "--trigger", "ru_maxrss>0", "--trigger", "rusage: changed(ru_maxrss)",
        "--pre", "20", "--post", "10ms", "--keep-windows", "2",
    )  # fmt: skip
    assert "  ru_maxrss > 0: fired 0 times, 0 windows\n" in text
    assert "  changed(ru_maxrss): fired " in text


def test_what_should_never_hold_fails(capsys: pytest.CaptureFixture[str]) -> None:
    never = [
        "--fail-on",
        "rusage: ru_maxrss > 0",
        "--fail-on",
        "ru_maxrss < 0",
        "--pre",
        "1",
        "--post",
        "5ms",
    ]
    assert main([*RECORD, "--records", "60", *never]) == 1
    out, err = capsys.readouterr()
    assert err == "fastrec: ru_maxrss > 0 (channel rusage) came to hold once\n"
    assert "  ru_maxrss > 0: fired once, 1 window\n  ru_maxrss < 0: fired 0 times, 0 windows\n" in out
    (window,) = fr.open("run.fastrec").windows.values()
    assert window.verify().ok and window.marks[0].text == "ru_maxrss > 0"
    assert main([*RECORD, "--resume", "--records", "60", "--quiet", "--fail-on", "ru_maxrss < 0"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("exit 0", 1)])
def test_a_commands_own_code_goes_first(capsys: pytest.CaptureFixture[str], script: str, code: int) -> None:
    arguments = [*RECORD, "--json", "--fail-on", "ru_maxrss > 0", "--", "sh", "-c", script]
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert "came to hold once" in err
    (told,) = json.loads(out)["triggers"]
    assert (told["condition"], told["channel"], told["fails"], told["fired"]) == (
        "ru_maxrss > 0",
        "rusage",
        True,
        1,
    )


def test_what_is_no_condition_leaves_nothing(here: Path, refused: Run) -> None:
    for text, says in (
        ("ru_max > 0", "'ru_max > 0' at column 1: 'rusage' has no field 'ru_max'"),
        ("ru_maxrss >", "'ru_maxrss >' at column 12"),
        ("other: ru_maxrss > 0", "'other: ru_maxrss > 0' at column 6"),
    ):
        assert says in refused(1, *RECORD, "--fail-on", text)
    assert not any(here.iterdir())


def test_how_far_a_window_reaches() -> None:
    assert [reach(text) for text in ("20", "0", "50ms", "1min 5s")] == [20, 0, "50ms", "1min 5s"]
    assert [windows(text) for text in ("20", "2GB", "1.5 MiB")] == [20, "2GB", "1.5 MiB"]
    for wrong in ("soon", "-1", "1.5"):
        with pytest.raises(argparse.ArgumentTypeError):
            reach(wrong)
    for wrong in ("0", "many", "-1"):
        with pytest.raises(argparse.ArgumentTypeError):
            windows(wrong)


def test_marks_and_firings_from_the_command_line(command: Run, refused: Run) -> None:
    """They are told with the time at which they were; windows are recordings for every verb."""
    with child([sys.executable, "-m", "fastrec", *RECORD, "--quiet"], **PIPES) as process:
        until(
            lambda: (
                Path("run.fastrec/recording.json").exists() and len(fr.open("run.fastrec").get("rusage", ()))
            )
        )
        marked = command("mark", "run.fastrec", "valve opened")
        fired = json.loads(
            command("fire", "run.fastrec", "odd\nnoise", "--pre", "50ms", "--post", "20ms", "--json")
        )
        until(lambda: len(fr.open("run.fastrec").windows))
        process.terminate()
        process.wait(30)
    run = fr.open("run.fastrec")
    assert [(mark.kind, mark.text) for mark in run.marks] == [
        ("mark", "valve opened"),
        ("fire", "odd\nnoise"),
    ]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[0-9:.]+[+-]\d\d:\d\d  valve opened\n", marked)
    assert fired["mono_ns"] == run.marks[1].mono_ns and fired["text"] == "odd\nnoise"
    info = command("info", "run.fastrec")
    assert "odd\\nnoise: windows/000001-fire.fastrec\n" in info
    (told,) = json.loads(command("info", "run.fastrec", "--json"))["windows"]
    assert (told["name"], told["mono_ns"], told["why"]) == (
        "000001-fire.fastrec",
        fired["mono_ns"],
        "odd\nnoise",
    )
    window = "run.fastrec/windows/000001-fire.fastrec"
    assert "whole" in command("verify", window) and "closed" in command("info", window)
    (rusage,) = fr.open(window).values()
    assert command("cat", window).count("\n") >= len(rusage)
    assert command("query", window, "--stats", "ru_maxrss")
    assert command("play", window, "--speed", "max", "--json", "--quiet").count("\n") == len(rusage)
    for verb in ("mark", "fire"):
        assert refused(1, verb, "run.fastrec", "late").endswith("run.fastrec: nobody records to it\n")
        assert "there is no such folder" in refused(1, verb, "none.fastrec", "text")


def test_info_tells_of_a_damaged_window(command: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RECORD, "--records", "30", "--quiet", "--fail-on", "ru_maxrss > 0", "--post", "1ms"]) == 1
    (path,) = Path("run.fastrec/windows").iterdir()
    (path / "recording.json").write_text("{}\n")
    capsys.readouterr()
    assert main(["info", "run.fastrec"]) == 1
    assert "recording.json" in capsys.readouterr().out


def test_a_process_of_its_own_is_told_apart(here: Path) -> None:
    """The exit code of the process, not only of the function."""
    done = subprocess.run(
        [sys.executable, "-m", "fastrec", *RECORD, "--records", "20", "--fail-on", "ru_maxrss > 0"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (
        done.returncode == 1 and done.stderr == "fastrec: ru_maxrss > 0 (channel rusage) came to hold once\n"
    )
