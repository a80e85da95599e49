"""The threads of this process, as the system lists them.

One that was joined is listed for a moment yet: the kernel wakes who joins it before it takes it off the list.
So a test waits until no more are listed than before (``waiting.until``), and never looks once.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def tasks(begins: str = "") -> list[str]:
    """Names of the threads, or of those whose name begins so."""
    names = []
    for one in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):  # it has just ended
            names.append(one.read_text(encoding="utf-8").removesuffix("\n"))
    return [name for name in names if name.startswith(begins)]
