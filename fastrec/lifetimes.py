"""What happens to recorders and rings when the interpreter ends or the process forks."""

from __future__ import annotations

import atexit
import os
import warnings
import weakref
from typing import Protocol

__all__ = ["Mortal", "ended", "inherited", "made", "runs"]


class Mortal(Protocol):
    """Something with threads and files of its own."""

    def stop(self) -> None:
        """End the threads, close the files."""

    def forget(self) -> None:
        """Become inert: threads and files are the parent process's."""


class Inherited(Protocol):
    """Something that writes into memory which a fork shares."""

    def forget(self) -> None:
        """Write no more: the memory is the parent process's."""


_made: weakref.WeakSet[Mortal] = weakref.WeakSet()
_inherited: weakref.WeakSet[Inherited] = weakref.WeakSet()
_running: set[Mortal] = set()  # kept, so that one that nobody holds any more is still closed


def made(mortal: Mortal) -> None:
    """From now on a fork makes it inert."""
    _made.add(mortal)


def inherited(writer: Inherited) -> None:
    """From now on a fork makes it inert; there is nothing to stop."""
    _inherited.add(writer)


def runs(mortal: Mortal) -> None:
    """From now on the interpreter's end stops it."""
    _running.add(mortal)


def ended(mortal: Mortal) -> None:
    """It has been stopped."""
    _running.discard(mortal)


@atexit.register
def _stop_all() -> None:
    # Those that never ran, too: a thread of Python's cannot be joined once the interpreter has gone.
    for mortal in [*_running, *_made]:
        try:
            mortal.stop()
        except Exception as error:  # the others must be stopped all the same
            warnings.warn(str(error), RuntimeWarning, stacklevel=1)


def _forget_all() -> None:
    for heir in [*_made, *_inherited]:
        try:
            heir.forget()
        except Exception as error:  # the others are the parent's all the same
            warnings.warn(str(error), RuntimeWarning, stacklevel=1)
    _running.clear()


os.register_at_fork(after_in_child=_forget_all)
