"""How far something is: by rich where it is installed, in plain text without it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastrec.cli.output import say, visible

__all__ = ["progress"]

Show = Callable[[float, str], None]

_WIDTH = 30
_LINES = 10  # that a whole run prints where nobody looks on
_REFRESH = 0.1  # s between two changes of a line


@contextmanager
def progress(total: float | None, *, wanted: bool = True, lines: bool = False) -> Iterator[Show]:
    """Show how far something is: on a terminal a bar that moves, elsewhere nothing, or a line now and then.

    Parameters
    ----------
    total : float or None
        What `done` reaches at the end; None: nobody knows.
    wanted : bool
        False: show nothing.
    lines : bool
        Where nobody looks on, print a line a tenth.

    Yields
    ------
    callable
        ``show(done, text)``.
    """
    if not wanted:
        yield lambda done, text: None
    elif not sys.stdout.isatty():
        yield _lines(total) if lines else lambda done, text: None
    else:
        try:
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
        except ImportError:
            yield _line(total)
            sys.stdout.write("\r\x1b[K")
            return
        shape = SpinnerColumn() if total is None else BarColumn()
        columns = (shape, TextColumn("{task.description}", markup=False))
        with Progress(*columns, transient=True, auto_refresh=False) as bar:
            task = bar.add_task("", total=total)
            yield lambda done, text: bar.update(task, completed=done, description=visible(text), refresh=True)


def _drawn(done: float, total: float | None) -> str:
    if not total:
        return ""
    filled = min(_WIDTH, int(done / total * _WIDTH))
    return "[" + "#" * filled + "." * (_WIDTH - filled) + "] "


def _line(total: float | None) -> Show:
    """One line of a terminal, written over again and again."""
    last = 0.0

    def show(done: float, text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _REFRESH:
            last = now
            sys.stdout.write(f"\r{_drawn(done, total)}{visible(text)}\x1b[K")
            sys.stdout.flush()

    return show


def _lines(total: float | None) -> Show:
    """A line whenever another tenth is done."""
    told = -1

    def show(done: float, text: str) -> None:
        nonlocal told
        tenth = int(done / total * _LINES) if total else 0
        if tenth > told:
            told = tenth
            say(f"{_drawn(done, total)}{visible(text)}")
            sys.stdout.flush()

    return show
