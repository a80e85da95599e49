from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fastrec.cli import main

Run = Callable[..., str]


def test_whole(bench: Path, command: Run) -> None:
    text = command("verify", "small.fastrec").splitlines()
    assert text[0] == "status: 17 records, numbers 0 to 20, lost overwritten 3, failed 1"
    assert text[1].startswith("small.fastrec: whole, ") and text[1].endswith(" checked")
    report = json.loads(command("verify", "small.fastrec", "--json"))
    assert (report["ok"], report["state"], report["problems"]) == (True, "closed", [])
    assert report["channels"]["status"]["lost"] == {"overwritten": 3, "failed": 1}


def test_problems_are_1(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = bench / "small.fastrec/channels/status/records.000000.npy"
    data = bytearray(records.read_bytes())
    data[-40] ^= 1
    records.write_bytes(data)
    assert main(["verify", "small.fastrec"]) == 1
    out, err = capsys.readouterr()
    assert err == "" and out.startswith("problem: ") and "records.000000.npy" in out
    assert ": 1 problem, " in out.splitlines()[-1]
    assert main(["verify", "small.fastrec", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False and len(report["problems"]) == 1
