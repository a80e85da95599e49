"""Storing statuses from Python, one at a time and by the array, into a buffer that is full and goes round.

Contestants that keep stamps are compared by them; the two rings from PyPI keep none, and are not asked to.
"Cold" is each payload stored once into a container that is met again only after all the others: payloads and
container together, some 80 MB, are beyond the caches of common machines; all else is within them.
"V32" stands for a rival that stores opaque bytes, which is quicker for it and leaves the reading to the user.
"""

from __future__ import annotations

import numpy as np

import fastrec
from benchmarks import rivals
from benchmarks.harness import Bench, Case, Claim, WrongAnswerError
from benchmarks.payloads import FORMS, OPAQUE, SCHEMA, Feed, payloads

GUARD = 64  # slots of a ring beyond its capacity

CLAIMED_ROWS = 4096

COLD = 1 << 19


class _Channel:
    """A channel that records into memory, and what it holds."""

    def __init__(self, feed: Feed) -> None:
        self.recorder = fastrec.Recorder()
        self.channel = self.recorder.add("status", schema=SCHEMA, capacity=feed.capacity)
        self.recorder.start()

    def held(self, who: str, pushed: int) -> np.ndarray:
        """The records in it, after proof that all that was ever pushed is accounted for."""
        stats = self.channel.stats
        if not stats.slots == stats.recorded == stats.published == pushed:
            raise WrongAnswerError(
                f"{who}: {stats.slots} slots, {stats.recorded} recorded of {pushed} pushed"
            )
        return self.channel.snapshot().to_numpy()

    def close(self) -> None:
        self.recorder.stop()


class _Ring:
    """A ring on its own."""

    def __init__(self, feed: Feed) -> None:
        self.ring = fastrec.Ring(SCHEMA, feed.capacity)

    def held(self, who: str, pushed: int) -> np.ndarray:
        """As of `_Channel`."""
        snapshot = self.ring.snapshot()
        published = snapshot.first_seq + len(snapshot.array)
        if snapshot.lost or published != pushed:
            raise WrongAnswerError(f"{who}: {published} published of {pushed} pushed")
        return snapshot.array

    def close(self) -> None:
        pass


class _Checked:
    """The part of our contestants that is not timed."""

    store: _Channel | _Ring
    pushed = 0

    def work(self) -> None:
        super().work()
        self.pushed += self.feed.operations

    def check(self) -> None:
        records = self.store.held(self.who, self.pushed)
        self.compare(payloads(records), records["mono_ns"])

    def close(self) -> None:
        self.store.close()


class ChannelPush(_Checked, rivals.Pushing):
    """``channel.push(s)``: stamped, counted, readable by every thread at once."""

    def __init__(self, feed: Feed, form: str) -> None:
        super().__init__("fastrec channel.push", feed, form)
        self.store = _Channel(feed)
        self.push = self.store.channel.push


class RingPush(_Checked, rivals.Pushing):
    """``ring.push(s)``: the same without a recorder."""

    def __init__(self, feed: Feed, form: str) -> None:
        super().__init__("fastrec ring.push", feed, form)
        self.store = _Ring(feed)
        self.push = self.store.ring.push


class ChannelExtend(_Checked, rivals.Extending):
    """``channel.extend(array)``, one stamp a call."""

    def __init__(self, feed: Feed) -> None:
        super().__init__("fastrec channel.extend", feed)
        self.store = _Channel(feed)
        self.push = self.store.channel.extend


class ChannelExtendStamped(_Checked, rivals.Extending):
    """``channel.extend(array, mono_ns)``, a stamp a row."""

    def __init__(self, feed: Feed) -> None:
        super().__init__("fastrec channel.extend, stamps given", feed)
        self.store = _Channel(feed)

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        first = turn * self.feed.operations
        self.stamps = np.arange(first, first + self.feed.operations).reshape(self.feed.rounds, -1)

    def work(self) -> None:
        extend, payloads = self.store.channel.extend, self.payloads
        for stamps in self.stamps:
            extend(payloads, stamps)
        self.pushed += self.feed.operations

    def compare(self, stored: np.ndarray, stamps: np.ndarray | None = None) -> None:
        super().compare(stored)
        if not np.array_equal(stamps, self.stamps.ravel()[-self.feed.capacity :]):
            raise WrongAnswerError(f"{self.who}: the stamps are not those given")


def _push(form: str, feed: Feed) -> Case:
    opaque = [
        rivals.RingAppend("numpy_ringbuffer.append, V32", "numpy_ringbuffer", feed, form, OPAQUE),
        rivals.RingAppend("dvg-ringbuffer.append, V32", "dvg_ringbuffer", feed, form, OPAQUE),
        rivals.ArrayRows("array[i] = row, V32 and stamp", feed, form, OPAQUE),
        rivals.DequeOfTuples("deque.append((perf_counter_ns(), bytes(s)))", feed, form),
    ]
    fields = [
        rivals.RingAppend("numpy_ringbuffer.append", "numpy_ringbuffer", feed, form),
        rivals.RingAppend("dvg-ringbuffer.append", "dvg_ringbuffer", feed, form),
        rivals.ArrayRows("array[i] = row and stamp", feed, form),
    ]
    # Nothing but a row of NumPy's can be assigned to fields.
    others = [*fields, *opaque] if form == "NumPy row" else opaque
    return Case(f"push, {form}", [ChannelPush(feed, form), RingPush(feed, form)], others)


def _cold(form: str, feed: Feed) -> Case:
    row = form == "NumPy row"
    return Case(
        f"push, {form}, cold",
        [ChannelPush(feed, form)],
        [
            *([rivals.RingAppend("numpy_ringbuffer.append", "numpy_ringbuffer", feed, form)] if row else []),
            *([rivals.ArrayRows("array[i] = row and stamp", feed, form)] if row else []),
            rivals.ArrayRows("array[i] = row, V32 and stamp", feed, form, OPAQUE),
            rivals.DequeOfTuples("deque.append((perf_counter_ns(), bytes(s)))", feed, form),
        ],
    )


def _extend(feed: Feed) -> Case:
    return Case(
        f"extend, {feed.count} rows a call",
        [ChannelExtend(feed), ChannelExtendStamped(feed)],
        [
            rivals.Copying("memcpy of finished records", rivals.bare_loops(), feed, feed.capacity + GUARD),
            rivals.RingExtend("numpy_ringbuffer.extend", "numpy_ringbuffer", feed),
            rivals.RingExtend("numpy_ringbuffer.extend, V32", "numpy_ringbuffer", feed, OPAQUE),
            rivals.RingExtend("dvg-ringbuffer.extend", "dvg_ringbuffer", feed),
            rivals.RingExtend("dvg-ringbuffer.extend, V32", "dvg_ringbuffer", feed, OPAQUE),
        ],
    )


def _push_claim(form: str, rival: str, short: str, target: float) -> Claim:
    name = f"push.{form.split()[0].lower()}.{short}.at_least"
    return Claim(name, f"push, {form}", rival, "fastrec channel.push", target)


def bench(quick: bool) -> Bench:
    """One payload at a time in each of its forms, warm and cold; arrays of 64 and of 4,096."""
    capacity = 8192 if quick else 65536
    turns = 1 if quick else 2
    single = Feed(1024, turns * capacity // 1024, capacity)
    once = Feed(capacity, 1, capacity) if quick else Feed(COLD, 1, COLD)
    arrays = [Feed(rows, 2 * turns * capacity // rows, capacity) for rows in (64, CLAIMED_ROWS)]
    extend, ours = f"extend, {CLAIMED_ROWS} rows a call", "fastrec channel.extend"
    queue = "deque.append((perf_counter_ns(), bytes(s)))"
    return Bench(
        [
            *(case for form in FORMS for case in (_push(form, single), _cold(form, once))),
            *map(_extend, arrays),
        ],
        [
            _push_claim("NumPy row", "numpy_ringbuffer.append", "numpy_ringbuffer", 6),
            _push_claim("NumPy row", "dvg-ringbuffer.append", "dvg_ringbuffer", 6),
            _push_claim("NumPy row", "array[i] = row and stamp", "array", 3),
            *(_push_claim(form, queue, "deque", 3) for form in FORMS),
            Claim("extend.memcpy.at_most", extend, ours, "memcpy of finished records", 1.5),
            Claim("extend.numpy_ringbuffer.at_least", extend, "numpy_ringbuffer.extend", ours, 5),
        ],
    )
