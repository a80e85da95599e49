/* os.h: everything fastrec asks of the operating system, and the only place that knows which one it is.
 *
 * Clocks, waiting, files and mappings go through two tables of functions, so that a test can move time,
 * fail the n-th call or tear a write. Functions return 0 or a byte count, or -errno. */
#ifndef FASTREC_OS_H
#define FASTREC_OS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#ifndef CLOCK_MONOTONIC
#error "fastrec needs POSIX, which -std=c11 hides: compile with -std=gnu11, or with -D_DEFAULT_SOURCE"
#endif

/* GNU extensions are called by number, so that -D_GNU_SOURCE is not needed. */
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_SEAL_SEAL 1
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#endif

#define FR_F_OFD_GETLK 36
#define FR_F_OFD_SETLK 37

#ifndef O_TMPFILE
#define FR_O_TMPFILE (020000000 | O_DIRECTORY) /* the same on all machines but alpha, parisc and sparc */
#else
#define FR_O_TMPFILE O_TMPFILE
#endif

#define FR_NS 1000000000LL
#define FR_NEVER INT64_MAX

/* ---- time ---- */

typedef struct fr_clock {
    int64_t (*now)(void);
    /* Sleep until `deadline` or until *word is no longer `expected`; spurious returns are allowed. */
    void (*wait)(const uint32_t *word, uint32_t expected, int64_t deadline);
    int64_t (*read)(clockid_t id); /* a clock that is not the monotonic one */
} fr_clock;

static inline int64_t fr_read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * FR_NS + t.tv_nsec;
}

static inline int64_t fr_now(void) { return fr_read_clock(CLOCK_MONOTONIC); }

static inline void fr_wait(const uint32_t *word, uint32_t expected, int64_t deadline)
{
    struct timespec t = {(time_t)(deadline / FR_NS), (long)(deadline % FR_NS)};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline == FR_NEVER ? NULL : &t, NULL,
            FUTEX_BITSET_MATCH_ANY); /* the deadline is absolute, on the monotonic clock */
}

/* Change a word that somebody may be waiting on. */
static inline void fr_wake(uint32_t *word)
{
    __atomic_fetch_add(word, 1, __ATOMIC_ACQ_REL);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static inline uint32_t fr_word(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

static const fr_clock fr_system_clock = {fr_now, fr_wait, fr_read_clock};

static inline void fr_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The processor's counter; 0 where it has none that we read. The processor may read it before earlier loads
 * have answered. */
static inline uint64_t fr_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

/* The same, read when everything before it is done. */
static inline uint64_t fr_ticks_after(void)
{
#if defined(__x86_64__)
    __builtin_ia32_lfence();
#endif
    return fr_ticks();
}

/* What the processor says of its counter: EDX of CPUID leaf 0x80000007, 0 where it does not know the leaf.
 * False where there is no counter. */
static inline int fr_ticks_promise(uint32_t *edx)
{
    *edx = 0;
#if defined(__x86_64__)
    {
        unsigned eax, ebx, ecx, bits;
        if (__get_cpuid(0x80000007, &eax, &ebx, &ecx, &bits))
            *edx = bits;
        return 1;
    }
#else
    return 0;
#endif
}

/* ---- threads ---- */

typedef struct fr_thread {
    pthread_t id;
    const char *name; /* at most 15 letters */
    int borrowed;     /* somebody else made it, and joins it */
    uint32_t ended;   /* a futex word: 1 when the body has returned */
    void (*body)(void *);
    void *arg;
} fr_thread;

static inline void *fr_thread_main(void *arg)
{
    fr_thread *t = (fr_thread *)arg;
    prctl(PR_SET_NAME, t->name);
    prctl(PR_SET_TIMERSLACK, 1UL); /* 50 us by default, which would be the lateness of every deadline */
    t->body(t->arg);
    fr_wake(&t->ended);
    return NULL;
}

/* Bytes of stack for a thread that calls our own code, which takes a few thousand of them at a time, and the
 * system: what a library keeps for each thread comes out of it, too. */
#define FR_STACK_SMALL ((size_t)1 << 20)

/* A thread that takes no signals: they belong to Python's main thread. `stack` is 0 for the system's own
 * size. */
static inline int fr_thread_start(fr_thread *t, const char *name, void (*body)(void *), void *arg,
                                  size_t stack)
{
    pthread_attr_t how;
    sigset_t all, old;
    int error;
    t->name = name;
    t->borrowed = 0;
    t->ended = 0;
    t->body = body;
    t->arg = arg;
    sigfillset(&all);
    pthread_attr_init(&how);
    error = stack ? pthread_attr_setstacksize(&how, stack) : 0;
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = error ? error : pthread_create(&t->id, &how, fr_thread_main, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&how);
    return -error;
}

/* Run `body` on the calling thread, which is given over until it returns. Its signals stay as they are: what
 * it starts inherits them. */
static inline void fr_thread_serve(fr_thread *t, const char *name, void (*body)(void *), void *arg)
{
    t->name = name;
    t->borrowed = 1;
    t->body = body;
    t->arg = arg;
    t->id = pthread_self();
    fr_thread_main(t);
}

/* Join before `deadline`; -ETIMEDOUT leaves the thread running (its memory must then be leaked). */
static inline int fr_thread_join(fr_thread *t, int64_t deadline)
{
    while (!fr_word(&t->ended)) {
        if (fr_now() >= deadline)
            return -ETIMEDOUT;
        fr_wait(&t->ended, 0, deadline);
    }
    return t->borrowed ? 0 : -pthread_join(t->id, NULL);
}

static inline int64_t fr_thread_cpu(fr_thread *t)
{
    clockid_t id;
    return fr_word(&t->ended) || pthread_getcpuclockid(t->id, &id) ? 0 : fr_read_clock(id);
}

/* ---- privileges: what the system may refuse; 0 or -errno ---- */

#define FR_PROCESSORS 1024

typedef struct fr_processors {
    uint64_t word[FR_PROCESSORS / 64]; /* bit n: processor n */
} fr_processors;

/* The calling thread runs before all that are not real-time. */
static inline int fr_thread_realtime(int priority)
{
    struct sched_param wanted;
    memset(&wanted, 0, sizeof wanted);
    wanted.sched_priority = priority;
    return syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &wanted) ? -errno : 0;
}

/* The calling thread runs on these processors alone: on all of them, or nothing is changed. */
static inline int fr_thread_affinity(const fr_processors *wanted)
{
    fr_processors before, now;
    memset(&before, 0, sizeof before);
    memset(&now, 0, sizeof now);
    if (syscall(SYS_sched_getaffinity, 0, sizeof before, &before) < 0
        || syscall(SYS_sched_setaffinity, 0, sizeof *wanted, wanted) < 0)
        return -errno;
    /* Of several, those that are not there are left out without a word. */
    if (syscall(SYS_sched_getaffinity, 0, sizeof now, &now) > 0 && !memcmp(&now, wanted, sizeof now))
        return 0;
    syscall(SYS_sched_setaffinity, 0, sizeof before, &before);
    return -EINVAL;
}

/* Its pages stay in memory until they are unlocked or unmapped. */
static inline int fr_lock(const void *memory, size_t size) { return mlock(memory, size) ? -errno : 0; }
static inline void fr_unlock(const void *memory, size_t size) { munlock(memory, size); }

/* ---- memory ---- */

#define FR_SHARED "/dev/shm"

/* Map `size` bytes of a file in memory, prefaulted; shared, so that a fork costs the writer no page faults.
 */
static inline void *fr_map_whole(int fd, size_t size, int *error)
{
    void *memory;
    do /* a full tmpfs is an error here, not SIGBUS later */
        *error = -posix_fallocate(fd, 0, (off_t)size);
    while (*error == -EINTR);
    if (*error)
        return NULL;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (memory != MAP_FAILED)
        return memory;
    *error = -errno;
    return NULL;
}

/* More than half the machine's memory? A file in memory has no limit of its own: asking for too much would
 * end the machine. */
static inline int fr_map_excessive(size_t size)
{
    return size / 4096 > (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 4096 / 2;
}

/* A new mapping of at most half the machine's memory; NULL and *error on failure. Nobody else can reach it,
 * nor shrink it under us; `name` is what maps show. NULL: its file can be linked into FR_SHARED. */
static inline void *fr_map_new(const char *name, size_t size, int *fd, int *error)
{
    void *memory;
    if (fr_map_excessive(size)) {
        *error = -ENOMEM;
        return NULL;
    }
    *fd = name ? (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING)
               : open(FR_SHARED, O_RDWR | O_CLOEXEC | FR_O_TMPFILE, 0600);
    if (*fd < 0) {
        *error = -errno;
        return NULL;
    }
    memory = fr_map_whole(*fd, size, error);
    if (!memory) {
        close(*fd);
        *fd = -1;
    } else if (name)
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return memory;
}

/* An open file description lock on all of a file, as long as it or a copy of it is open. */
static inline struct flock fr_whole_file(void)
{
    struct flock all;
    memset(&all, 0, sizeof all);
    all.l_type = F_WRLCK;
    all.l_whence = SEEK_SET;
    return all;
}

/* Give a linkable mapping its name in FR_SHARED, which nothing may have yet. A lock says that it is in use.
 */
static inline int fr_map_link(int fd, const char *name)
{
    struct flock all;
    char path[32];
    int dir = open(FR_SHARED, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (dir < 0)
        return -errno;
    all = fr_whole_file();
    if (fcntl(fd, FR_F_OFD_SETLK, &all) || linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW))
        error = -errno;
    close(dir);
    return error;
}

/* Open what another process left under a name in FR_SHARED: a file of our user (or root's) that nobody else
 * may touch, no link, of one name; and its size. It is read and never mapped: whoever shortens it meanwhile
 * would end us with SIGBUS. */
static inline int fr_open_left(const char *name, int *fd, size_t *size)
{
    struct stat about;
    int dir = open(FR_SHARED, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
    *fd = dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, &about))
        error = -errno;
    else if (!S_ISREG(about.st_mode) || (about.st_uid != geteuid() && about.st_uid) || about.st_mode & 077
             || about.st_nlink != 1)
        error = -EPERM;
    else
        *size = (size_t)about.st_size;
    if (dir >= 0)
        close(dir);
    if (error && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    return error;
}

/* Zeros of our own, which take memory where they are written to; NULL and *error on failure. */
static inline void *fr_map_zeros(size_t size, int *error)
{
    void *memory;
    *error = -ENOMEM;
    if (fr_map_excessive(size))
        return NULL;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Give the memory of whole pages of it back: they are zeros again. */
static inline void fr_map_clear(void *memory, size_t size) { madvise(memory, size, MADV_DONTNEED); }

/* Is the process alive that gave it its name? */
static inline int fr_map_used(int fd)
{
    struct flock all = fr_whole_file();
    return !fcntl(fd, FR_F_OFD_GETLK, &all) && all.l_type != F_UNLCK;
}

/* Take the name from a mapping, if it is still this one's. */
static inline int fr_map_unlink(int fd, const char *name)
{
    struct stat ours, named;
    int dir = open(FR_SHARED, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
    if (dir < 0)
        return -errno;
    if (fstat(fd, &ours) || fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW))
        error = -errno;
    else if (ours.st_ino != named.st_ino || ours.st_dev != named.st_dev)
        error = -ENOENT;
    else if (unlinkat(dir, name, 0))
        error = -errno;
    close(dir);
    return error;
}

/* `fd` may be closed already: -1. */
static inline void fr_map_free(void *memory, size_t size, int fd)
{
    if (memory)
        munmap(memory, size);
    if (fd >= 0)
        close(fd);
}

/* Read our own memory without a fault: the bytes read (a page that is gone ends them), or -errno. */
static inline long fr_read_self(const void *from, void *to, size_t size)
{
    struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};
    long n = syscall(SYS_process_vm_readv, (long)getpid(), &local, 1L, &remote, 1L, 0L);
    return n < 0 ? -errno : n;
}

/* ---- files ---- */

typedef struct fr_io {
    int (*create)(int dir, const char *name); /* exclusively, 0600, links refused */
    long (*write)(int fd, const void *data, size_t size, uint64_t offset);
    int (*publish)(int dir, const char *from, const char *to); /* link, then remove the old name */
    int (*remove)(int dir, const char *name);
    int (*sync)(int fd);     /* data and size of one file */
    int (*sync_all)(int fd); /* everything on its file system */
    int (*sync_dir)(int dir);
    int (*close)(int fd);
    long (*read)(int fd, void *data, size_t size, uint64_t offset);
    int (*space)(int dir, uint64_t *bytes); /* that are free for us on its file system */
    /* Begin to write out what was written, and wait for nothing. A hint: what fails, `sync` will say. */
    int (*begin)(int fd, uint64_t offset, uint64_t size);
    int (*removed)(int fd); /* has an open file, or folder, no name any more? */
} fr_io;

static inline int fr_create(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

static inline long fr_pwrite(int fd, const void *data, size_t size, uint64_t offset)
{
    long n;
    do
        n = pwrite(fd, data, size, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static inline int fr_publish_name(int dir, const char *from, const char *to)
{
    int error;
    if (linkat(dir, from, dir, to, 0))
        return -errno;
    if (!unlinkat(dir, from, 0))
        return 0;
    error = -errno;
    unlinkat(dir, to, 0);
    return error;
}

/* Rename what nothing has the new name of yet; -ENOSYS, -EINVAL or -ENOTSUP: the system cannot promise that.
 */
static inline int fr_rename_new(const char *from, const char *to)
{
#ifdef SYS_renameat2
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1u /* RENAME_NOREPLACE */) ? -errno : 0;
#else
    (void)from, (void)to;
    return -ENOSYS;
#endif
}

static inline int fr_remove(int dir, const char *name) { return unlinkat(dir, name, 0) ? -errno : 0; }
static inline int fr_sync(int fd) { return fdatasync(fd) ? -errno : 0; }
static inline int fr_sync_all(int fd) { return syscall(SYS_syncfs, fd) ? -errno : 0; }
static inline int fr_sync_dir(int dir) { return fsync(dir) ? -errno : 0; }
static inline int fr_close(int fd) { return close(fd) ? -errno : 0; }

static inline long fr_pread(int fd, void *data, size_t size, uint64_t offset)
{
    long n;
    do
        n = pread(fd, data, size, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static inline int fr_space(int dir, uint64_t *bytes)
{
    struct statvfs about;
    if (fstatvfs(dir, &about))
        return -errno;
    *bytes = (uint64_t)about.f_bavail * about.f_frsize;
    return 0;
}

static inline int fr_begin(int fd, uint64_t offset, uint64_t size)
{
#if defined(SYS_sync_file_range) && defined(__LP64__)
    return syscall(SYS_sync_file_range, fd, (off_t)offset, (off_t)size, 2 /* SYNC_FILE_RANGE_WRITE */)
               ? -errno
               : 0;
#else
    (void)fd, (void)offset, (void)size;
    return 0;
#endif
}

/* What cannot be asked counts as there. */
static inline int fr_removed(int fd)
{
    struct stat about;
    return !fstat(fd, &about) && !about.st_nlink;
}

static const fr_io fr_system_io = {fr_create,   fr_pwrite, fr_publish_name, fr_remove, fr_sync,  fr_sync_all,
                                   fr_sync_dir, fr_close,  fr_pread,        fr_space,  fr_begin, fr_removed};

/* Is the disk full, or out of reach for a moment? Then the same call may be made again later. Any other error
 * leaves it open what became of the file. */
static inline int fr_passing(int error)
{
    return error == -ENOSPC || error == -EDQUOT || error == -EFBIG || error == -EINTR || error == -EAGAIN
           || error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

/* The start of a small file as text, cut to `size` - 1 bytes; its length, or -errno and an empty text. */
static inline long fr_read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    long n;
    *text = 0;
    if (fd < 0)
        return -errno;
    do
        n = read(fd, text, size - 1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        n = -errno;
    else
        text[n] = 0;
    close(fd);
    return n;
}

/* When this process began, in clock ticks since boot: its pid may come again, but not both. 0: nobody tells.
 */
static inline int64_t fr_process_start(void)
{
    char text[1024];
    const char *at;
    int field;
    fr_read_text("/proc/self/stat", text, sizeof text);
    at = strrchr(text, ')'); /* field 2, the name, may hold anything */
    for (field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) : 0;
}

/* Read all of it: whether it was there. */
static inline int fr_read_all(const fr_io *io, int fd, void *data, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        long n = io->read(fd, (char *)data + done, size - done, offset + done);
        if (n <= 0)
            return 0;
        done += (size_t)n;
    }
    return 1;
}

/* Write all of it; the bytes that landed (fewer than `size` only after an error, stored in *error). */
static inline size_t fr_write_all(const fr_io *io, int fd, const void *data, size_t size, uint64_t offset,
                                  int *error)
{
    size_t done = 0;
    while (done < size) {
        long n = io->write(fd, (const char *)data + done, size - done, offset + done);
        if (n <= 0) {
            *error = n ? (int)n : -ENOSPC;
            break;
        }
        done += (size_t)n;
    }
    return done;
}

#endif
