from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[..., str]


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
    assert ".csv, .npy" in refused(1, "export", "small.fastrec", "-o", "x.xyz")
    assert "suffix" in refused(1, "export", "small.fastrec", "-o", "x")
    assert "nowhere" in refused(1, "export", "small.fastrec", "-o", "nowhere/x.csv")
    assert sorted(path.name for path in bench.iterdir()) == ["small.fastrec"]
