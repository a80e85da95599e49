"""A status cell for Python writers: what they write, C reads through a getter or a COM interface."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy

from fastrec.errors import SchemaError


cdef class StatusCell:
    """A struct of `size` bytes that one thread writes and any thread, of any language, reads whole.

    Parameters
    ----------
    size : int
        Bytes of the struct, 1 to 65536.
    iid : bytes, optional
        The 16 bytes of an interface id as a GUID lies in memory (``uuid.UUID(...).bytes_le``). QueryInterface
        answers it besides IUnknown's; without it, IUnknown's alone.

    Raises
    ------
    SchemaError
        A size or an id that cannot be.

    Notes
    -----
    The cell starts as all zeros. The object behind `pointer` is reference counted as COM objects are; this
    Python object owns one reference and releases it at its end. Whoever keeps `pointer` for longer calls
    AddRef, and Release.
    """

    def __cinit__(self, size_t size, *, iid=None):
        cdef fr_iid c_iid = fr_iid_unknown
        if not 0 < size <= FR_CELL_MAX:
            raise SchemaError(f"a status of {size} bytes cannot be kept: it must have 1 to {FR_CELL_MAX}")
        if iid is not None:
            if not isinstance(iid, bytes) or len(iid) != sizeof(fr_iid):
                raise SchemaError(f"{iid!r} is no interface id: pass 16 bytes, uuid.UUID(...).bytes_le")
            memcpy(&c_iid, PyBytes_AS_STRING(iid), sizeof(fr_iid))
        self.c_cell = fr_cell_create(size, &c_iid)
        if self.c_cell is NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.c_cell is not NULL:
            fr_cell_release(self.c_cell)

    def write(self, payload):
        """Publish a new version of the struct; readers see the old one or this one, never a mixture.

        Parameters
        ----------
        payload : bytes-like
            Any C-contiguous buffer (bytes, ctypes, numpy) of exactly `size` bytes.
        """
        cdef Py_buffer view
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            if <size_t>view.len != self.c_cell.size:
                raise SchemaError(f"{view.len} bytes are no status of this cell: pass {self.c_cell.size}")
            fr_cell_write(self.c_cell, view.buf)
        finally:
            PyBuffer_Release(&view)

    def read(self):
        """The newest version, as `size` bytes."""
        copy = PyBytes_FromStringAndSize(NULL, self.c_cell.size)
        fr_cell_read(self.c_cell, PyBytes_AS_STRING(copy))
        return copy

    def text(self, bytes text not None):
        """Address of a NUL-terminated copy of `text`, for a pointer member of the struct.

        It stays where it is until the object's last Release; equal texts get the same address.
        """
        if b"\0" in text:
            raise SchemaError(f"{text[:64]!r} has a NUL inside, where C would see its end: remove it")
        cdef const char *copy = fr_cell_intern(self.c_cell, PyBytes_AS_STRING(text), len(text))
        if copy is NULL:
            raise MemoryError()
        return <uintptr_t>copy

    @property
    def size(self):
        """Bytes of the struct."""
        return self.c_cell.size

    @property
    def pointer(self):
        """Address of the COM object: slots QueryInterface, AddRef, Release, ``GetStatus(void *out)``."""
        return <uintptr_t>self.c_cell

    @property
    def getter(self):
        """Address of ``int32_t fr_cell_poll(void *cell, void *out)``; its first argument is `pointer`."""
        return <uintptr_t>&fr_cell_poll

    @property
    def refcount(self):
        """References held at this moment, this object's included."""
        return fr_load_relaxed(&self.c_cell.refs)
