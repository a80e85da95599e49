"""``fastrec record SOURCE -- COMMAND``: a command that runs while it is recorded, and ends the recording."""

from __future__ import annotations

import argparse
import errno
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from fastrec.cli.defaults import CommandRecorder
from fastrec.cli.ending import Ending
from fastrec.cli.output import complain, part_with
from fastrec.cli.values import Misuse
from fastrec.durations import format_duration
from fastrec.errors import FastrecError, RecordingError

__all__ = ["Command", "add_arguments", "split"]

_CUT_SHORT = 124  # as timeout(1) says that the time was up
_REFUSED, _UNKNOWN = 126, 127  # as shells say that it cannot be executed, or found
_BY_SIGNAL = 128  # and the signal's number, as shells say it

_PATIENCE = 5.0  # s that a first poll may take until the command is started without it
_TICK = 0.1  # s from look to look
_SHOWN = 4096  # letters of a command in a mark

_STDERR = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what may stand behind ``--``; it is no argument of ours, and `split` takes it apart."""
    parser.add_argument_group(
        "-- COMMAND [ARGUMENT ...]",
        "COMMAND is run once there are first records, and its end is that of the recording; marks say when"
        " it started and how it ended. The exit code is the command's: 128 + n if signal n killed it, 127 if"
        " there is no such command, 126 if it cannot be executed; where it is 0, that of record. If"
        " --duration or --records comes first, the command is sent SIGTERM and waited for, and the code is"
        " 124. SIGTERM, SIGHUP and SIGINT are passed on to it; a terminal's Ctrl-C goes to both, and record"
        " waits. Stdout is the command's, the summary goes to stderr; with --json stdout has JSON alone, and"
        " what the command prints goes to stderr. Behind a FILE.py stand its own arguments, and a command"
        " behind a second --",
    )


def split(rest: list[str] | None, file: Path | None) -> tuple[list[str], list[str] | None]:
    """What stands behind ``--``: the arguments of the file, if there is one, and the command.

    Raises
    ------
    Misuse
        There is no command where one must be.
    """
    arguments: list[str] = []
    if file is not None and rest is not None:
        cut = rest.index("--") if "--" in rest else len(rest)
        arguments, rest = rest[:cut], rest[cut + 1 :] if cut < len(rest) else None
    if rest == []:
        raise Misuse("there is no command behind --; name one, or leave -- out")
    return arguments, rest


class Command:
    """A command, run once.

    Parameters
    ----------
    argv : list of str
        Its name and its arguments.
    quiet : bool
        What it prints goes to stderr: stdout has JSON.

    Attributes
    ----------
    argv : list of str
    failures : list of FastrecError
        It could not be started, or marks of it could not be set.

    Notes
    -----
    Made before anything is opened that is not for it: it gets the descriptors that we were given.
    """

    def __init__(self, argv: list[str], *, quiet: bool) -> None:
        self.argv = argv
        self.failures: list[FastrecError] = []
        self._stdout = _STDERR if quiet else None
        self._given = _given()
        self._process: subprocess.Popen[bytes] | None = None
        self._started: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._began_ns = self._ended_ns = 0
        self._code: int | None = None
        self._sent: int | None = None  # the last signal of ours
        self._cut_short = False

    def refusal(self) -> tuple[int, str] | None:
        """Exit code and reason where it is plain that it cannot be run; it may be found out later, too."""
        name = self.argv[0]
        if shutil.which(name) is not None:
            return None
        quoted = shlex.quote(name)
        if os.path.dirname(name) and os.path.isdir(name):
            return _REFUSED, f"{quoted}: is a folder, no command"
        if (found := shutil.which(name, os.F_OK)) is not None:
            return _REFUSED, f"{quoted}: may not be executed; chmod +x {shlex.quote(found)}"
        here = name and not os.path.dirname(name) and os.path.isfile(name)
        near = f"; did you mean {shlex.quote(f'./{name}')}?" if here else ""
        return _UNKNOWN, f"{quoted}: there is no such command to run behind --{near}"

    @contextmanager
    def running(self, recorder: CommandRecorder, ending: Ending) -> Iterator[None]:
        """Start it; at the end ask it to end, if it still runs, and wait for it."""
        self._wait_for_records(recorder, ending)
        try:
            if ending.signal is None:
                self._start(recorder)
            ending.heir = self._pass_on
            if ending.signal is not None and self._sent is None:  # there was nobody yet to pass it on to
                self._hear(ending.signal)
            try:
                yield
            finally:
                self._end(recorder)
        finally:
            ending.heir = None

    def wait(self, seconds: float) -> None:
        """Until it has ended, or so long."""
        self._over.wait(seconds)

    @property
    def ended_by(self) -> str | None:
        """What ended it: ``"command"``, or the name of a signal that was passed on; None: it runs."""
        if self._process is not None and not self._over.is_set():
            return None
        return "command" if self._sent is None else _name(self._sent)

    @property
    def failed(self) -> int:
        """The exit code that goes before that of the recording; 0: it succeeded."""
        if self._cut_short:
            return _CUT_SHORT
        return _BY_SIGNAL + (self._sent or 0) if self._code is None else self._code

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Within it what is printed goes to stderr, where stdout is the command's.

        Nobody need read it: that changes nothing about how the command ended.
        """
        apart = redirect_stdout(sys.stderr) if self._stdout is None else nullcontext()
        with apart:
            try:
                yield
                sys.stdout.flush()
            except BrokenPipeError:
                part_with(sys.stdout)

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        if self._process is None:
            return "command was not started"
        code = self._process.returncode
        how = f"ended: exit code {code}" if code >= 0 else f"was killed by {_name(-code)}"
        after = format_duration(self._ended_ns - self._began_ns)
        asked = "" if self._sent is None else f", sent {_name(self._sent)} by fastrec"
        return f"command {how} after {after}{asked}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the exit code is what a shell would say, None: a signal came before it was started."""
        seconds = None if self._process is None else (self._ended_ns - self._began_ns) / 1e9
        return {"argv": self.argv, "exit_code": self._code, "seconds": seconds}

    def _wait_for_records(self, recorder: CommandRecorder, ending: Ending) -> None:
        give_up = time.monotonic() + _PATIENCE
        polled = [channel for channel in recorder.channels.values() if channel.source is not None]
        while not all(channel.stats.slots for channel in polled) and time.monotonic() < give_up:
            if ending.signal is not None:
                return
            time.sleep(0.001)

    def _start(self, recorder: CommandRecorder) -> None:
        for stream in (sys.stdout, sys.stderr):  # what was printed so far comes first
            with suppress(OSError, ValueError):
                stream.flush()
        mine = threading.current_thread() is threading.main_thread()
        if mine and signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:  # its exit code would be lost
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        process = None
        try:
            self._begin_to_wait()
            self._began_ns = self._ended_ns = time.monotonic_ns()
            process = self._process = self._spawn()
        except (OSError, RuntimeError) as error:
            missing = isinstance(error, FileNotFoundError)
            self._code = _UNKNOWN if missing else _REFUSED
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            said = f"{shlex.quote(self.argv[0])}: cannot be executed: {why}"
            # It was found before.
            said += "; is there what its first line names?" if missing else ""
            self.failures.append(FastrecError(said))
            self._mark(recorder, f"command was not started: {said}")
        finally:
            self._started.put(process)
        if process is not None:
            shown = shlex.join(self.argv)
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
            self._mark(recorder, f"command started: {shown}, pid {process.pid}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        # A number that was closed and is ours meanwhile is not for it.
        options: dict[str, Any] = {"stdout": self._stdout, "pass_fds": [*filter(_is_for_all, self._given)]}
        try:
            return subprocess.Popen(self.argv, **options)
        except OSError as error:
            path = shutil.which(self.argv[0])
            if error.errno != errno.ENOEXEC or path is None:
                raise
            # A script whose first line does not say who reads it: as shells and execvp(3) do.
            return subprocess.Popen(["/bin/sh", path, *self.argv[1:]], **options)

    def _begin_to_wait(self) -> None:
        """Its end is noted when it comes, not when we look next."""
        waiter = threading.Thread(target=self._note_end, name="fastrec-command", daemon=True)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:  # as of all our threads: signals are for the main one
            waiter.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _note_end(self) -> None:
        process = self._started.get()
        if process is not None:
            code = process.wait()
            self._ended_ns = time.monotonic_ns()
            self._code = code if code >= 0 else _BY_SIGNAL - code
        self._over.set()

    def _end(self, recorder: CommandRecorder) -> None:
        if self._process is None:
            return
        if not self._over.is_set():
            self._cut_short = True
            if (error := self._send(signal.SIGTERM)) is not None:  # one that runs as somebody else
                name = shlex.quote(self.argv[0])
                complain(f"{name}: cannot be sent SIGTERM: {error.strerror}; its end is waited for")
        while not self._over.wait(_TICK):  # a signal is passed on in between
            pass
        self._mark(recorder, self.outcome)

    def _pass_on(self, number: int) -> None:
        # Of Ctrl-C the terminal has told it; a second one might be another wish to it.
        if self._process is not None and not (number == signal.SIGINT and _in_foreground(self._process.pid)):
            self._send(number)

    def _hear(self, number: int) -> None:
        """Of a signal that came before anybody could pass it on."""
        if self._process is None:
            self._sent = number
        else:
            self._pass_on(number)

    def _send(self, number: int) -> OSError | None:
        self._sent = number
        try:
            if self._process is not None:
                self._process.send_signal(number)
                self._process.send_signal(signal.SIGCONT)  # one that is stopped would never hear of it
        except OSError as error:
            return error
        return None

    def _mark(self, recorder: CommandRecorder, text: str) -> None:
        """What goes wrong is told in the end: it is no reason to leave the command alone."""
        try:
            recorder.mark(text)
        except RecordingError as error:
            if not recorder.stopped:  # by the file's own code: then there is no more to be marked
                self.failures.append(error)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return f"signal {number}"


def _given() -> list[int]:
    """Descriptors that are for the command, too: of a shell's ``<(...)``, of make's job server."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return []
    return [number for number in numbers if number > _STDERR and _is_for_all(number)]


def _is_for_all(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def _in_foreground(process: int) -> bool:
    """The terminal's Ctrl-C goes to it; not where it has made a group of its own, as timeout(1) does."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgid(process)
    except OSError:
        return False
    finally:
        os.close(terminal)
