"""What a complete segment commits, by the ends of its files, in a few system calls."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memset
from posix.types cimport off_t

from fastrec.core.below cimport AT_SYMLINK_NOFOLLOW, S_ISREG, fr_below_file, fr_stat, fstatat
from fastrec.core.index cimport INDEX_ROW, Before, broken, fr_index_row, pread, read_row

cdef extern from "<fcntl.h>" nogil:
    cdef enum:
        O_RDONLY
        POSIX_FADV_RANDOM
    int posix_fadvise(int fd, off_t offset, off_t size, int advice)

cdef extern from "<unistd.h>" nogil:
    int close(int fd)


cdef int opened(int folder, const char *name, uint64_t *size) noexcept nogil:
    """A descriptor of a regular file, and its bytes; less than 0: it is none, or cannot be opened."""
    cdef fr_stat about
    cdef int fd = fr_below_file(folder, name, O_RDONLY, &about)
    if fd >= 0:
        size[0] = about.st_size
        posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM)  # what lies behind the ends is not wanted
    return fd


cdef bint holds(uint64_t size, uint64_t header, uint64_t width, uint64_t count) noexcept nogil:
    """Whether a file of so many bytes has room for so many rows, and not for one more."""
    return size >= header and (size - header) // width == count


cdef bint has_room(int folder, const char *name, uint64_t rows, uint64_t header,
                   uint64_t width) noexcept nogil:
    """Whether a file has so many rows, or more; one of none need not be there."""
    cdef fr_stat about
    if not rows:
        return True
    if fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) or not S_ISREG(about.st_mode):
        return False
    return <uint64_t> about.st_size >= header and (<uint64_t> about.st_size - header) // width >= rows


cdef int64_t counted(int fd, const unsigned char[::1] header, size_t place, size_t digits,
                     unsigned char *data) noexcept nogil:
    """How many rows the header of a file counts; -1: it has another. `data` has room for it."""
    cdef size_t size = header.shape[0], i = place, end = place + digits
    cdef int64_t count = 0
    if pread(fd, data, size, 0) != <ssize_t> size or memcmp(data, &header[0], place):
        return -1
    if memcmp(data + end, &header[0] + end, size - end):
        return -1
    while i < end - 1 and data[i] == c" ":
        i += 1
    if data[i] == c"0" and i < end - 1:
        return -1
    while i < end:
        if not c"0" <= data[i] <= c"9":
            return -1
        count = 10 * count + data[i] - c"0"
        i += 1
    return count


cdef bint true_ends(const fr_index_row *first, const fr_index_row *last, uint64_t count,
                    uint64_t numbers) noexcept nogil:
    """Whether the first and the last row claim what can be, and as many records as numbers: each goes on with
    the next then, and a block ends where the next begins.
    """
    cdef Before before
    memset(&before, 0, sizeof(before))
    if not count or broken(first, &before, count, numbers) >= 0:
        return False
    before.end, before.row = last.first_seq, last.first_seq - first.first_seq
    if last.first_seq < first.first_seq or broken(last, &before, count, numbers) >= 0:
        return False
    return before.row + last.rows == count


def ends(int folder, bytes records not None, bytes index not None, bytes gaps not None,
         bytes strings not None, const unsigned char[::1] records_header not None,
         const unsigned char[::1] index_header not None, size_t place, size_t digits, size_t width,
         size_t gap_header, size_t gap_width, unsigned int base, uint64_t most, uint64_t numbers):
    """The first and the last index row of a segment, if its files are as complete as their headers say.

    Parameters
    ----------
    folder : int
        A descriptor.
    records, index, gaps, strings : bytes
        Names in it.
    records_header, index_header : buffers
        What two of these begin with, but for the count: `digits` bytes from `place` on.
    width, gap_header, gap_width : int
        Bytes of a record, and of the header and a row of `gaps`.
    base : int
        What the seeds of checksums begin with.
    most, numbers : int
        Records that a segment may have; numbers are below the other one.

    Returns
    -------
    (ends, rows, count) or None
        The two rows one behind the other, how many the index has, and how many records there are. None: a
        file is not there, no regular one, or damaged, or they do not say the same. Nothing is raised.
    """
    cdef fr_index_row row[2]
    cdef uint64_t size = 0
    cdef int64_t rows = -1, count = -1
    cdef size_t room = max(records_header.shape[0], index_header.shape[0]), least
    cdef const char *names[4]
    cdef unsigned char *data
    cdef bint found = False
    cdef int fd
    least = min(records_header.shape[0], index_header.shape[0])
    if not 0 < digits <= 18 or place > least or digits > least - place or not width or not gap_width:
        raise ValueError(f"a count of {digits} digits at {place}; rows of {width} and {gap_width} bytes")
    names[0], names[1], names[2], names[3] = records, index, gaps, strings
    data = <unsigned char *> malloc(room)
    if data == NULL:
        raise MemoryError
    with nogil:
        # The count first: a live writer raises it last, so the index read after it always covers it.
        fd = opened(folder, names[0], &size)
        if fd >= 0:
            count = counted(fd, records_header, place, digits, data)
            close(fd)
        if 0 < count <= <int64_t> most and holds(size, records_header.shape[0], width, count):
            fd = opened(folder, names[1], &size)
            if fd >= 0:
                rows = counted(fd, index_header, place, digits, data)
                found = (
                    rows > 0 and size == index_header.shape[0] + <uint64_t> rows * INDEX_ROW
                    and not read_row(fd, index_header.shape[0], base, 0, &row[0])
                    and not read_row(fd, index_header.shape[0], base, rows - 1, &row[1])
                    and true_ends(&row[0], &row[1], count, numbers)
                )
                close(fd)
        if found:
            found = (has_room(folder, names[2], row[1].gap_rows, gap_header, gap_width)
                     and has_room(folder, names[3], row[1].string_bytes, 0, 1))
    free(data)
    return (PyBytes_FromStringAndSize(<char *> row, sizeof(row)), rows, count) if found else None
