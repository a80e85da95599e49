"""Records that were recorded before, on their way into a recording of their own, without the GIL."""

from libc.stdlib cimport calloc, free
from libc.string cimport strerror

LOST = 2 ** 64 - 1

GAP_BYTES = sizeof(fr_gap)


cdef class Excerpt:
    """Fills `ring`, which nobody else has, and brings it to where `channel` goes, which is in no `Spooler`.

    What is given is in the order of its numbers. OSError: the disk will not have it, or (EINVAL) the order is
    another; nothing may be given after it but `end`.
    """

    def __cinit__(self, Ring ring not None, SpoolChannel channel not None):
        self.ring, self.channel = ring, channel
        self.e = <fr_excerpt *> calloc(1, sizeof(fr_excerpt))
        if self.e == NULL:
            raise MemoryError
        fr_excerpt_begin(self.e, &fr_system_io, channel.c, &ring.writer)

    def __dealloc__(self):
        if self.e != NULL and not self.ended:
            fr_excerpt_end(self.e)
        free(self.e)

    def text(self, bytes text not None):
        """The id of a text in the records to come; `LOST`: it has no room."""
        if len(text) > FR_TEXT_ROOM:
            return LOST
        return fr_text_intern(&self.e.texts, text, len(text))

    def tell(self, const unsigned char[::1] gaps not None):
        """Losses, rows of GAP_DTYPE; at most 8,192 between two times that records are put, or `drain`."""
        cdef int error = 0
        if gaps.shape[0] % sizeof(fr_gap):
            raise ValueError(f"{gaps.shape[0]} bytes are no whole number of losses")
        if gaps.shape[0]:
            error = fr_excerpt_tell(self.e, <const fr_gap *> &gaps[0], gaps.shape[0] // sizeof(fr_gap))
        self.check(error)

    def put(self, uint64_t number, const unsigned char[::1] records not None):
        """Whole records, of consecutive numbers from `number` on."""
        cdef size_t size = self.ring.view.header.record_size
        cdef int error
        if records.shape[0] % size:
            raise ValueError(f"{records.shape[0]} bytes are no whole number of records")
        if not records.shape[0]:
            return
        with nogil:
            error = fr_excerpt_put(self.e, number, &records[0], records.shape[0] // size)
        self.check(error)

    def drain(self):
        """Bring to the disk what was given by now."""
        cdef int error
        with nogil:
            error = fr_excerpt_drain(self.e)
        self.check(error)

    def end(self):
        """Bring the rest to the disk, durably, and close the files; the number after all of it."""
        cdef int error = 0
        if not self.ended:
            self.ended = True
            with nogil:
                error = fr_excerpt_end(self.e)
        self.check(error)
        return self.channel.c.cursor

    cdef int check(self, int error) except -1:
        if error:
            raise OSError(-error, (<bytes> strerror(-error)).decode())
        return 0
