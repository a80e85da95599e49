"""Programs that a test starts, signals and outlives: they never outlive the test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

# What runs the tests may have its own ideas of signals (nohup, a shell's background): children begin anew.
_DEFAULTS = ["env", "--default-signal=INT,TERM,HUP"]


@contextmanager
def child(command: Sequence[object], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A running program with the signals' default actions; killed if it is still there at the end."""
    with subprocess.Popen([*_DEFAULTS, *map(str, command)], **options) as process:
        try:
            yield process
        finally:
            process.kill()
