"""Waiting for what must come, never for a time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 30.0


def until(condition: Callable[[], object]) -> None:
    """Look again and again; fail when it never comes true."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.001)


def taken_away(folder: Path) -> bool:
    """Remove a folder, of a recorder that may make a file in it meanwhile; whether it is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
