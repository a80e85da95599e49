"""Files below a folder, of fastrec/below.h."""

cdef extern from "<sys/stat.h>" nogil:
    ctypedef struct fr_stat "struct stat":
        unsigned int st_mode
        unsigned long long st_dev, st_ino
        long long st_size
        long long st_mtime "st_mtim.tv_sec"
        long st_mtime_ns "st_mtim.tv_nsec"
        long long st_ctime "st_ctim.tv_sec"
        long st_ctime_ns "st_ctim.tv_nsec"
    bint S_ISREG(unsigned int mode)
    int fstatat(int folder, const char *name, fr_stat *about, int flags)

cdef extern from "<fcntl.h>" nogil:
    cdef enum:
        AT_SYMLINK_NOFOLLOW

cdef extern from "fastrec/below.h" nogil:
    cdef enum:
        FR_NOT_REGULAR

    int fr_below_folder(const char *root, const char *names, size_t count) noexcept
    int fr_below_file(int folder, const char *name, int flags, fr_stat *about) noexcept
