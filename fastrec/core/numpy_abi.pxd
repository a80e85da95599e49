"""The first members of NumPy's rows and arrays, as its stable ABI (2.0 and on) has them.

A row exports a buffer slowly: it writes a format string and allocates. Declared here, so that building needs
no header of NumPy's; `learn_numpy` proves them on real objects before any payload is read by them.
"""

cdef extern from "Python.h":
    ctypedef struct PyObject:
        pass
    ctypedef struct PyVarObject:
        pass

cdef struct NumpyRow:                              # PyVoidScalarObject in numpy/arrayscalars.h
    PyVarObject head
    const unsigned char *data
    PyObject *dtype

cdef struct NumpyArray:                            # PyArrayObject_fields in numpy/ndarraytypes.h
    PyObject head
    const unsigned char *data
    int ndim
    const Py_ssize_t *shape
    const Py_ssize_t *strides
    PyObject *base
    PyObject *dtype
    int flags

cdef enum:                                         # of flags
    C_CONTIGUOUS = 0x0001                          # NPY_ARRAY_C_CONTIGUOUS
    ALIGNED = 0x0100                               # NPY_ARRAY_ALIGNED
