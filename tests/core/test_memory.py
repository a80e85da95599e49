"""What is handed in wrongly is refused before anything is written: not a byte beside what was allocated.

Tests of the refusals themselves see the error alone. What was written past the end of a block of memory shows
much later, in a test of something else, or never.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once  # it runs tests again, those of the package that is installed


def test_refusals_write_nowhere(tmp_path: Path) -> None:
    """Python's debug allocator aborts where the bytes around a block are no longer what it had put there."""
    room = Path(__file__).parent
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not stress and not once",
    ]
    command += ["-k", "refused or wrong", f"--basetemp={tmp_path / 'again'}", str(room)]
    done = subprocess.run(
        command, cwd=room.parent.parent, env={**os.environ, "PYTHONMALLOC": "debug"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(done.stdout.rsplit("\n", 2)[-2].split()[0])
    assert passed > 100
