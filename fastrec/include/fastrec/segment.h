/* segment.h: the five files of a segment: created whole or not at all, written at known offsets. */
#ifndef FASTREC_SEGMENT_H
#define FASTREC_SEGMENT_H

#include <stdio.h>
#include "os.h"
#include "format.h"

/* What every segment of a channel has in common. */
typedef struct fr_file_kind {
    const char *header; /* with a row count of 0; empty for strings */
    size_t header_size;
    size_t row_size; /* 1 for strings */
} fr_file_kind;

/* An array of `count` items of `size` bytes with room for one more: moved perhaps, and *room raised; NULL:
 * there is no memory, and it stays as it is. */
static inline void *fr_grown(void *items, uint32_t count, uint32_t *room, size_t size)
{
    uint32_t more = *room ? 2 * *room : 64;
    void *bigger;
    if (count < *room)
        return items;
    bigger = realloc(items, more * size);
    if (bigger)
        *room = more;
    return bigger;
}

/* The ring's ids of the texts of a segment, in the order of its lines. */
typedef struct fr_line_ids {
    uint32_t *ids;
    uint32_t count, room;
} fr_line_ids;

typedef struct fr_segment {
    uint32_t number;
    int fd[FR_FILES];        /* -1: not open */
    uint64_t rows[FR_FILES]; /* committed; of strings, bytes */
    int64_t born;            /* when it was opened */
    int64_t last;            /* latest stamp in it */
    int64_t reached;         /* t_max of its last index row */
    int unsteady;            /* one of its times is below the one before it */
    uint64_t end;            /* number after its last */
    int named;               /* its file system tells whether a file has a name */
    fr_line_ids *lines;      /* the spooling thread's */
} fr_segment;

static inline uint64_t fr_segment_bytes(const fr_segment *s, const fr_file_kind kinds[FR_FILES])
{
    uint64_t bytes = 0;
    int i;
    for (i = 0; i < FR_FILES; i++)
        bytes += kinds[i].header_size + s->rows[i] * kinds[i].row_size;
    return bytes;
}

static inline void fr_segment_close(const fr_io *io, fr_segment *s)
{
    int i;
    for (i = 0; i < FR_FILES; i++) {
        if (s->fd[i] >= 0)
            io->close(s->fd[i]);
        s->fd[i] = -1;
    }
    if (s->lines)
        free(s->lines->ids);
    free(s->lines);
    s->lines = NULL;
}

/* Remove a segment whole, records first: without them, what is left of it counts for nothing. */
static inline int fr_segment_remove(const fr_io *io, int dir, uint32_t number)
{
    fr_file_name name;
    int i, error = 0;
    for (i = FR_RECORDS; i >= 0 && !error; i--) {
        fr_segment_name(name, i, number);
        error = io->remove(dir, name);
        if (error == -ENOENT)
            error = 0;
    }
    return error;
}

/* Has one of its files no name? Zones are derived: without them it is whole. */
static inline int fr_segment_nameless(const fr_io *io, const fr_segment *s)
{
    int i;
    for (i = 0; i < FR_FILES; i++)
        if (i != FR_ZONES && s->fd[i] >= 0 && io->removed(s->fd[i]))
            return 1;
    return 0;
}

/* Did somebody remove one of its files while it is written? */
static inline int fr_segment_removed(const fr_io *io, const fr_segment *s)
{
    return s->named && fr_segment_nameless(io, s);
}

/* 0, or -errno with nothing left behind, as far as the disk lets itself be cleaned: `again` says that an
 * attempt at this number failed before, so that what lies there under its names is ours. */
static inline int fr_segment_open(const fr_io *io, int dir, fr_segment *s, uint32_t number,
                                  const fr_file_kind kinds[FR_FILES], int again)
{
    fr_file_name name[FR_FILES];
    char draft[FR_FILES][sizeof(fr_file_name) + 8];
    int i, named = 0, error = 0;
    memset(s, 0, sizeof *s);
    s->number = number;
    for (i = 0; i < FR_FILES; i++) {
        s->fd[i] = -1;
        fr_segment_name(name[i], i, number);
        snprintf(draft[i], sizeof draft[i], ".%.*s.new", (int)sizeof name[i] - 1, name[i]);
    }
    s->lines = (fr_line_ids *)calloc(1, sizeof *s->lines);
    if (!s->lines)
        error = -ENOMEM;
    if (number > FR_MAX_SEGMENT)
        error = -ERANGE;
    if (again)
        fr_segment_remove(io, dir, number);
    for (i = 0; i < FR_FILES && !error; i++) {
        io->remove(dir, draft[i]); /* of a run that was killed here */
        s->fd[i] = io->create(dir, draft[i]);
        if (s->fd[i] < 0)
            error = s->fd[i];
        else
            fr_write_all(io, s->fd[i], kinds[i].header, kinds[i].header_size, 0, &error);
    }
    for (; named < FR_FILES && !error; named += !error)
        error = io->publish(dir, draft[named], name[named]);
    if (error) {
        for (i = 0; i < FR_FILES; i++)
            io->remove(dir, draft[i]);
        for (i = 0; i < named; i++)
            io->remove(dir, name[i]);
        fr_segment_close(io, s);
    }
    s->named = !fr_segment_nameless(io, s); /* where nobody counts names, even now there is none */
    return error;
}

/* Append `count` rows behind the committed ones; how many landed whole (fewer only with *error). The count
 * of the segment is the caller's to raise. */
static inline uint64_t fr_segment_append(const fr_io *io, const fr_segment *s, int file,
                                         const fr_file_kind kinds[FR_FILES], const void *rows, uint64_t count,
                                         int *error)
{
    const fr_file_kind *kind = &kinds[file];
    if (!count)
        return 0;
    return fr_write_all(io, s->fd[file], rows, count * kind->row_size,
                        kind->header_size + s->rows[file] * kind->row_size, error)
           / kind->row_size;
}

/* Write a row count into a .npy header: 8 aligned bytes, never seen torn. */
static inline int fr_npy_count(const fr_io *io, int fd, uint64_t rows)
{
    char digits[FR_NPY_COUNT_DIGITS + 1];
    int error = 0;
    snprintf(digits, sizeof digits, "%*u", FR_NPY_COUNT_DIGITS, (uint32_t)rows);
    fr_write_all(io, fd, digits, FR_NPY_COUNT_DIGITS, FR_NPY_COUNT_OFFSET, &error);
    return error;
}

/* Bring the counts of the side files up to what is committed. */
static inline int fr_segment_raise(const fr_io *io, const fr_segment *s)
{
    int i, error = 0;
    for (i = FR_GAPS; i <= FR_INDEX && !error; i++)
        error = fr_npy_count(io, s->fd[i], s->rows[i]);
    return error;
}

#endif
