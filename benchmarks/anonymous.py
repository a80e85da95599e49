"""How much anonymous memory a piece of work takes: in a process of its own, seen from outside.

RssAnon counts what a process has made itself, and not the pages of the files that it maps.
"""

from __future__ import annotations

import pickle
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from benchmarks.harness import BenchmarkError

__all__ = ["Work", "peak"]

PAUSE = 0.0003
"""Seconds between two looks."""


class Work(Protocol):
    """What is done; it can be pickled."""

    def load(self) -> None:
        """Import what it takes; that is not counted."""

    def ask(self) -> Any:
        """Do it; what it returns can be pickled."""


def peak(work: Work) -> tuple[float, Any]:
    """Let a fresh process do the work.

    Returns
    -------
    float
        The most anonymous memory that it had, above that after its imports: MB (a million bytes).
    Any
        What `work` returned.

    Raises
    ------
    BenchmarkError
        The process failed; its traceback is on the standard error.
    """
    command = [sys.executable, "-m", "benchmarks.anonymous"]
    root = Path(__file__).parents[1]
    try:
        with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            return _watched(child, work)
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise BenchmarkError(f"memory could not be measured ({error}); the traceback says why") from error


def _watched(child: subprocess.Popen, work: Work) -> tuple[float, Any]:
    def go(message: bytes) -> None:
        child.stdin.write(message)
        child.stdin.flush()

    go(pickle.dumps(work))
    _told(child)
    before = most = _anonymous(child.pid)
    go(b"\n")
    while not select.select([child.stdout], [], [], PAUSE)[0]:
        most = max(most, _anonymous(child.pid))
    _told(child)
    most = max(most, _anonymous(child.pid))  # it waits, and holds its answer
    go(b"\n")
    return (most - before) / 1e6, pickle.load(child.stdout)


def _told(child: subprocess.Popen) -> None:
    if not child.stdout.read(1):
        raise EOFError("the process ended")


def _anonymous(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0  # it ended


def main() -> None:
    """The process's side: told what to do, and when, by its standard input."""
    told, tell = sys.stdin.buffer, sys.stdout.buffer

    def wait() -> None:
        tell.write(b".")
        tell.flush()
        told.readline()

    work: Work = pickle.load(told)
    work.load()
    wait()
    answer = work.ask()
    wait()
    pickle.dump(answer, tell)
    tell.flush()


if __name__ == "__main__":
    main()
