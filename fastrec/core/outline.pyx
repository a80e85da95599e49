"""What a complete segment commits, by the ends of its index, in a few system calls."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
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

cdef extern from "fastrec/format.h" nogil:
    cdef enum:
        FR_NPY_COUNT_OFFSET
        FR_NPY_COUNT_DIGITS
        FR_STRINGS
        FR_GAPS
        FR_INDEX
        FR_RECORDS

    ctypedef char fr_file_name[40]
    void fr_segment_name(char *name, int file, uint32_t number)


cdef enum:
    HEADER = 1024                                  # bytes of the longest header of an index


cdef uint64_t bytes_of(int folder, int file, uint32_t number) noexcept nogil:
    """How large a file of a segment is; 0 too where there is none, or no regular one."""
    cdef fr_file_name name
    cdef fr_stat about
    fr_segment_name(name, file, number)
    if fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) or not S_ISREG(about.st_mode):
        return 0
    return about.st_size


cdef int64_t counted(const unsigned char *data, const unsigned char[::1] header) noexcept nogil:
    """How many rows the header of a file counts; -1: it is another one."""
    cdef size_t size = header.shape[0], i = FR_NPY_COUNT_OFFSET, end = i + FR_NPY_COUNT_DIGITS
    cdef int64_t count = 0
    if memcmp(data, &header[0], i) or memcmp(data + end, &header[0] + end, size - end):
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


cdef bint true_ends(const fr_index_row *first, const fr_index_row *last, int64_t count, uint64_t most,
                    uint64_t numbers) noexcept nogil:
    """Whether the first and the last of so many rows claim what can be, and as many records as numbers: each
    goes on with the next then, and a block ends where the next begins.
    """
    cdef Before before
    memset(&before, 0, sizeof(before))
    if broken(first, &before, most, numbers) >= 0:
        return False
    if count > 1 and last.first_seq < first.first_seq + first.rows:
        return False
    before.end, before.row = last.first_seq, last.first_seq - first.first_seq
    return broken(last, &before, most, numbers) < 0 and before.row + last.rows > 0


cdef class Ends:
    """The ends of the indexes of a channel's segments.

    Parameters
    ----------
    index_header : buffer
        What an index begins with, but for the count.
    header, width : int
        Bytes of the header of ``records``, and of a record.
    gap_header, gap_width : int
        The same of ``gaps``.
    most, numbers : int
        Records that a segment may have; numbers are below the other one.
    """
    cdef const unsigned char[::1] index_header
    cdef uint64_t header, width, gap_header, gap_width, most, numbers

    def __cinit__(self, const unsigned char[::1] index_header not None, uint64_t header, uint64_t width,
                  uint64_t gap_header, uint64_t gap_width, uint64_t most, uint64_t numbers):
        if not FR_NPY_COUNT_OFFSET + FR_NPY_COUNT_DIGITS <= index_header.shape[0] <= HEADER:
            raise ValueError(f"an index has no header of {index_header.shape[0]} bytes")
        if not width or not gap_width:
            raise ValueError(f"rows of {width} and {gap_width} bytes")
        self.index_header = index_header
        self.header, self.width, self.gap_header, self.gap_width = header, width, gap_header, gap_width
        self.most, self.numbers = most, numbers

    cdef bint complete(self, int folder, uint32_t number, const fr_index_row *first,
                       const fr_index_row *last) noexcept nogil:
        """Whether the other files have room for what the last row commits, and `records` for no more."""
        cdef uint64_t size = bytes_of(folder, FR_RECORDS, number), gaps
        cdef uint64_t count = last.first_seq - first.first_seq + last.rows
        if size < self.header or (size - self.header) // self.width != count:
            return False
        if last.gap_rows:
            gaps = bytes_of(folder, FR_GAPS, number)
            if gaps < self.gap_header or (gaps - self.gap_header) // self.gap_width < last.gap_rows:
                return False
        return not last.string_bytes or bytes_of(folder, FR_STRINGS, number) >= last.string_bytes

    cdef int64_t both(self, int fd, uint64_t size, uint32_t base, fr_index_row *row) noexcept nogil:
        """Read the first and the last row of an index of so many bytes: how many it has; -1: it is not whole.
        """
        cdef unsigned char data[HEADER]
        cdef size_t header = self.index_header.shape[0]
        cdef int64_t rows
        if pread(fd, data, header, 0) != <ssize_t> header:
            return -1
        rows = counted(data, self.index_header)
        if rows <= 0 or size != header + <uint64_t> rows * INDEX_ROW:
            return -1
        if read_row(fd, header, base, 0, &row[0]) or read_row(fd, header, base, rows - 1, &row[1]):
            return -1
        return rows if true_ends(&row[0], &row[1], rows, self.most, self.numbers) else -1

    def of(self, int folder, uint32_t number, uint32_t base):
        """The first and the last index row of a segment, if its files are as complete as they say.

        Parameters
        ----------
        folder : int
            A descriptor.
        number : int
            Of the segment.
        base : int
            What the seeds of its checksums begin with.

        Returns
        -------
        (ends, rows) or None
            The two rows one behind the other, and how many the index has. None: a file is not there, no
            regular one, or damaged, or they do not say the same. Nothing is raised.
        """
        cdef fr_index_row row[2]
        cdef fr_file_name name
        cdef fr_stat about
        cdef int64_t rows = -1
        cdef int fd
        with nogil:
            fr_segment_name(name, FR_INDEX, number)
            fd = fr_below_file(folder, name, O_RDONLY, &about)
            if fd >= 0:
                posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM)  # what lies between the ends is not wanted
                rows = self.both(fd, about.st_size, base, row)
                close(fd)
            # After the index: what a row claims was in its file before the row was.
            if rows > 0 and not self.complete(folder, number, &row[0], &row[1]):
                rows = -1
        return (PyBytes_FromStringAndSize(<char *> row, sizeof(row)), rows) if rows > 0 else None
