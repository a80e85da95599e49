"""The thread that calls getters at their deadlines, without the GIL."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strerror

from fastrec.core.call cimport fr_call_is_plain
from fastrec.core.ring cimport fr_now

LEAD_NS = FR_POLL_LEAD
MOST_CHANNELS = FR_POLL_CHANNELS
MOST_TEXTS = FR_TEXT_FIELDS
MOST_PROCESSORS = FR_PROCESSORS
QUANTILES = (0.5, 0.9, 0.99, 0.999)

cdef tuple summary(const fr_histogram *h):
    return (*[fr_hist_quantile(h, q) for q in QUANTILES], h.max if fr_hist_quantile(h, 1.0) >= 0 else -1)


cdef size_t behind() noexcept:
    """Where the room behind a command begins: aligned as malloc's, as C structs may need."""
    return (sizeof(fr_command) + 15) & ~<size_t> 15


cdef fr_command *new_command(int kind, size_t room=0) except NULL:
    """One that is freed once it is answered; `room` bytes lie behind it."""
    cdef fr_command *command = <fr_command *> calloc(1, behind() + room)
    if command == NULL:
        raise MemoryError
    command.kind = kind
    return command


cdef int32_t realtime(void *ctx, void *priority) noexcept nogil:
    return fr_thread_realtime((<int *> priority)[0])


cdef int32_t affinity(void *ctx, void *processors) noexcept nogil:
    return fr_thread_affinity(<fr_processors *> processors)


cdef class PollChannel:
    """A getter, the ring it fills and its grid.

    `period` is a fraction of ns as (numerator, denominator), (0, 1) flat out; `texts` are (offset,
    width, bytes of a code unit, read directly?) of the pointers in the payload that are followed. A ring
    of holds needs `mask`: the bits of the payload that make a state, padded to words of 8 bytes, and the
    `heartbeat` in ns.
    """

    def __cinit__(self, Ring ring not None, Getter getter not None, *, period=(0, 1), int64_t spin=0,
                  texts=(), bytes mask=b"", int64_t heartbeat=0):
        cdef fr_poll_channel *c = <fr_poll_channel *> calloc(1, sizeof(fr_poll_channel))
        cdef size_t record_size = ring.view.header.record_size
        if c == NULL:
            raise MemoryError
        self.c = c
        self.ring = ring
        self.getter = getter
        c.ring = ring.writer
        c.fn = getter.fn
        c.ctx = getter.ctx
        if getter.native != NULL and fr_call_is_plain(getter.native):
            c.call = getter.native
        c.grid.num, c.grid.den = period
        c.spin = spin
        c.clock_offset = ring.view.header.clock_offset
        c.tsc = ring.tsc
        # Pages of its own: what is locked is locked by the page.
        self.size = (FR_POLL_ROOM(record_size) + 16 + FR_PAGE - 1) & ~<size_t> (FR_PAGE - 1)
        self.memory = aligned_alloc(FR_PAGE, self.size)
        if self.memory == NULL:
            raise MemoryError
        memset(self.memory, 0, self.size)
        if texts:
            c.texts = <fr_texts *> calloc(1, sizeof(fr_texts))
            if c.texts == NULL:
                raise MemoryError
            c.texts.view = ring.view
        if len(texts) > FR_TEXT_FIELDS:
            raise ValueError(f"{len(texts)} text members; at most {FR_TEXT_FIELDS} are followed")
        if ring.view.header.store:
            texts = self.begin_holds(list(texts), mask, heartbeat)
        for offset, width, unit, direct in texts:
            c.text_fields[c.text_count] = fr_text_field(offset, width, unit, direct)
            c.text_count += 1
        # The payload, not the record, is aligned as malloc's: C structs may need it.
        fr_poll_prepare(c, <unsigned char *> self.memory + 16 - ring.view.header.payload_offset % 16)
        ring.polled = True

    cdef list begin_holds(self, list texts, bytes mask, int64_t heartbeat):
        """Make the state machine; the texts in the order in which it wants them."""
        cdef size_t record_size = self.ring.view.header.record_size
        if len(mask) != record_size - sizeof(fr_hold_columns):
            raise ValueError(f"a mask of {len(mask)} bytes for a record of {record_size} with holds")
        self.mask = mask
        if mask.strip(b"\xff"):
            self.hold.mask = <const uint64_t *> <const char *> mask
        self.hold.words = len(mask) // 8
        self.hold.heartbeat = heartbeat
        self.hold.record = <fr_hold_columns *> calloc(1, record_size)
        if self.hold.record == NULL:
            raise MemoryError
        compared = [text for text in texts if any(mask[text[0]:text[0] + text[1]])]
        self.hold.texts = len(compared)
        self.c.hold = &self.hold
        return compared + [text for text in texts if text not in compared]

    def __dealloc__(self):
        free(self.hold.record)
        if self.c != NULL:
            free(self.c.texts)
            if self.locked:
                fr_unlock(self.memory, self.size)
            free(self.memory)
            free(self.c)

    def lock(self):
        """Keep the scratch in memory: 0, or an errno."""
        cdef int error = fr_lock(self.memory, self.size)
        self.locked = self.locked or not error
        return -error

    @property
    def lateness(self):
        """ns after the intended time at the quantiles of `QUANTILES`, and at most; -1: nothing yet."""
        return summary(&self.c.lateness)

    @property
    def duration(self):
        """ns that calls took, like `lateness`."""
        return summary(&self.c.duration)


cdef class Poller:
    """One polling thread. It serves its channels one after another, and answers commands between two polls.

    Commands raise TimeoutError when a call has not returned within `timeout` seconds; what the thread uses
    is then kept in memory for ever.
    """

    def __cinit__(self, str name not None):
        self.name = name.encode()[:15]
        self.kept = []
        self.p = <fr_poller *> calloc(1, sizeof(fr_poller))
        if self.p == NULL:
            raise MemoryError
        self.p.clock = &fr_system_clock

    def __dealloc__(self):
        if not self.alive:
            free(self.p)

    def begin(self, spawn=None):
        """Start the thread; it polls nothing yet.

        `spawn(body)` starts a Python thread that calls `body`, which then is the polling thread: for getters
        that take the GIL. Without it the thread is one that Python does not know.
        """
        cdef int error
        if spawn is None:
            error = fr_poller_start(self.p, self.name)
            if error:
                raise OSError(-error, (<bytes> strerror(-error)).decode(), "a polling thread")
        else:
            spawn(self.serve)
        self.alive = True
        Py_INCREF(self)  # the thread's; given back when it has been joined
        self.tell(FR_CMD_NONE, 10.0)  # answered, so it has come that far

    def serve(self):
        """Be the polling thread until `stop`; for `begin`."""
        cdef const char *name = self.name
        with nogil:
            fr_poller_serve(self.p, name)

    cdef int ask(self, fr_command *command, double timeout) except -1:
        cdef int64_t wait = <int64_t> (timeout * 1e9)
        cdef int error
        with nogil:
            error = fr_poller_ask(self.p, command, fr_now() + wait)
        if error:  # the thread may still read the command: it is left to it
            name = self.name.decode("utf-8", "replace")
            raise TimeoutError(f"a call on thread {name!r} has not returned for {timeout:g} s")
        return 0

    cdef int tell(self, int kind, double timeout, PollChannel channel=None, int64_t start=0) except -1:
        cdef fr_command *command = new_command(kind)
        command.start = start
        if channel is not None:
            command.channel = channel.c
            self.kept.append(channel)
        self.ask(command, timeout)
        free(command)
        return 0

    def probe(self, PollChannel channel not None, double timeout=10.0):
        """A channel's first call, watched, on the polling thread; it takes no slot: (code, excess)."""
        cdef fr_command *command = new_command(FR_CMD_PROBE)
        command.channel = channel.c
        self.kept.append(channel)
        self.ask(command, timeout)
        self.kept.remove(channel)
        answer = command.probe.code, command.probe.excess
        free(command)
        return answer

    def call(self, Getter getter not None, double timeout=10.0):
        """One watched call on the polling thread, between two polls: (code, excess, payload)."""
        cdef fr_command *command = new_command(FR_CMD_CALL, getter.size + FR_CANARY_SIZE)
        command.fn = getter.fn
        command.ctx = getter.ctx
        command.out = <unsigned char *> command + behind()
        command.size = getter.size
        self.kept.append(getter)
        self.ask(command, timeout)
        self.kept.remove(getter)
        answer = (command.probe.code, command.probe.excess,
                  PyBytes_FromStringAndSize(<char *> command.out, getter.size))
        free(command)
        return answer

    cdef int demand(self, fr_poll_fn fn, const void *what, size_t size, double timeout) except -1:
        cdef fr_command *command = new_command(FR_CMD_CALL, size + FR_CANARY_SIZE)
        cdef int code
        command.fn = fn
        command.out = <unsigned char *> command + behind()
        command.size = size
        memcpy(command.out, what, size)
        self.ask(command, timeout)
        code = -command.probe.code
        free(command)
        return code

    def realtime(self, int priority, double timeout=10.0):
        """Run by SCHED_FIFO from now on: 0, or the errno of the refusal."""
        return self.demand(realtime, &priority, sizeof(priority), timeout)

    def affinity(self, numbers, double timeout=10.0):
        """Run on these processors alone, numbers below 1024, from now on: 0, or the errno of the refusal."""
        cdef fr_processors processors
        memset(&processors, 0, sizeof(processors))
        for number in numbers:
            processors.word[number // 64] |= <uint64_t> 1 << <int> (number % 64)
        return self.demand(affinity, &processors, sizeof(processors), timeout)

    def add(self, PollChannel channel not None, double timeout=10.0):
        """Poll this channel too, from now on or from `run` on."""
        if self.p.count == FR_POLL_CHANNELS:
            raise ValueError(f"a polling thread serves at most {FR_POLL_CHANNELS} channels")
        self.tell(FR_CMD_ADD, timeout, channel)

    def run(self, int64_t start, double timeout=10.0):
        """Begin polling; `start` (monotonic ns) is the deadline of slot 0 of every channel."""
        self.tell(FR_CMD_START, timeout, None, start)

    def pause(self, double timeout=10.0):
        """Poll nothing until `resume`; returns when the call that was under way has returned."""
        self.tell(FR_CMD_PAUSE, timeout)

    def resume(self, double timeout=10.0):
        """Poll again; deadlines that passed meanwhile are missed, with the code EBUSY."""
        self.tell(FR_CMD_RESUME, timeout)

    def halt(self, double timeout=5.0):
        """Poll nothing any more and complete the accounts; the thread stays, for `call`."""
        self.tell(FR_CMD_HALT, timeout)

    def stop(self, double timeout=5.0):
        """End the thread; False when a call has not returned, and the thread had to be left behind.

        Either way the channels are the caller's afterwards, and the account of each is complete.
        """
        cdef int64_t wait = <int64_t> (timeout * 1e9)
        cdef int error
        if not self.alive:
            return True
        try:
            self.tell(FR_CMD_STOP, timeout)
            with nogil:
                error = fr_thread_join(&self.p.thread, fr_now() + wait)
        except TimeoutError:
            with nogil:
                error = fr_poller_abandon(self.p)
        if error:
            return False
        self.alive = False
        Py_DECREF(self)
        return True

    def forget(self):
        """Become inert in a forked child: should the fork have come from the thread itself, it ends there."""
        fr_poller_forget(self.p)

    @property
    def cpu_ns(self):
        """Processor time of the thread."""
        return fr_thread_cpu(&self.p.thread) if self.alive else 0
