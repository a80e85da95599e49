"""Waiting for what must come, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 30.0


def until(condition: Callable[[], object]) -> None:
    """Look again and again; fail when it never comes true."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.001)
