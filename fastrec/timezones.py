"""Time zones by the name that a recording stores: of the IANA database, or ``+hh:mm``."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
from pathlib import Path
from zoneinfo import ZoneInfo

__all__ = ["local_zone_name", "zone_named"]

_OFFSET = re.compile(r"([+-])([0-9]{2}):([0-5][0-9])")
_NAME = re.compile(r"[A-Za-z0-9_+-]{1,64}(/[A-Za-z0-9_+-]{1,64}){0,3}")


def zone_named(name: object) -> dt.tzinfo:
    """The zone of a stored name; UTC where this machine does not know it."""
    offset = _OFFSET.fullmatch(name) if isinstance(name, str) else None
    if offset and int(offset[2]) < 24:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return dt.timezone(dt.timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    if isinstance(name, str) and _NAME.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            pass
    return dt.UTC


def local_zone_name() -> str:
    """This machine's zone: ``$TZ``, else what /etc/localtime links to, else the offset of now."""
    linked = Path(os.path.realpath("/etc/localtime"))
    name = os.environ.get("TZ", "").lstrip(":") or str(linked).partition("/zoneinfo/")[2]
    if _NAME.fullmatch(name):
        try:
            return ZoneInfo(name).key
        except (OSError, ValueError, KeyError):
            pass
    minutes = time.localtime().tm_gmtoff // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
