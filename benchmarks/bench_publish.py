"""Publishing in C, without a clock: against a plain array, and through to a reader beside two queues.

A record is its number and a status of 32 bytes, of which 64 come in turn. All containers have one size and
are driven by one C++ template, publish.cpp; the counters that a poller keeps besides are no part of it. Warm:
4,096 records, which stay in the caches; cold: 2**20 (40 MB), which have left them when it comes round.
With "a reader beside" nothing is lost: who finds no room offers again. The ring as it usually is never
refuses, and its reader loses: it stands there too, with the share that was lost, and no claim rests on it.
Reading is by up to 64 records a call where the container can do it, or said to be one by one.
"""

from __future__ import annotations

import ctypes

import numpy as np

from benchmarks import rivals
from benchmarks.harness import Bench, Case, Claim, Timed, WrongAnswerError
from benchmarks.payloads import SCHEMA, compare, payloads, statuses

FEED = 64  # payloads in turn
WARM, COLD = 4096, 1 << 20
BATCH = 64

RING, BOUNDED = "overwriting", "bounded"
MOODYCAMEL, BOOST = "moodycamel_queue", "boost_queue"


class Run(ctypes.Structure):
    """``struct run`` of publish.cpp."""

    _fields_ = [
        ("payloads", ctypes.c_void_p),
        ("first", ctypes.c_uint64),
        ("count", ctypes.c_uint64),
        ("taken", ctypes.c_void_p),
        ("room", ctypes.c_uint64),
        ("most", ctypes.c_uint64),
        ("popped", ctypes.c_uint64),
        ("lost", ctypes.c_uint64),
        ("wrong", ctypes.c_uint64),
    ]


class Passing(Timed):
    """Records put into a container and, in most cases, taken out again.

    Parameters
    ----------
    who : str
    library : ctypes.CDLL
        publish.cpp.
    container : str
        Its name there.
    way : str
        ``"publish"``, ``"store"``, ``"alone"`` or ``"beside"``.
    capacity : int
        Records; what is taken out goes round a buffer of as many.
    count : int
        Records of a run.
    most : int
        Taken out at once.
    """

    def __init__(
        self,
        who: str,
        library: ctypes.CDLL,
        container: str,
        way: str,
        capacity: int,
        count: int,
        most: int = 1,
    ) -> None:
        super().__init__(who, "ns/record", count)
        self.library = library
        self.container = container
        self.way = way
        self.most = most
        self.capacity = capacity
        self.taken = np.ones(capacity, SCHEMA.record_dtype)
        self.does = self._function(way, None, ctypes.c_void_p, ctypes.POINTER(Run), ctypes.c_uint64)
        self.handle = None
        if way != "store":
            self.handle = self._function("new", ctypes.c_void_p, ctypes.c_uint64)(capacity)
            if not self.handle:
                raise MemoryError(f"no room for a container of {capacity} records")

    def _function(self, name: str, result: type | None, *arguments: type) -> ctypes._CFuncPtr:
        function = self.library[f"{self.container}_{name}"]
        function.restype, function.argtypes = result, arguments
        return function

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.rows = statuses(turn * FEED, FEED)
        self.answer = Run(
            payloads=self.rows.ctypes.data,
            first=turn * self.operations,
            count=self.operations,
            taken=self.taken.ctypes.data,
            room=self.capacity,
            most=self.most,
        )

    def work(self) -> None:
        self.does(self.handle, self.answer, self.capacity // 2)

    def run(self) -> dict[str, float]:
        figures = super().run()
        if self.way == "beside" and self.container == RING:
            figures["% lost"] = 100 * self.answer.lost / self.operations
        return figures

    def check(self) -> None:
        """Counts and order of all that came, and every byte of the newest."""
        answer = self.answer
        if self.way == "publish":
            self._function("newest", None, ctypes.c_void_p, ctypes.POINTER(Run), ctypes.c_uint64)(
                self.handle, answer, 0
            )
        came = answer.popped + answer.lost
        whole = self.capacity if self.way in ("publish", "store") else self.operations
        if came != whole or answer.wrong or (answer.lost and self.container != RING):
            raise WrongAnswerError(
                f"{self.who}: {answer.popped} came and {answer.lost} were lost of {whole}, "
                f"{answer.wrong} in the wrong order"
            )
        kept = min(answer.popped, self.capacity)
        at = self.operations if self.way == "store" else answer.popped
        newest = self.taken[np.arange(at - kept, at) % self.capacity]
        numbers = newest["mono_ns"] - answer.first
        dense = answer.lost == 0 or self.way != "beside"
        last = np.arange(self.operations - kept, self.operations)
        if (dense and not np.array_equal(numbers, last)) or (np.diff(numbers) <= 0).any():
            raise WrongAnswerError(f"{self.who}: the numbers of what came are wrong")
        compare(self.who, payloads(newest), self.rows[numbers % FEED])

    def close(self) -> None:
        if self.handle:
            self._function("free", None, ctypes.c_void_p)(self.handle)
            self.handle = None


def _publish(name: str, library: ctypes.CDLL, capacity: int, count: int) -> Case:
    return Case(
        name,
        [Passing("fastrec publish", library, RING, "publish", capacity, count)],
        [Passing("plain array", library, "array", "store", capacity, count)],
    )


def _through(name: str, library: ctypes.CDLL, way: str, capacity: int, count: int) -> Case:
    def passing(who: str, container: str, most: int = 1) -> Passing:
        return Passing(who, library, container, way, capacity, count, most)

    return Case(
        name,
        [
            passing("fastrec, a reader that may lose", RING, BATCH),
            passing("fastrec", BOUNDED, BATCH),
            passing("fastrec, one by one", BOUNDED),
        ],
        [
            passing("moodycamel::ReaderWriterQueue", MOODYCAMEL, BATCH),
            passing("boost::lockfree::spsc_queue", BOOST, BATCH),
            passing("boost::lockfree::spsc_queue, one by one", BOOST),
        ],
    )


def bench(quick: bool) -> Bench:
    """Publishing alone; publishing and reading on one thread, and on two; each warm and cold."""
    library = rivals.compiled("publish.cpp")
    # Warm runs last a millisecond or two, so that few of them are interrupted.
    warm, cold = ((WARM, 50_000), (4 * WARM, 50_000)) if quick else ((WARM, 500_000), (COLD, 4 * COLD))
    cases = []
    for heat, (capacity, count) in (("warm", warm), ("cold", cold)):
        passed = count if quick else 2_000_000
        cases += [
            _publish(f"publish, {heat}", library, capacity, count),
            _through(f"in and out, {heat}", library, "alone", capacity, count),
            _through(f"a reader beside, {heat}", library, "beside", capacity, passed),
        ]
    claims = [Claim("publish.array.at_most", "publish, warm", "fastrec publish", "plain array", 2.5)]
    for case, short in (("in and out, warm", "alone"), ("a reader beside, warm", "beside")):
        for rival in ("moodycamel::ReaderWriterQueue", "boost::lockfree::spsc_queue"):
            name = f"publish.{short}.{rival.split('::')[0]}.at_most"
            claims.append(Claim(name, case, "fastrec", rival, 1.2))
    return Bench(cases, claims)
