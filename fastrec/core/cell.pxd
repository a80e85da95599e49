"""A status cell: one struct, one writer, whole copies for any number of readers."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

cdef extern from "fastrec/atomic.h" nogil:
    uint64_t fr_load_relaxed(const uint64_t *p) noexcept

cdef extern from "fastrec/cell.h" nogil:
    enum:
        FR_CELL_SLOTS                # versions kept: one being written, seven that readers may be copying
        FR_CELL_MAX                  # bytes of the largest payload

    ctypedef struct fr_iid:
        uint8_t bytes[16]            # as a GUID lies in memory: the first three groups little endian

    const fr_iid fr_iid_unknown      # of IUnknown

    ctypedef struct fr_cell_vtable:
        int32_t (*query_interface)(void *self, const void *iid, void **out) noexcept   # slot 0
        uint32_t (*add_ref)(void *self) noexcept                                       # slot 1
        uint32_t (*release)(void *self) noexcept                                       # slot 2
        int32_t (*get_status)(void *self, void *out) noexcept                          # slot 3

    ctypedef struct fr_cell_text:
        fr_cell_text *next           # the text interned before this one
        size_t length                # bytes, without the NUL behind them

    ctypedef struct fr_cell:
        const fr_cell_vtable *vtable  # first member, so the cell's address is a COM interface pointer
        uint64_t refs                # references held; the cell frees itself when the last is released
        size_t size                  # bytes of the payload
        size_t words                 # distance of two slots, in words of 8 bytes
        uint64_t *slots              # FR_CELL_SLOTS versions; version n lies in slot n % FR_CELL_SLOTS
        fr_cell_text *texts          # interned texts, newest first; only the writer walks them
        void *block                  # what malloc returned
        fr_iid iid                   # the interface besides IUnknown
        uint8_t apart[1]             # space between the line of `refs` and that of `head`
        uint64_t head                # versions published, at least 1

    fr_cell *fr_cell_create(size_t size, const fr_iid *iid) noexcept  # NULL: no memory, or a bad size
    void fr_cell_write(fr_cell *cell, const void *payload) noexcept            # one thread at a time
    void fr_cell_read(const fr_cell *cell, void *out) noexcept                 # any thread
    const char *fr_cell_intern(fr_cell *cell, const char *bytes, size_t n) noexcept  # NULL: no memory
    int32_t fr_cell_poll(void *cell, void *out) noexcept                       # the getter: always 0, S_OK
    int32_t fr_cell_query_interface(void *self, const void *iid, void **out) noexcept
    uint32_t fr_cell_add_ref(void *self) noexcept
    uint32_t fr_cell_release(void *self) noexcept
    int32_t fr_cell_get_status(void *self, void *out) noexcept

cdef class StatusCell:
    cdef fr_cell *c_cell             # one reference is this object's
