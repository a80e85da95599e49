from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import fastrec.formats.csv
import fastrec.formats.jsonl
import fastrec.formats.npy
from fastrec.cli import export, main

Run = Callable[..., str]

SUFFIXES = ["csv", "jsonl", "npy", "npz"]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastrec.formats.blocks.BLOCK", 4)
    monkeypatch.setattr(fastrec.formats.csv, "_BLOCK", 4)
    monkeypatch.setattr(fastrec.formats.jsonl, "_BLOCK", 4)


def rows(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv(bench: Path, command: Run) -> None:
    assert command("export", "small.fastrec", "status", "-o", "x.csv").startswith("x.csv: 17 records, ")
    found = rows("x.csv")
    assert len(found) == 17 and found[2]["mode"] == "RUN" and found[1]["url"] == "http://a"
    command("export", "small.fastrec", "-o", "raw.csv", "--raw")
    assert [row["mode"] for row in rows("raw.csv")[:3]] == ["-1", "0", "1"]


def test_npy(bench: Path, command: Run) -> None:
    about = json.loads(command("export", "small.fastrec", "-o", "x.npy", "--json"))
    assert about == {"path": "x.npy", "records": 17, "bytes": Path("x.npy").stat().st_size}
    assert np.load("x.npy")["mode"].tolist()[:3] == [-1, 0, 1]
    command("export", "small.fastrec", "-o", "raw.npy", "--raw", "--quiet")
    assert Path("raw.npy").read_bytes() == Path("x.npy").read_bytes()
    command("export", "small.fastrec", "-o", "y.npy", "--decoded")
    assert np.load("y.npy")["mode"].tolist()[:3] == ["FAULT", "IDLE", "RUN"]


def test_npz(bench: Path, command: Run) -> None:
    command("export", "small.fastrec", "-o", "x.npz")
    command("export", "small.fastrec", "-o", "raw.npz", "--raw", "--quiet")
    assert Path("raw.npz").read_bytes() == Path("x.npz").read_bytes()
    command("export", "small.fastrec", "-o", "y.npz", "--decoded")
    with np.load("x.npz") as raw, np.load("y.npz") as decoded:
        assert raw["mode"].tolist()[:3] == [-1, 0, 1]
        assert decoded["mode"].tolist()[:3] == ["FAULT", "IDLE", "RUN"]
        assert raw["gaps"]["count"].tolist() == decoded["gaps"]["count"].tolist() == [3, 1]
        assert raw["seq"].tolist() == [*range(5), *range(8, 20)]


def test_jsonl_is_what_cat_prints(bench: Path, command: Run) -> None:
    for form in ([], ["--raw"]):
        chosen = ["small.fastrec", "--between", "+2ms", "-2ms", "--where", "url=http://a"]
        command("export", *chosen, "-o", "x.jsonl", "--force", *form)
        printed = command("cat", *chosen, "--json", *form)
        assert printed and Path("x.jsonl").read_text() == printed
    command("export", "small.fastrec", "-o", "decoded.jsonl", "--decoded")
    assert json.loads(Path("decoded.jsonl").read_text().splitlines()[0])["mode"] == "FAULT"


def test_help_lists_every_suffix(command: Run) -> None:
    text = " ".join(command("export", "--help").split())
    assert ", ".join(f".{suffix}" for suffix in SUFFIXES) in text


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_progress_shows(
    bench: Path, command: Run, monkeypatch: pytest.MonkeyPatch, small_blocks: None, suffix: str
) -> None:
    shown: list[tuple[float, str]] = []

    @contextmanager
    def progress(total: float, *, wanted: bool) -> Iterator[Callable[[float, str], None]]:
        assert total == 17
        yield lambda done, text: shown.append((done, text)) if wanted else None

    monkeypatch.setattr(export, "progress", progress)
    command("export", "small.fastrec", "-o", f"x.{suffix}")
    assert shown[0] == (0, "0 of 17 records") and shown[-1] == (17, "17 of 17 records")
    assert len(shown) > 4
    shown.clear()
    command("export", "small.fastrec", "-o", f"x.{suffix}", "--force", "--quiet")
    assert shown == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("force", [False, True])
def test_ctrl_c_leaves_nothing_half_written(
    bench: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    small_blocks: None,
    suffix: str,
    force: bool,
) -> None:
    """A real signal, when some of the records are in the hidden file and others are not."""
    if force:
        Path(f"x.{suffix}").write_text("mine")
    before = sorted(path.name for path in bench.iterdir())

    @contextmanager
    def progress(total: float, *, wanted: bool) -> Iterator[Callable[[float, str], None]]:
        def show(done: float, text: str) -> None:
            if done > 8:
                assert any(path.name.startswith(f".x.{suffix}.") for path in bench.iterdir())
                os.kill(os.getpid(), signal.SIGINT)

        yield show

    monkeypatch.setattr(export, "progress", progress)
    arguments = ["export", "small.fastrec", "-o", f"x.{suffix}", *["--force"][: int(force)]]
    assert main(arguments) == 130
    assert capsys.readouterr() == ("", "fastrec: interrupted\n")
    assert sorted(path.name for path in bench.iterdir()) == before
    assert not force or Path(f"x.{suffix}").read_text() == "mine"


def test_a_part(bench: Path, command: Run) -> None:
    command("export", "small.fastrec", "-o", "x.csv", "--between", "+2ms", "-2ms", "--where", "mode=RUN")
    assert [row["tick"] for row in rows("x.csv")] == ["14", "56", "77", "98"]


def test_a_file_is_replaced_only_by_force(bench: Path, command: Run, refused: Run) -> None:
    Path("x.csv").write_text("mine")
    assert "x.csv" in refused(1, "export", "small.fastrec", "-o", "x.csv")
    assert Path("x.csv").read_text() == "mine"
    assert command("export", "small.fastrec", "-o", "x.csv", "--force", "--quiet") == ""
    assert len(rows("x.csv")) == 17


def test_what_cannot_be_written(bench: Path, refused: Run) -> None:
    assert ".csv, .jsonl, .npy, .npz" in refused(1, "export", "small.fastrec", "-o", "x.xyz")
    assert "suffix" in refused(1, "export", "small.fastrec", "-o", "x")
    assert "nowhere" in refused(1, "export", "small.fastrec", "-o", "nowhere/x.csv")
    assert sorted(path.name for path in bench.iterdir()) == ["small.fastrec"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_leave_nothing_either(
    bench: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = sorted(path.name for path in bench.iterdir())

    @contextmanager
    def progress(total: float, *, wanted: bool) -> Iterator[Callable[[float, str], None]]:
        yield lambda done, text: os.kill(os.getpid(), number) if done > 8 else None

    monkeypatch.setattr(export, "progress", progress)
    handler = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as ended:
            main(["export", "small.fastrec", "-o", "x.csv"])
        assert ended.value.code == 128 + number and signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, handler)
    assert sorted(path.name for path in bench.iterdir()) == before


@pytest.mark.parametrize("name", ["-1.csv", "-.5.csv", " -2.csv", "漢" * 82 + ".csv"])
def test_any_name_of_a_file(bench: Path, command: Run, name: str) -> None:
    command("export", "small.fastrec", "-o", name)
    assert (bench / name).is_file()
