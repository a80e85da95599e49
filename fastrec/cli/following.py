"""What comes while a command runs: records of several channels, and marks, round by round."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fastrec.cli.output import complain
from fastrec.recording import Recording
from fastrec.recording.ends import NOT_CLOSED
from fastrec.recording.reader import Mark
from fastrec.recording.writing.remains import remains
from fastrec.records import Records

__all__ = ["Round", "rounds", "tell_end"]

_POLL_S = 0.1


class Round(NamedTuple):
    """What came since the last one."""

    channels: dict[str, Records]
    marks: list[Mark]


def rounds(run: Recording, channels: Mapping[str, Records], made: int) -> Iterator[Round]:
    """What is committed behind some records, until no recorder has the recording or nobody reads stdout.

    Parameters
    ----------
    run : Recording
    channels : mapping of str to Records
    made : int
        Marks that were told.
    """
    tails = {name: records.follow(timeout="0s") for name, records in channels.items()}
    while True:
        # Asked first: when nothing is added any more, what is there then is all.
        ended = run.state != "live"
        marks = sorted(run.marks[made:])
        made += len(marks)
        found = {name: part for name, tail in tails.items() if (part := next(tail, None)) is not None}
        if found or marks:
            yield Round(found, marks)
        elif ended:
            return
        elif _deserted():
            raise BrokenPipeError
        else:
            time.sleep(_POLL_S)


def tell_end(run: Recording) -> None:
    """Say on stderr why nothing more comes, where that was not a clean close, and what is not in it yet."""
    if run.state == "unclean":
        complain(f"{run.path}: nothing more comes: {NOT_CLOSED}")
        for note in remains(run).notes:
            complain(note)


def _deserted() -> bool:
    """Whether stdout is a pipe that nobody reads: nothing may have been written to it for long."""
    asked = select.poll()
    try:
        asked.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return any(event & select.POLLERR for _, event in asked.poll(0))
