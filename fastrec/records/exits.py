"""Finding who writes a format. Formats lie to the right of records, so they are reached by entry points,
never imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import PurePath

from fastrec.errors import FormatError

__all__ = ["GROUP", "known", "writer"]

GROUP = "fastrec.formats"
"""Entry point group: the name is a suffix without its dot, the value ``"module:function"``."""


def known() -> dict[str, str]:
    """Suffixes that can be written, sorted, each with the ``"module:function"`` that writes it; nothing is
    imported.
    """
    return {
        entry.name: entry.value for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    }


def writer(path: str | os.PathLike[str]) -> Callable[..., None]:
    """Function ``write(records, path, **options)`` for the suffix of a path; case does not matter.

    Raises
    ------
    FormatError
        If the path has no suffix, no installed format has it, or the format cannot be imported.
    """
    name = PurePath(path).name
    suffix = PurePath(path).suffix[1:].lower()
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if suffix not in found:
        listed = (
            ", ".join(f".{one}" for one in sorted(found))
            or "none: fastrec is not installed, so it has no entry points"
        )
        what = f"no format is called .{suffix}" if suffix else "it has no suffix to tell the format by"
        raise FormatError(f"{name!r} cannot be written: {what}; there is {listed}")
    try:
        return found[suffix].load()
    except (ImportError, AttributeError) as error:
        raise FormatError(
            f"{name!r} cannot be written: {found[suffix].value} does not load ({error})"
        ) from error
