"""For how many polls holds stand: the sum that plain Python makes, whatever zones and parts they lie in."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from fastrec.records.chunks import ZONE, ArrayChunk
from fastrec.records.parts import Part
from fastrec.records.seen import polls_before

_HOLD = np.dtype([("mono_ns", "<i8"), ("until_ns", "<i8"), ("polls", "<u8"), ("max_gap_ns", "<i8")])


class Held(ArrayChunk):
    """Rows of holds with zones; what is read of them is remembered, and comes in parts of some size."""

    def __init__(self, array: np.ndarray, begin: int, at_once: int, *, forged: int | None = None) -> None:
        super().__init__(array)
        self.zone_starts = range(begin, len(array) - ZONE + 1, ZONE)
        self.at_once, self.forged = at_once, forged
        self.read: list[tuple[int, int]] = []

    def zones(self, low: int, high: int, columns: Sequence[int]) -> np.ndarray:
        begin, end = self.zone_starts.start + ZONE * low, self.zone_starts.start + ZONE * high
        found = np.zeros(high - low, [("polls", "<u8")])
        found["polls"] = self._array["polls"][begin:end].reshape(-1, ZONE).sum(axis=1, dtype=np.uint64)
        if self.forged is not None and low <= self.forged < high:
            found["polls"][self.forged - low] = 5
        return found

    def parts(self, starts: np.ndarray, stops: np.ndarray) -> Iterator[Part]:
        """Several ranges in one part, and long ones divided, as a segment gives them."""
        self.read += zip(starts.tolist(), stops.tolist(), strict=True)
        some: list[tuple[int, int]] = []
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            while start < stop:
                room = self.at_once - sum(end - begin for begin, end in some)
                some.append((start, min(stop, start + room)))
                start = some[-1][1]
                if room <= some[-1][1] - some[-1][0]:
                    yield self._part(some)
                    some = []
        if some:
            yield self._part(some)

    def _part(self, some: list[tuple[int, int]]) -> Part:
        low = max(0, some[0][0] - 3)  # what is before the first range was read with it
        begins, ends = np.array(some).T
        return Part(self._array[low : ends[-1]], begins - low, begins, ends)


@pytest.fixture
def holds() -> np.ndarray:
    rows = np.zeros(9 * ZONE + 700, _HOLD)
    rows["polls"] = np.random.default_rng(5).integers(1, 2**61, len(rows))
    return rows


@pytest.mark.parametrize("at_once", [1, 100, 3_000, 1 << 20])
@pytest.mark.parametrize("begin", [0, 300])
def test_polls_before_places(holds: np.ndarray, begin: int, at_once: int) -> None:
    luck = random.Random(f"{begin} {at_once}")
    through = [0]
    for polls in holds["polls"].tolist():
        through.append(through[-1] + polls)
    edges = [begin + ZONE * zone for zone in range(10)]
    for _ in range(60 if at_once > 1 else 4):
        chunk = Held(holds, begin, at_once)
        start = luck.choice([*edges, luck.randrange(len(holds))])
        among = [*edges, *luck.choices(range(len(holds) + 1), k=luck.choice((1, 3, 30))), start]
        places = sorted(place for place in luck.choices(among, k=luck.choice((1, 2, 20))) if place >= start)
        if not places:
            continue
        found = polls_before(chunk, start, np.array(places))
        assert found.tolist() == [(through[place] - through[start]) % 2**64 for place in places]
        read = {row // ZONE for low, high in chunk.read for row in range(low - begin, high - begin)}
        inner = {(place - begin) // ZONE for place in [start, *places] if (place - begin) % ZONE}
        last = {(places[-1] - begin) // ZONE} if (places[-1] - begin) % ZONE else set()
        assert read <= inner | last | {-1}


def test_zones_that_claim_too_few_polls_tell_nothing(holds: np.ndarray) -> None:
    chunk = Held(holds, 0, 5_000, forged=4)
    (found,) = polls_before(chunk, 10, np.array([8 * ZONE]))
    assert int(found) == int(holds["polls"][10 : 8 * ZONE].sum(dtype=np.uint64))
