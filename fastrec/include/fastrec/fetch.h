/* fetch.h: blocks of a file into memory, each compared with its checksum, in batches that one thread looks at
 * while others read ahead. Of each block all rows, some bytes of all, or those alone that are looked for: by
 * who has read it, while it lies in the caches of that processor.
 *
 * Read, not mapped: the pages of a mapping cost more to get than the bytes to copy, what was copied lies in
 * the caches when it is looked at, and a file that becomes shorter is an error, no signal. */
#ifndef FASTREC_FETCH_H
#define FASTREC_FETCH_H

#include "atomic.h"
#include "crc32c.h"
#include "look.h"
#include "os.h"

#define FR_FETCH_HELPERS 3   /* at most: memory serves no more */
#define FR_FETCH_WORDS 64    /* bytes of a row that is copied word by word, at most */
#define FR_FETCH_SPINS 4096  /* looks at a block that a helper is at; it has it in microseconds */
#define FR_FETCH_NAP 50000LL /* ns between later ones: it must be waiting, for the disk or a processor */

typedef struct fr_fetch_block {
    uint64_t row;   /* of the file */
    uint64_t rows;  /* how many */
    uint64_t place; /* row of the memory */
    uint64_t kept;  /* of its rows, where some are looked for */
    uint32_t first; /* where it is looked at, from which row on, and up to which */
    uint32_t stop;
    uint32_t brief; /* of those that are kept there are their stamps alone */
    uint32_t crc;
    uint32_t state; /* FR_FETCH_...; atomic */
} fr_fetch_block;

enum { FR_FETCH_DUE, FR_FETCH_WHOLE, FR_FETCH_DAMAGED, FR_FETCH_SHORT, FR_FETCH_ERROR };

typedef struct fr_fetch {
    int fd;
    uint64_t offset; /* of row 0 in the file */
    size_t width;    /* of a row */
    uint32_t base;   /* of the seeds: the checksum of where the file is */
    fr_fetch_block *block;
    uint64_t count;
    unsigned char *to;
    fr_look look;
    uint64_t many;     /* rows of a block, looked for, of which stamps alone are kept; 0: however many */
    size_t stamp;      /* where these are in a row */
    int64_t *pick;     /* if it looks: which rows of a block are kept, from its place on */
    uint64_t *tally;   /* and how many have their state */
    fr_looker *looker; /* of each who reads */
    uint64_t readers;  /* besides the first; atomic */
    uint64_t next;     /* block to be read; atomic */
    uint64_t limit;    /* blocks below it have room; atomic */
    uint64_t over;     /* helpers are to end; atomic */
    uint64_t error;    /* an errno of one of the blocks; atomic */
    uint32_t bell;     /* futex word: one of the above was changed */
    uint32_t helpers;
    pid_t owner; /* of the helpers */
    fr_thread helper[FR_FETCH_HELPERS];
} fr_fetch;

/* Some bytes of `count` rows, a row's behind those of the one before. */
static inline void fr_fetch_column(unsigned char *to, const unsigned char *from, size_t count, size_t stride,
                                   size_t size)
{
    size_t i;
#define FR_EACH(SIZE)                                                                                        \
    for (i = 0; i < count; i++)                                                                              \
        memcpy(to + i * (SIZE), from + i * stride, SIZE);                                                    \
    return
    if (size == stride) {
        memcpy(to, from, count * size);
        return;
    }
    switch (size) { /* of these sizes no function is called */
    case 1: FR_EACH(1);
    case 2: FR_EACH(2);
    case 4: FR_EACH(4);
    case 8: FR_EACH(8);
    default: FR_EACH(size);
    }
#undef FR_EACH
}

/* Some bytes of the rows that were picked. */
static inline void fr_fetch_picked(unsigned char *to, const unsigned char *from, const int64_t *pick,
                                   uint64_t count, size_t stride, size_t size)
{
    size_t at;
    uint64_t i;
    for (i = 0; i < count; i++, to += size) {
        const unsigned char *row = from + (uint64_t)pick[i] * stride;
        if (size % 8 || size > FR_FETCH_WORDS)
            memcpy(to, row, size);
        else /* of a few words, sooner than a function is called for them */
            for (at = 0; at < size; at += 8)
                memcpy(to + at, row + at, 8);
    }
}

/* Keep of a block what is looked for. */
static inline void fr_fetch_look(fr_fetch *f, fr_fetch_block *b, fr_looker *looker)
{
    const size_t width = f->width, size = f->look.part.size;
    unsigned char *to = f->to + b->place * width;
    int64_t *pick = f->pick + b->place;
    if (f->look.kind == FR_LOOK_PART) {
        fr_fetch_column(f->to + b->place * size, looker->rows + b->first * width + f->look.part.offset,
                        b->stop - b->first, width, size);
        return;
    }
    b->kept =
        fr_look_at(&f->look, looker, width, b->first, b->stop, pick, f->tally ? f->tally + b->place : NULL);
    b->brief = f->many && b->kept >= f->many;
    if (b->brief)
        fr_fetch_picked(to, looker->rows + f->stamp, pick, b->kept, width, sizeof(uint64_t));
    else
        fr_fetch_picked(to, looker->rows, pick, b->kept, width, width);
}

/* Read and prove one block. */
static inline void fr_fetch_read(fr_fetch *f, fr_fetch_block *b, fr_looker *looker)
{
    /* Where all of all rows is kept there is no need to copy it. */
    const int whole = f->look.part.size == f->width && b->first == 0 && b->stop == b->rows;
    const int copied = looker && !(f->look.kind == FR_LOOK_PART && whole);
    unsigned char *to = copied ? looker->rows : f->to + b->place * f->width;
    const uint64_t size = b->rows * f->width;
    uint64_t done = 0;
    uint32_t state = FR_FETCH_DUE;
    while (done < size && state == FR_FETCH_DUE) {
        ssize_t got = pread(f->fd, to + done, size - done, (off_t)(f->offset + b->row * f->width + done));
        if (got > 0) {
            done += (uint64_t)got;
        } else if (!got) {
            state = FR_FETCH_SHORT;
        } else if (errno != EINTR) {
            fr_store_relaxed(&f->error, (uint64_t)errno);
            state = FR_FETCH_ERROR;
        }
    }
    if (state == FR_FETCH_DUE)
        state = fr_crc32c(fr_crc32c(f->base, &b->row, sizeof b->row), to, size) == b->crc ? FR_FETCH_WHOLE
                                                                                          : FR_FETCH_DAMAGED;
    if (state == FR_FETCH_WHOLE && copied && b->first < b->stop)
        fr_fetch_look(f, b, looker);
    __atomic_store_n(&b->state, state, __ATOMIC_RELEASE);
}

/* Take the next block, if it is below `limit`, and read it. */
static inline int fr_fetch_one(fr_fetch *f, uint64_t limit, fr_looker *looker)
{
    uint64_t next = fr_load_relaxed(&f->next);
    do
        if (next >= limit)
            return 0;
    while (!__atomic_compare_exchange_n(&f->next, &next, next + 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    fr_fetch_read(f, &f->block[next], looker);
    return 1;
}

static inline void fr_fetch_help(void *arg)
{
    fr_fetch *f = (fr_fetch *)arg;
    fr_looker *looker = f->looker;
    if (looker)
        looker += __atomic_add_fetch(&f->readers, 1, __ATOMIC_RELAXED);
    for (;;) {
        uint32_t rung = fr_word(&f->bell);
        if (fr_load_acquire(&f->over) || fr_load_relaxed(&f->next) >= f->count)
            return;
        /* What the memory held before is no longer looked at: `limit` was raised behind that. */
        if (!fr_fetch_one(f, fr_load_acquire(&f->limit), looker))
            fr_wait(&f->bell, rung, FR_NEVER);
    }
}

/* Let others read ahead; fewer where there are no threads. */
static inline void fr_fetch_begin(fr_fetch *f, uint32_t helpers)
{
    f->owner = getpid();
    while (f->helpers < helpers && f->helpers < FR_FETCH_HELPERS
           && !fr_thread_start(&f->helper[f->helpers], "fr-fetch", fr_fetch_help, f, FR_STACK_SMALL))
        f->helpers++;
}

/* A fork leaves the helpers to the parent, and what they were reading, from block `first` on, to the child.
 */
static inline void fr_fetch_inherit(fr_fetch *f, uint64_t first)
{
    if (f->helpers && f->owner != getpid())
        f->helpers = 0, f->next = first;
}

/* Have the blocks below `stop` read, with room for those below `limit`. */
static inline void fr_fetch_upto(fr_fetch *f, uint64_t first, uint64_t stop, uint64_t limit)
{
    const struct timespec nap = {0, FR_FETCH_NAP};
    int spins;
    fr_fetch_inherit(f, first);
    fr_store_release(&f->limit, limit);
    if (f->helpers)
        fr_wake(&f->bell);
    while (fr_fetch_one(f, stop, f->looker))
        ;
    for (spins = 0; first < stop; first++)
        for (; __atomic_load_n(&f->block[first].state, __ATOMIC_ACQUIRE) == FR_FETCH_DUE; spins++)
            if (spins < FR_FETCH_SPINS)
                fr_relax();
            else
                nanosleep(&nap, NULL);
}

static inline void fr_fetch_end(fr_fetch *f)
{
    fr_fetch_inherit(f, f->count);
    fr_store_release(&f->over, 1);
    fr_wake(&f->bell);
    while (f->helpers)
        fr_thread_join(&f->helper[--f->helpers], FR_NEVER);
}

#endif
