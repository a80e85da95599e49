"""The source ``wmdrm:individualization``: GetStatus of a client that lives as long as it is recorded."""

from __future__ import annotations

import os
import threading
from typing import Any

from fastrec.errors import SourceError, suggest
from fastrec.schema import Schema
from fastrec.sources import ComMethod
from fastrec.wmdrm.client import Individualization
from fastrec.wmdrm.status import GET_STATUS_SLOT, schema

__all__ = ["IndividualizationSource", "build"]

NAME = "individualization"
FULL_NAME = f"wmdrm:{NAME}"
NEEDED = {"url": "where to ask", "target": "the file that the upgrade becomes"}


class IndividualizationSource(ComMethod):
    """``GetStatus`` of an `Individualization`, and the life behind it: `begin`, `ended`, `finish`, `outcome`.

    Nothing happens on the network before `begin`; until then the status is all zeros.

    Parameters
    ----------
    client : Individualization
        Kept as the attribute of that name.
    """

    def __init__(self, client: Individualization) -> None:
        super().__init__(client.pointer, GET_STATUS_SLOT, schema=schema(64), keep=client.cell)
        self.name = FULL_NAME
        self.client = client

    def begin(self) -> None:
        """Start the client. A second call does nothing; after `finish` the client ends at once, cancelled."""
        if not self.client.started:
            self.client.start()

    @property
    def ended(self) -> bool:
        """Whether the client has ended, well or not."""
        return self.client.result is not None

    def finish(self) -> None:
        """Cancel what still runs, and wait for its end. Before `begin` there is nothing to wait for."""
        self.client.finish()

    @property
    def outcome(self) -> str:
        """The result in words with its number, and the reason of a failure.

        ``"NS_S_DRM_INDIVIDUALIZED (0x000d2727)"``; before the end ``"not begun"`` or ``"running"``.
        """
        result, error = self.client.result, self.client.error
        if result is None:
            return "running" if self.client.started else "not begun"
        number = f"{result.value:#010x}"
        said = number if result.name.lower() == number else f"{result.name} ({number})"
        return said if error is None else f"{said}: {str(error) or type(error).__name__}"


class SchemaOnly:
    """What stands for the source where neither url nor target was given: its name still names a schema."""

    schema: Schema = schema(64)

    @property
    def getter(self) -> Any:
        """There is none: whoever would poll it is told what is missing."""
        raise _missing(list(NEEDED))


def build(
    name: str,
    *,
    url: str | None = None,
    target: str | os.PathLike[str] | None = None,
    timeout: float | str = 30.0,
) -> IndividualizationSource | SchemaOnly:
    """The source ``wmdrm:NAME``; the one NAME is ``individualization``.

    Parameters
    ----------
    name : str
    url, target, timeout
        As for `Individualization`. Without url and target the source has a schema and cannot be polled.

    Raises
    ------
    SourceError
        There is none of this name; one of url and target is missing; the timeout is no time.
    """
    if name != NAME:
        raise SourceError(f"wmdrm has no source {name!r}{suggest(name, [NAME])}")
    missing = [one for one, given in (("url", url), ("target", target)) if not given]
    if len(missing) == len(NEEDED):
        return SchemaOnly()
    if missing:
        raise _missing(missing)
    return IndividualizationSource(Individualization(url, target, timeout=_seconds(timeout)))


def _missing(names: list[str]) -> SourceError:
    said = ", and ".join(f"--{name} ({name}=), {NEEDED[name]}" for name in names)
    return SourceError(f"{FULL_NAME} needs {said}")


def _seconds(timeout: float | str) -> float:
    try:
        seconds = float(timeout)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise SourceError(f"{FULL_NAME}: timeout={timeout!r} is no time; give seconds above 0, such as 30")
    return seconds
