"""Signals that ask a command to end: noted while something must not be cut short, an interrupt elsewhere."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Ending", "ended_by_exceptions"]


class Ending:
    """Within it SIGINT, SIGTERM and SIGHUP are a wish to end, not an exception in the middle of something.

    Attributes
    ----------
    signal : int or None
        Which one came.
    heir : callable or None
        Called with the number of each that comes, to pass it on.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.heir: Callable[[int], None] | None = None
        self._before: dict[int, Any] = {}
        self._interrupts = False

    def __enter__(self) -> Self:
        # Python lets the main thread alone handle signals; on others they are the caller's business.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                # nohup: a closed terminal is no reason to end.
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Within it each of them raises KeyboardInterrupt: a stranger's Python may wait for ever."""
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if self.heir is not None:
            self.heir(number)
        if self._interrupts:
            raise KeyboardInterrupt


@contextmanager
def ended_by_exceptions() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP end the command as an exception does: nothing half-written stays."""

    def end(number: int, frame: object) -> None:
        sys.exit(128 + number)

    # Python lets the main thread alone handle signals.
    mine = threading.current_thread() is threading.main_thread()
    wanted = (signal.SIGTERM, signal.SIGHUP) if mine else ()
    caught = [one for one in wanted if signal.getsignal(one) == signal.SIG_DFL]
    try:
        for one in caught:
            signal.signal(one, end)
        yield
    finally:
        for one in caught:
            signal.signal(one, signal.SIG_DFL)
