"""Recordings to try the verbs on, written by the tests' own writer: every number in them is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from recording.samples import large, small

from fastrec.cli import main


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``small.fastrec``, closed, in the folder that the test is in."""
    monkeypatch.chdir(tmp_path)
    small(tmp_path / "small.fastrec", close=True)
    return tmp_path


@pytest.fixture
def two_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``large.fastrec`` with the channels ``status`` and ``held``."""
    monkeypatch.chdir(tmp_path)
    large(tmp_path / "large.fastrec")
    return tmp_path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must succeed in silence on stderr; what it printed."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        return out

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail with an exit code and one line; the line."""

    def run(code: int, *arguments: object) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == code
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("fastrec: ") and err.count("\n") == 1 and err.endswith("\n")
        return err

    return run
