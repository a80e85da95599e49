"""A wait for deadlines: without the GIL, open to signals, and honest about how late it ended."""

from cpython.exc cimport PyErr_CheckSignals

from fastrec.core.poller cimport summary
from fastrec.core.ring cimport fr_now

cdef enum:
    SLICE = 50_000_000  # ns: a signal may go to another thread, and then does not end our sleep


cdef bint reach(const uint32_t *word, int64_t deadline, int64_t spin) noexcept nogil:
    """Wait for a deadline, at most a slice of it; whether it has come."""
    cdef int64_t now = fr_now(), wake = deadline - spin
    if now < wake:
        fr_wait(word, 0, min(wake, now + SLICE))
        if fr_now() < wake:
            return False
    while fr_now() < deadline:
        fr_relax()
    return True


cdef class Pacer:
    """Waits for one deadline after another, and counts how late each wait ended.

    It sleeps until `spin` ns before a deadline, then spins. The default is twice the timer slack that Linux
    gives a thread, so the thread's own need not be touched.
    """

    def __cinit__(self, int64_t spin=100_000):
        if spin < 0:
            raise ValueError(f"spin={spin}; it is a number of ns from 0 on")
        self.spin = spin

    def wait(self, int64_t deadline):
        """Return at `deadline` (monotonic ns), or at once if it has passed.

        What a signal's handler raises, KeyboardInterrupt as a rule, ends the wait.
        """
        cdef bint come = fr_now() >= deadline
        PyErr_CheckSignals()
        while not come:
            with nogil:
                come = reach(&self.word, deadline, self.spin)
            PyErr_CheckSignals()
        # Measured with the GIL: until another thread gives it back, whoever waits cannot go on.
        fr_hist_add(&self.late, fr_now() - deadline, 1)

    @property
    def lateness(self):
        """ns after the deadlines at the quantiles of `poller.QUANTILES`, and at most; -1: nothing yet."""
        return summary(&self.late)
