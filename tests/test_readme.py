"""The README is true: its code runs, its commands work, what it counts is so."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import fastrec

README = Path(__file__).parents[1] / "README.md"

SOURCE = Path(fastrec.__file__).parents[1]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_first_screen_runs(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", blocks("python")[0]],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "<Records cpu: 5" in result.stdout
    assert (tmp_path / "bench.fastrec" / "closed.json").exists()


def test_commands_work(tmp_path: Path) -> None:
    """Every `fastrec` line of the tour, in order."""
    (tour,) = (block for block in blocks("sh") if "fastrec info" in block)
    for line in tour.splitlines():
        command = shlex.split(line, comments=True)
        assert command[0] == "fastrec"
        result = subprocess.run(
            [sys.executable, "-m", "fastrec", *command[1:]],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert result.returncode == 0 and result.stdout and not result.stderr, (line, result.stderr)
    assert sorted(os.listdir(tmp_path)) == ["run.fastrec", "usage.csv"]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert (SOURCE / target).exists(), target


def test_rooms_are_there() -> None:
    table = README.read_text().partition("## The house")[2]
    for room in re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", table, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", room):
            assert (SOURCE / "fastrec" / name).exists(), name
