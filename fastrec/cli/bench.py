"""A file of Python that says what is recorded: ``setup(rec)`` adds channels, ``teardown(rec)`` comes last."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from fastrec.cli.defaults import CommandRecorder
from fastrec.cli.ending import Ending
from fastrec.cli.output import complain
from fastrec.errors import FastrecError, RecordingError, SourceError, suggest

__all__ = ["Bench"]

_MODULE = "__record__"
"""``__name__`` of the file: what it does as a program of its own, under ``__main__``, it does not do here."""


class Bench:
    """A file of Python, run.

    Parameters
    ----------
    path : Path
    arguments : list of str
        ``sys.argv`` behind the name of the file, until `close`.
    ending : Ending
        A signal interrupts the file's code.
    quiet : bool
        What Python prints until `close` goes to stderr: stdout has JSON.
    traced : bool
        An error is told frame by frame, too.

    Raises
    ------
    RecordingError
        There is no such file.
    SourceError
        It raised something, or has no ``setup(rec)``.

    Notes
    -----
    Its folder is the first in which its imports are looked up, until `close`.
    """

    def __init__(
        self, path: Path, arguments: list[str], ending: Ending, *, quiet: bool, traced: bool
    ) -> None:
        self._path, self._ending = path, ending
        self._traced = traced
        self._module = ModuleType(_MODULE)
        self._module.__file__ = str(path.absolute())
        self._began = False
        self._before = list(sys.path), sys.argv, sys.stdout
        code = self._read()
        sys.stdout = sys.stderr if quiet else sys.stdout
        sys.path.insert(0, str(path.absolute().parent))
        sys.argv = [str(path), *arguments]
        sys.modules[_MODULE] = self._module  # dataclasses and pickle look there
        try:
            with self._told(None):
                exec(compile(code, self._module.__file__, "exec", dont_inherit=True), self._module.__dict__)
            self._check()
        except BaseException:
            self.close()
            raise

    def _read(self) -> bytes:
        try:
            if not self._path.is_file():
                raise RecordingError(f"{self._path}: {self._why_none()}")
            return self._path.read_bytes()
        except OSError as error:
            if isinstance(error, FastrecError):
                raise
            raise RecordingError(f"{self._path}: {error.strerror or error}") from None

    def _why_none(self) -> str:
        if self._path.exists():
            return "is no file"
        near = suggest(self._path.name, (one.name for one in self._path.parent.glob("*.py")))
        return f"there is no such file{near if near.startswith('; did') else ''}"

    def _check(self) -> None:
        functions = [name for name, value in vars(self._module).items() if inspect.isfunction(value)]
        setup = getattr(self._module, "setup", None)
        if setup is None:
            near = suggest("setup", functions) if functions else ""
            raise SourceError(f"{self._path}: has no function setup(rec), which adds the channels{near}")
        for name in ("setup", "teardown"):
            function = getattr(self._module, name, None)
            if function is not None and not callable(function):
                raise SourceError(f"{self._path}: {name} is a {type(function).__name__}, no function")
            if any(kind(function) for kind in _WAITING):
                raise SourceError(f"{self._path}: {name}(rec) is async or yields; write a plain function")

    def setup(self, recorder: CommandRecorder) -> None:
        """Let it add its channels.

        Raises
        ------
        SourceError
            It raised something, or has added none.
        """
        self._began = True
        self._call("setup", recorder)
        if not recorder.channels:
            raise SourceError(f"{self._path}: setup(rec) has added no channel; call rec.add(NAME, SOURCE)")

    def teardown(self, recorder: CommandRecorder) -> None:
        """Let it close what it has opened, once: after polling, and where its setup has failed.

        Raises
        ------
        SourceError
            It raised something.
        """
        if self._began and getattr(self._module, "teardown", None) is not None:
            self._began = False
            self._call("teardown", recorder)

    def close(self) -> None:
        """Give back the way in which modules are found, and stdout."""
        sys.path[:], sys.argv, sys.stdout = self._before
        sys.modules.pop(_MODULE, None)

    def _call(self, name: str, recorder: CommandRecorder) -> None:
        recorder.lent = True
        try:
            with self._told(name):
                getattr(self._module, name)(recorder)
        finally:
            recorder.lent = False

    @contextmanager
    def _told(self, function: str | None) -> Iterator[None]:
        """What the file raises becomes one line that says where in it."""
        try:
            with self._ending.interrupting():
                yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit, too: the recording is to be closed
            if self._traced:
                self._trace(error)
            raise SourceError(self._line(error, function)) from error

    def _line(self, error: BaseException, function: str | None) -> str:
        lines = [at for frame, at in traceback.walk_tb(error.__traceback__) if self._is_ours(frame)]
        if isinstance(error, SyntaxError) and error.filename == self._module.__file__:
            lines, what = [error.lineno], f"{type(error).__name__}: {error.msg}"
        else:
            what = str(error) if isinstance(error, FastrecError) else _plain(error)
        where = [str(self._path), *([f"line {lines[-1]}"] if lines and lines[-1] else [])]
        return f"{', '.join([*where, *([f'in {function}'] if function else [])])}: {what}"

    def _is_ours(self, frame: Any) -> bool:
        return frame.f_code.co_filename == self._module.__file__

    def _trace(self, error: BaseException) -> None:
        trace = error.__traceback__
        while trace is not None and not self._is_ours(trace.tb_frame):
            trace = trace.tb_next
        for part in traceback.format_exception(type(error), error, trace):
            for line in part.splitlines():
                complain(line)


_WAITING = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def _plain(error: BaseException) -> str:
    """One line, whatever the error's own text does."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
