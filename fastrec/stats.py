"""What a recorder says of itself: counters that add up, times, marks."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from fastrec.records.bychannel import ByChannel

__all__ = ["Quantiles", "RecorderStats", "Stats"]


@dataclass(frozen=True)
class Quantiles:
    """Of times in ns, exact to 1/32 of the value; -1 where there is none yet."""

    p50: int = -1
    p90: int = -1
    p99: int = -1
    p999: int = -1
    max: int = -1


@dataclass(frozen=True)
class Stats:
    """One consistent copy of a channel's counters: ``slots == recorded + held + missed + failed + dropped``.

    Attributes
    ----------
    slots : int
        Deadlines, calls flat out or pushes whose outcome is decided.
    recorded, held, missed, failed, dropped : int
        Published; found nothing new; passed without a call; the getter failed; found no room. With
        ``store="changes"`` the poll that opens a state is recorded, and each equal one after it held; those
        of a hold that finds no room are dropped instead.
    overwritten : int
        Records that the ring lost before the disk had them; without a path, those that have left the ring.
    disk : int
        Records that the disk would not have.
    in_call : int
        ns since the call began that has not returned; 0: none.
    published, written, durable : int
        Every record below the number is visible to readers; survives ``kill -9``; survives a loss of power.
        With ``store="changes"`` more are published than `recorded`: what is held is told by records too.
        The last two go back where somebody removes the files, until they are written again.
    lateness, duration : Quantiles
        Of calls after their intended time (missed slots included); of the calls themselves. ns.
    rate : float
        Records published a second so far.
    cpu : float
        Share of a processor that the polling thread has used; channels of one thread share it.
    texts_lost : int
        Texts behind pointers that could not be read up to their end, or found no room: a channel keeps 65,536
        different ones, 4 MiB in all, and gives none up for another. Their records hold all ones instead.
    clock_error : int
        ns that stamps can have been off the monotonic clock at most; 0: they are of that clock.
    privileges : dict of str to str
        What was asked of the system for this channel and its thread (``realtime``, ``affinity``,
        ``lock_memory``): ``"granted"``, or ``"refused: ..."`` and why.
    """

    slots: int
    recorded: int
    held: int
    missed: int
    failed: int
    dropped: int
    overwritten: int
    disk: int
    in_call: int
    published: int
    written: int
    durable: int
    lateness: Quantiles
    duration: Quantiles
    rate: float
    cpu: float
    texts_lost: int
    clock_error: int
    privileges: dict[str, str]

    def as_dict(self) -> dict[str, object]:
        """All of it, the quantiles as dictionaries."""
        return asdict(self)


class RecorderStats(ByChannel[Stats]):
    """`Stats` by channel name, as they were when asked for."""

    def __repr__(self) -> str:
        return f"RecorderStats({self._channels!r})"

    def as_dict(self) -> dict[str, dict[str, object]]:
        """`Stats.as_dict` by channel name."""
        return {name: stats.as_dict() for name, stats in self._channels.items()}
