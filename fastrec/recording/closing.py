"""What ``closed.json`` says, which a clean stop writes last, and what the statistics say until then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastrec.recording import layout, opening
from fastrec.recording.committed import NUMBER_LIMIT

__all__ = ["all_retired", "published", "read_closed", "stats_of", "totals"]


def read_closed(root: Path, uuid: bytes) -> dict[str, Any]:
    """Its members; errors as of `opening.read_json`."""
    return opening.read_json(root, "closed.json", seed=layout.row_seed(uuid, "", 0, 0))


def totals(closed: Mapping[str, Any] | None) -> dict[str, Any]:
    """Its totals by channel; empty where it says nothing that makes sense."""
    channels = (closed or {}).get("channels")
    return channels if isinstance(channels, dict) else {}


def stats_of(lines: Iterable[object], closed: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Counters by channel: the final ones if it is closed, else the last of the lines of ``stats.jsonl``."""
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        if isinstance(line, dict) and isinstance(line.get("channel"), str):
            found[line["channel"]] = {key: value for key, value in line.items() if key != "channel"}
    for name, total in totals(closed).items():
        if isinstance(total, dict) and isinstance(total.get("stats"), dict):
            found[name] = dict(total["stats"])
    return found


def published(closed: Mapping[str, Any] | None, name: str) -> int | None:
    """How many records of a channel it says there were; None if it does not."""
    total = totals(closed).get(name)
    records = total.get("records") if isinstance(total, dict) else None
    return records if type(records) is int and 0 <= records < NUMBER_LIMIT else None


def all_retired(closed: Mapping[str, Any] | None, name: str) -> bool:
    """Whether there was no segment of a channel any more when the recording was closed."""
    files = (closed or {}).get("files")
    return isinstance(files, dict) and not any(path.startswith(f"channels/{name}/records.") for path in files)
