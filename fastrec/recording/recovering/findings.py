"""What comes to light while a recording is recovered, in order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fastrec.recording.precedence import Span, left_of, merged
from fastrec.recording.recovery import Torn

__all__ = ["Findings"]


@dataclass
class Findings:
    """Collects what `Recovery` tells in the end."""

    torn: list[Torn] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def tear(
        self,
        file: str,
        start: int,
        stop: int,
        why: str,
        *,
        first: int | None = None,
        last: int | None = None,
        saved: bool = False,
    ) -> None:
        """Add a torn stretch; one that goes on where the one before ended is joined with it."""
        found = Torn(file, start, stop, first, last, why, saved)
        if self.torn:
            before = self.torn[-1]
            follows = before.last is None if first is None else before.last == first - 1
            if follows and (before.file, before.stop, before.why, before.saved) == (file, start, why, saved):
                self.torn[-1] = replace(before, stop=stop, last=last)
                return
        self.torn.append(found)

    def settle_torn(self, folder: str, lost: list[Span]) -> None:
        """Of torn records below `folder`, those are saved of which no number is lost or unproven."""
        gone = merged(lost)
        for place, one in enumerate(self.torn):
            if one.file.startswith(folder) and one.first is not None and one.last is not None:
                whole = [(one.first, one.last + 1)]
                self.torn[place] = replace(one, saved=left_of(whole[0], gone) == whole)
