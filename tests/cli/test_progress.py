"""Progress: a bar by rich, a line without it, lines where nobody looks on."""

from __future__ import annotations

import io
import sys

import pytest

from fastrec.cli.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def look_on(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal for this test; no fixture, because pytest sets stdout again before the test begins."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


@pytest.mark.parametrize("wanted", [True, False])
def test_rich(monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    terminal = look_on(monkeypatch)
    with progress(10, wanted=wanted) as show:
        show(5, "half [bold]way[/bold] \x1b[2J")
    assert ("half [bold]way[/bold] \\x1b[2J" in terminal.getvalue()) is wanted


@pytest.mark.parametrize(("total", "drawn"), [(10, "[" + "#" * 15 + "." * 15 + "] "), (None, "")])
def test_without_rich(monkeypatch: pytest.MonkeyPatch, total: float | None, drawn: str) -> None:
    terminal = look_on(monkeypatch)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with progress(total) as show:
        show(5, "half way \x1b[2J")
        assert terminal.getvalue() == f"\r{drawn}half way \\x1b[2J\x1b[K"
        show(6, "too soon to be told")
    assert terminal.getvalue().endswith("\r\x1b[K") and "too soon" not in terminal.getvalue()


def test_lines_where_nobody_looks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    with progress(1.0) as show:
        show(0.5, "nothing")
    assert stream.getvalue() == ""
    with progress(1.0, lines=True) as show:
        for done in (0.0, 0.01, 0.5, 0.55, 1.0):
            show(done, f"at {done}")
    lines = stream.getvalue().splitlines()
    assert [line.rpartition("] ")[2] for line in lines] == ["at 0.0", "at 0.5", "at 1.0"]
    assert lines[-1].startswith("[" + "#" * 30 + "]")
