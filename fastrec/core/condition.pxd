"""Conditions on records, as condition.h runs them."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fastrec.core.zone cimport fr_zone_field


cdef extern from "fastrec/condition.h" nogil:
    enum:
        FR_LANE  # records at a time

    ctypedef struct fr_step:
        uint8_t kind  # what it does
        uint8_t how  # relation, operation, or as the kind says
        uint16_t field  # which
        uint32_t place  # in a table
        uint32_t count
        uint64_t low, high

    ctypedef union fr_slot:
        uint8_t truth[1024]

    ctypedef struct fr_given:
        const uint64_t *ids  # of all lists, each sorted
        const size_t *ends  # where each list of ids ends
        const uint8_t **truths  # each list of truths
        size_t first  # the row to which the first of these belongs

    ctypedef struct fr_condition:
        const fr_step *step
        size_t steps
        const fr_zone_field *field
        const uint64_t *patterns  # tables of patterns, each sorted
        const unsigned char *bytes

    size_t fr_meeting(const fr_condition *c, const fr_given *given, const unsigned char *rows, size_t stride,
                      size_t start, size_t stop, fr_slot *stack, int64_t *out)


cdef class Condition:
    cdef fr_condition c
    cdef fr_step *steps
    cdef size_t depth  # slots of the stack that it needs
    cdef size_t lists, truths  # that it asks to be given
    cdef size_t reach  # bytes of a record that it looks at
    cdef object keep  # what the pointers point into
