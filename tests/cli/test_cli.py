from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import fastrec
from fastrec import cli
from fastrec.cli import output
from fastrec.errors import RecordingError

Run = Callable[..., str]


def fastrec_process(*arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fastrec", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **options)


def test_version(command: Run) -> None:
    assert command("--version") == f"fastrec {fastrec.__version__}\n"


def test_help_lists_every_verb_and_imports_none() -> None:
    program = (
        "import sys\nfrom fastrec.cli import main\nassert main(['--help']) == 0\n"
        "print([name for name in sys.modules if name.startswith('fastrec.cli.')], 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *text, modules = done.stdout.splitlines()
    assert modules == "['fastrec.cli.output'] False"
    words = " ".join(" ".join(text).split())
    assert [verb for verb, purpose in cli.VERBS.items() if f" {verb} {purpose}" not in words] == []


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_explains_itself(verb: str, command: Run) -> None:
    text = command(verb, "--help")
    assert text.startswith(f"usage: fastrec {verb}") and "--json" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "VERB"),
        (("recrod",), "recrod"),
        (("cat",), "RUN"),
        (("cat", "x", "--lst", "3"), "--lst"),
        (("cat", "x", "--where", "=mode"), "FIELD=VALUE"),
        (("export", "x"), "-o"),
        (("export", "x", "-o", "y.csv", "--raw", "--decoded"), "not allowed with"),
    ],
)
def test_a_command_line_without_sense_is_2(arguments: tuple, said: str, refused: Run) -> None:
    assert said in refused(2, *arguments)


def test_a_channel_may_stand_behind_an_option(two_channels: Path, command: Run) -> None:
    before = command("cat", "large.fastrec", "status", "--last", "3", "--json")
    assert command("cat", "large.fastrec", "--last", "3", "--json", "status") == before
    assert command("cat", "--json", "large.fastrec", "--last", "3", "status") == before
    both = command("cat", "large.fastrec", "status", "held", "--limit", "3")
    assert command("cat", "large.fastrec", "--limit", "3", "status", "held") == both


def test_a_wrong_number_is_shown_as_it_was_typed(refused: Run) -> None:
    line = refused(2, "record", "linux:rusage", "--rate", "-5")
    assert "'-5' is no rate" in line and line.endswith("see fastrec record --help\n")


def test_errors_are_one_line_and_1(tmp_path: Path, refused: Run) -> None:
    assert "no such folder" in refused(1, "info", tmp_path / "none")
    (tmp_path / "none").mkdir()
    assert "no recording" in refused(1, "cat", tmp_path / "none")
    nasty = tmp_path / "a\nb\x1b[31m\u202e"
    assert "a\\nb\\x1b[31m\\u202e" in refused(1, "verify", nasty)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RecordingError("the disk is on fire"), 1, "fastrec: the disk is on fire\n"),
        (FileNotFoundError(2, "No such file", "x"), 1, "fastrec: x: No such file\n"),
        (OSError("odd"), 1, "fastrec: odd\n"),
        (KeyboardInterrupt(), 130, "fastrec: interrupted\n"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_what_a_verb_raises(
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fastrec.cli import info

    def fail(options: object) -> int:
        output.say("so far")
        raise error

    monkeypatch.setattr(info, "run", fail)
    assert cli.main(["info", "x"]) == code
    assert capsys.readouterr() == ("so far\n", said)


def test_a_mistake_of_ours_is_no_error_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastrec.cli import info

    monkeypatch.setattr(info, "run", lambda options: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["info", "x"])


def test_a_warning_is_a_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from fastrec.cli import info

    def warn(options: object) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a call has not returned", RuntimeWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(info, "run", warn)
    assert cli.main(["info", "x"]) == 0
    assert capsys.readouterr().err == "fastrec: warning: a call has not returned\n"


def test_a_reader_that_leaves_is_no_error(two_channels: Path) -> None:
    with fastrec_process("cat", "large.fastrec", "status", cwd=two_channels) as process:
        assert process.stdout.readline().startswith("seq  time")
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(60) == 0


def test_a_full_disk_is_one_line(bench: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "fastrec", "cat", "small.fastrec"]
        # Buffered, as usual: then the disk is found to be full only when the interpreter ends.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=bench, env=environment, check=False
        )
    assert (done.returncode, done.stderr) == (1, "fastrec: No space left on device\n")


@pytest.mark.parametrize("verb", ["cat", "export"])
def test_what_damage_took_is_not_passed_over(
    bench: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    """What can be read is printed or written; that it is not everything is said, and is the exit code."""
    index = next(bench.glob("small.fastrec/channels/*/index.*.npy"))
    index.write_bytes(index.read_bytes()[:-1])
    more = ["-o", "out.csv"] if verb == "export" else []
    assert cli.main([verb, "small.fastrec", *more]) == 1
    out, error = capsys.readouterr()
    assert out and error.startswith("fastrec: ") and "small.fastrec" in error


@pytest.mark.parametrize("verb", ["cat", "play", "info", "export"])
def test_closed_streams_are_no_traceback(bench: Path, verb: str) -> None:
    more = "-o x.csv" if verb == "export" else ""
    command = f"exec {sys.executable} -m fastrec {verb} small.fastrec {more} >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, cwd=bench, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    done = subprocess.run(["sh", "-c", f"{command} 2>&-"], cwd=bench, check=False)
    assert done.returncode in (0, 1)  # the file of `export` is there already


def test_what_recover_would_mend_names_it(
    bench: Path, capsys: pytest.CaptureFixture[str], refused: Run
) -> None:
    run = bench / "small.fastrec"
    (run / "channels/status/strings.000000.jsonl").unlink()
    for verb in ("info", "verify"):
        assert cli.main([verb, "small.fastrec"]) == 1
        out = capsys.readouterr().out.splitlines()
        assert any("texts that are not there" in line for line in out)
        assert any(line.startswith("save what is whole: fastrec recover ") for line in out)
    assert cli.main(["cat", "small.fastrec", "--fields", "tick"]) == 1
    assert "fastrec: save what is whole: fastrec recover " in capsys.readouterr().err
    records = run / "channels/status/records.000000.npy"
    records.write_bytes(b"\x00" + records.read_bytes()[1:])
    channel = run / "channels/status/channel.json"
    channel.write_bytes(channel.read_bytes().replace(b"status", b"stetus"))
    assert "; fastrec recover saves all that is whole" in refused(1, "cat", "small.fastrec", "status")
    (run / "recording.json").unlink()
    assert "no recording.json); fastrec recover can save its channels" in refused(1, "info", "small.fastrec")
    shutil.rmtree(run / "channels")
    assert "no recording.json)\n" in refused(1, "info", "small.fastrec")
