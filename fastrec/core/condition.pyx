"""Conditions: lists of steps that tell, without the GIL, which records meet them."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from fastrec.core.zone cimport as_fields, fr_zone_field

LANE = FR_LANE

KINDS = (
    "truth", "field", "masked", "among", "bytes", "text", "given", "and", "or", "not", "whole", "real",
    "whole is", "real is", "to real", "physical", "parts", "near", "nan", "on whole", "on real", "wholes",
    "reals", "whole real", "real whole",
)
"""What a step may do, in the order of fr_step_kind."""

RELATIONS = ("==", "!=", "<", "<=", ">", ">=")

OPERATIONS = ("+", "-", "*", "/", "//", "%", "&", "|", "^", "<<", ">>", "negative", "~", "abs")

cdef dict TAKES = {  # values of the stack; each step puts one there
    "and": 2, "or": 2, "not": 1, "to real": 1, "physical": 1, "parts": 1, "near": 1, "nan": 1, "wholes": 2,
    "reals": 2, "whole real": 2, "real whole": 2,
}

cdef set READS = {"field", "masked", "among", "text", "whole", "real"}


cdef class Condition:
    """Steps and what they refer to; it never changes.

    `steps` are tuples (kind, how, field, place, count, low, high) with a kind of `KINDS`; `fields` are tuples
    as `zone_of` takes them, `patterns` and `data` the tables. Where a step leads is checked; that it finds
    values of its kind is not: one that does not gives a wrong answer.
    """

    def __cinit__(self, *, steps, fields, const uint64_t[::1] patterns not None, bytes data):
        cdef size_t i
        cdef fr_step *step
        cdef bytearray columns = as_fields(fields)
        self.keep = (columns, patterns, data)
        self.steps = <fr_step *> calloc(max(1, len(steps)), sizeof(fr_step))
        if self.steps == NULL:
            raise MemoryError
        self.c.step = self.steps
        self.c.steps = len(steps)
        self.c.field = <fr_zone_field *> <char *> columns
        self.c.patterns = &patterns[0] if patterns.shape[0] else NULL
        self.c.bytes = data
        self.reach = max((offset + size for offset, _, size, *_ in fields), default=0)
        height = 0
        for i, (kind, how, field, place, count, low, high) in enumerate(steps):
            step = &self.steps[i]
            step.kind = KINDS.index(kind)
            step.how, step.field, step.place, step.count = how, field, place, count
            step.low, step.high = low, high
            if field >= len(fields) and (field or kind in READS):
                raise ValueError(f"step {i}: no field {field}")
            if kind == "among" and place + count > patterns.shape[0]:
                raise ValueError(f"step {i}: patterns up to {place + count}")
            if kind == "bytes":
                if place + count > len(data):
                    raise ValueError(f"step {i}: bytes up to {place + count}")
                self.reach = max(self.reach, low + count)
            if kind == "text":
                self.lists = max(self.lists, place + 1)
            if kind == "given":
                self.truths = max(self.truths, place + 1)
            takes = TAKES.get(kind, 0)
            if kind in ("on whole", "on real"):
                takes = 1 if how >= OPERATIONS.index("negative") else 2
            least = 2 if kind == "to real" and how else takes
            if height < least:
                raise ValueError(f"step {i}: {kind} of {height} values")
            height += 1 - takes
            self.depth = max(self.depth, height)
        if height != 1:
            raise ValueError(f"{height} values are left")

    def __dealloc__(self):
        free(self.steps)

    @property
    def alone(self):
        """Whether it asks for nothing beside the rows: for no ids of texts, and no truths."""
        return not self.lists and not self.truths

    def meeting(self, const unsigned char[::1] rows not None, size_t stride,
                const int64_t[::1] starts not None, const int64_t[::1] stops not None,
                int64_t[::1] out not None, ids=(), truths=(), size_t first=0):
        """Rows within the ranges that meet it, into `out`; how many.

        `ids` are sorted arrays, the texts asked for as the rows' ids have them; `truths` arrays of bytes, the
        first of which belongs to row `first`.
        """
        cdef Py_ssize_t i
        cdef size_t found = 0, room = out.shape[0], count = rows.shape[0] // stride if stride else 0, end = 0
        cdef size_t last = 0
        cdef bytearray memory = bytearray(8 * max(1, sum(len(one) for one in ids)))
        cdef uint64_t *all_ids = <uint64_t *> <char *> memory
        cdef const uint64_t[::1] some
        cdef const uint8_t[::1] given
        cdef fr_given what
        cdef fr_slot *stack = NULL
        cdef size_t *ends = NULL
        cdef const uint8_t **lists = NULL
        if self.reach > stride or starts.shape[0] != stops.shape[0]:
            raise ValueError(f"{self.reach} bytes of a record of {stride}")
        if <size_t> len(ids) != self.lists or <size_t> len(truths) != self.truths:
            raise ValueError(f"{len(ids)} lists of ids, {len(truths)} of truths")
        for i in range(starts.shape[0]):
            if starts[i] < 0 or stops[i] < starts[i] or <size_t> stops[i] > count:
                raise ValueError(f"rows {starts[i]} to {stops[i]} of {count}")
            if <size_t> (stops[i] - starts[i]) > room:
                raise ValueError("no room for so many places")
            if truths and <size_t> starts[i] < first:
                raise ValueError(f"truths begin at row {first}")
            room -= stops[i] - starts[i]
            last = max(last, <size_t> stops[i])
        kept = []
        try:
            stack = <fr_slot *> malloc((self.depth + 1) * sizeof(fr_slot))
            ends = <size_t *> calloc(max(1, self.lists), sizeof(size_t))
            lists = <const uint8_t **> calloc(max(1, self.truths), sizeof(void *))
            if stack == NULL or ends == NULL or lists == NULL:
                raise MemoryError
            for i, one in enumerate(ids):
                some = one
                if some.shape[0]:
                    memcpy(&all_ids[end], &some[0], 8 * some.shape[0])
                end += some.shape[0]
                ends[i] = end
            for i, one in enumerate(truths):
                given = one
                kept.append(one)
                if last > first and last - first > <size_t> given.shape[0]:
                    raise ValueError("too few truths")
                lists[i] = &given[0] if given.shape[0] else NULL
            what.ids, what.ends, what.truths, what.first = all_ids, ends, lists, first
            with nogil:
                for i in range(starts.shape[0]):
                    if stops[i] > starts[i]:
                        found += fr_meeting(&self.c, &what, &rows[0], stride, starts[i], stops[i], stack,
                                            &out[found])
        finally:
            free(stack)
            free(ends)
            free(lists)
        return found
