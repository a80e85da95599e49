/* below.h: files below a folder. A path is walked name by name, so no link anywhere in it is followed; only
 * the folder itself may be one, because somebody named it. Descriptors close themselves in other programs. */
#ifndef FASTREC_BELOW_H
#define FASTREC_BELOW_H

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FR_BELOW_FOLDER (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define FR_BELOW_FILE (O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
#define FR_NOT_REGULAR (-1000000) /* no errno */

static inline int fr_below_open(int folder, const char *name, int flags)
{
    int fd;
    do
        fd = openat(folder, name, flags);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* The folder below `root` to which `count` names lead, one behind the other, each with its zero: a
 * descriptor, or -errno. */
static inline int fr_below_folder(const char *root, const char *names, size_t count)
{
    int folder = fr_below_open(AT_FDCWD, root, FR_BELOW_FOLDER), outer;
    for (; count && folder >= 0; count--) {
        outer = folder;
        folder = fr_below_open(outer, names, FR_BELOW_FOLDER | O_NOFOLLOW);
        close(outer);
        while (*names++)
            ;
    }
    return folder;
}

/* A regular file in a folder: a descriptor, -errno or FR_NOT_REGULAR. */
static inline int fr_below_file(int folder, const char *name, int flags, struct stat *about)
{
    int fd;
    /* Before it is opened: some devices do something then, and the other end of a FIFO goes on. What a link
     * leads to is not asked: it is not opened. */
    if (fstatat(folder, name, about, AT_SYMLINK_NOFOLLOW))
        return -errno;
    if (!S_ISREG(about->st_mode) && !S_ISLNK(about->st_mode))
        return FR_NOT_REGULAR;
    fd = fr_below_open(folder, name, flags | FR_BELOW_FILE);
    if (fd >= 0 && (fstat(fd, about) || !S_ISREG(about->st_mode))) {
        close(fd);
        return FR_NOT_REGULAR;
    }
    return fd;
}

#endif
