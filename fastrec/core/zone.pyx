"""What 1024 records say together, as FORMAT.md has it in a row of ``zones``."""

from libc.stdint cimport uint64_t


cdef bytearray as_fields(zone_fields):
    """The C array of numeric fields: tuples (offset in the record, "i", "u" or "f", bytes, whether of another
    byte order, lowest bit and width of a bit-field or 0 and 0).
    """
    memory = bytearray(max(1, len(zone_fields) * sizeof(fr_zone_field)))
    cdef fr_zone_field *field = <fr_zone_field *> <char *> memory
    for i, (offset, kind, size, swapped, shift, width) in enumerate(zone_fields):
        field[i].offset = offset
        field[i].kind = ord(kind)
        field[i].size = size
        field[i].swapped = swapped
        field[i].shift = shift
        field[i].width = width
    return memory


def zone_of(const unsigned char[::1] records not None, size_t stride, zone_fields, size_t weight_at=0):
    """The zone of some records, as the bytes of its row with a crc of 0 (FORMAT.md, zones)."""
    cdef size_t k = len(zone_fields)
    cdef fr_zone zone
    cdef bytearray fields = as_fields(zone_fields), row = bytearray(FR_ZONE_SIZE(k))
    zone.fields = k
    zone.field = <fr_zone_field *> <char *> fields
    zone.row = <uint64_t *> <char *> row
    fr_zone_clear(&zone)
    if records.shape[0]:
        fr_zone_add(&zone, &records[0], records.shape[0] // stride, stride, weight_at)
    return bytes(row)
