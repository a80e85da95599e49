"""What records have lost, by cause."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastrec.cli.output import plural
from fastrec.schema.gaps import Cause, numbered

__all__ = ["by_cause", "told"]


def by_cause(gaps: np.ndarray, begin: int | None = None) -> dict[str, dict[str, int]]:
    """How many, in how many places; nothing is lost that waits in shared memory from `begin` on."""
    if begin is not None:
        gaps = gaps[~numbered(gaps) | (gaps["seq"] < begin)]
        gaps["count"] = np.where(
            numbered(gaps), np.minimum(gaps["count"], begin - gaps["seq"]), gaps["count"]
        )
    losses = {}
    for cause in Cause:
        counts = gaps["count"][gaps["cause"] == cause]
        if len(counts):
            losses[cause.name.lower()] = {"count": int(counts.sum()), "gaps": len(counts)}
    return losses


def told(losses: Mapping[str, Mapping[str, int]]) -> str:
    """The same for people: their sum, then each."""
    total = sum(loss["count"] for loss in losses.values())
    each = [f"{cause} {loss['count']:,} ({plural(loss['gaps'], 'gap')})" for cause, loss in losses.items()]
    return f"{total:,}" + (f": {', '.join(each)}" if each else "")
