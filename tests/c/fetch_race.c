/* Blocks fetched by several threads from a file that answers as it likes: late, in pieces, interrupted, short
 * or with an error. Each batch is looked at, written over and looked at once more; memory has no byte too
 * many. For the sanitizers, and alone: says how much of it helpers read. */
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <unistd.h>
#include "fastrec/atomic.h"
#include "fastrec/crc32c.h"
#include "fastrec/os.h"

static ssize_t some_pread(int fd, void *to, size_t size, off_t offset);
#define pread some_pread
#include "fastrec/fetch.h"

enum {
    MOST = 40,
    ROWS = 24,
    WIDTH = 24,
    WATCHED = 23,
    FILE_ROWS = 400,
    HEAD = 128,
    BASE = 12345,
    GUARD = 0xA5
};

static unsigned char file[HEAD + FILE_ROWS * WIDTH];
static size_t file_size;        /* reads end there */
static off_t bad;               /* reads from here on fail, up to the end of the row */
static uint64_t helped, pieces; /* reads by others than the main thread; those that gave less */
static pthread_t own;

/* The last bit of the last byte is 1. */
static const fr_zone_field last = {.offset = WATCHED, .kind = 'u', .size = 1};
static const fr_step bit = {.kind = FR_STEP_MASKED, .low = 1, .high = 1};
static const fr_condition odd = {.step = &bit, .steps = 1, .field = &last};

static uint64_t chance(uint64_t *seed, uint64_t below)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (*seed >> 33) % below;
}

static ssize_t some_pread(int fd, void *to, size_t size, off_t offset)
{
    static __thread uint64_t seed;
    seed = seed ? seed : (uint64_t)fd + (uintptr_t)&seed;
    if (!pthread_equal(own, pthread_self()))
        fr_add(&helped, 1);
    switch (chance(&seed, 8)) {
    case 0: sched_yield(); break;
    case 1: usleep((useconds_t)chance(&seed, 60)); break;
    case 2: errno = EINTR; return -1;
    case 3: size = 1 + chance(&seed, size), fr_add(&pieces, 1); break;
    default: break;
    }
    if (bad >= offset && bad < offset + (off_t)size) {
        if (bad == offset) {
            errno = EIO;
            return -1;
        }
        size = (size_t)(bad - offset);
    }
    if ((size_t)offset >= file_size)
        return 0;
    if (size > file_size - (size_t)offset)
        size = file_size - (size_t)offset;
    memcpy(to, file + offset, size);
    return (ssize_t)size;
}

static uint64_t wrong;
#define CHECK(what)                                                                                          \
    do                                                                                                       \
        if (!(what) && !wrong++)                                                                             \
            fprintf(stderr, "%d: %s\n", __LINE__, #what);                                                    \
    while (0)

/* What is to become of a block, of which `harmed` may be the number. */
static uint32_t due_state(const fr_fetch_block *b, uint64_t harmed, uint64_t place)
{
    const size_t begin = HEAD + b->row * WIDTH, end = begin + b->rows * WIDTH;
    if (begin == end)
        return place == harmed ? FR_FETCH_DAMAGED : FR_FETCH_WHOLE;
    if (bad >= (off_t)begin && bad < (off_t)end && (size_t)bad <= file_size)
        return FR_FETCH_ERROR;
    if (end > file_size)
        return FR_FETCH_SHORT;
    return place == harmed ? FR_FETCH_DAMAGED : FR_FETCH_WHOLE;
}

/* Whether a row of a block is to be kept; of states how many rows have its own. */
static int is_kept(const fr_fetch *f, const fr_fetch_block *b, uint64_t row, uint64_t *same)
{
    const unsigned char *watched = file + HEAD + b->row * WIDTH + WATCHED;
    const unsigned char mask = (unsigned char)f->look.part.mask, own = watched[row * WIDTH] & mask;
    uint64_t i;
    if (f->look.kind == FR_LOOK_MEETING)
        return own;
    if (f->look.kind == FR_LOOK_CHANGES)
        return row == b->first || (watched[(row - 1) * WIDTH] & mask) != own;
    for (*same = 0, i = row; i < b->stop; i++)
        *same += (watched[i * WIDTH] & mask) == own;
    for (i = b->first; i < row && (watched[i * WIDTH] & mask) != own; i++)
        ;
    return i == row;
}

/* Of a block those rows that are to be kept. */
static void look_kept(const fr_fetch *f, const fr_fetch_block *b)
{
    const unsigned char *rows = file + HEAD + b->row * WIDTH;
    uint64_t i, same = 0, kept = 0;
    for (i = b->first; i < b->stop; i++) {
        if (!is_kept(f, b, i, &same))
            continue;
        if (f->tally)
            CHECK(f->tally[b->place + kept] == same);
        CHECK(f->pick[b->place + kept] == (int64_t)i);
        if (b->brief)
            CHECK(!memcmp(f->to + b->place * WIDTH + kept * 8, rows + i * WIDTH + f->stamp, 8));
        else
            CHECK(!memcmp(f->to + (b->place + kept) * WIDTH, rows + i * WIDTH, WIDTH));
        kept++;
    }
    CHECK(b->kept == kept);
    CHECK(b->brief == (f->many && kept >= f->many));
}

/* A part of all rows that are asked for. */
static void look_part(const fr_fetch *f, const fr_fetch_block *b)
{
    const fr_part part = f->look.part;
    const unsigned char *from = file + HEAD + (b->row + b->first) * WIDTH + part.offset;
    uint64_t i;
    for (i = 0; i < b->stop - b->first; i++)
        CHECK(!memcmp(f->to + (b->place + i) * part.size, from + i * WIDTH, part.size));
}

static void look(const fr_fetch *f, uint64_t first, uint64_t stop, uint64_t harmed)
{
    for (; first < stop; first++) {
        const fr_fetch_block *b = &f->block[first];
        uint32_t state = __atomic_load_n(&b->state, __ATOMIC_RELAXED), due = due_state(b, harmed, first);
        CHECK(state == due);
        if (due == FR_FETCH_ERROR)
            CHECK(fr_load_relaxed(&f->error) == EIO);
        if (due == FR_FETCH_WHOLE && f->look.kind == FR_LOOK_PART)
            look_part(f, b);
        else if (due == FR_FETCH_WHOLE && f->look.kind)
            look_kept(f, b);
        else if (!f->look.kind && (due == FR_FETCH_WHOLE || due == FR_FETCH_DAMAGED))
            CHECK(!memcmp(f->to + b->place * WIDTH, file + HEAD + b->row * WIDTH, b->rows * WIDTH));
    }
}

static uint64_t once(uint64_t *seed)
{
    fr_fetch f;
    fr_fetch_block *blocks;
    uint64_t cuts[MOST + 1] = {0}, batches = 1 + chance(seed, MOST / 2), count = 0, slot = 0, slots, i, j,
                         rows;
    const uint64_t ended = chance(seed, 4) ? batches : chance(seed, batches);
    for (i = 0; i < batches; i++)
        cuts[i + 1] = count += chance(seed, 3);
    if (!count)
        cuts[batches] = count = 1;
    const uint64_t harmed = chance(seed, 3) ? count : chance(seed, count);
    blocks = calloc(count, sizeof *blocks);
    memset(&f, 0, sizeof f);
    for (i = 0; i<batches; i++, slot = rows> slot ? rows : slot)
        for (j = cuts[i], rows = 0; j < cuts[i + 1]; j++) {
            fr_fetch_block *b = &blocks[j];
            b->rows = chance(seed, ROWS);
            b->first = (uint32_t)chance(seed, b->rows + 1);
            b->stop = b->first + (uint32_t)chance(seed, b->rows - b->first + 1);
            b->row = chance(seed, FILE_ROWS - ROWS);
            b->place = rows;
            b->crc = fr_crc32c(fr_crc32c(BASE, &b->row, 8), file + HEAD + b->row * WIDTH, b->rows * WIDTH);
            b->crc += j == harmed;
            rows += b->rows;
        }
    slots = 1 + chance(seed, 3);
    file_size = chance(seed, 4) ? sizeof file : HEAD + chance(seed, FILE_ROWS * WIDTH);
    bad = chance(seed, 4) ? -1 : (off_t)(HEAD + chance(seed, FILE_ROWS * WIDTH));
    f.fd = 7, f.offset = HEAD, f.width = WIDTH, f.base = BASE;
    f.block = blocks, f.count = count;
    f.look.kind = (fr_look_kind)(chance(seed, 2) * (1 + chance(seed, 4)));
    f.look.part.offset = WATCHED, f.look.part.size = 1;
    if (f.look.kind == FR_LOOK_PART) {
        f.look.part.size = chance(seed, 3) ? 1 + chance(seed, WIDTH) : WIDTH;
        f.look.part.offset = chance(seed, WIDTH - f.look.part.size + 1);
        for (i = rows = 0; i < count; rows += blocks[i].stop - blocks[i].first, i++)
            blocks[i].place = rows;
        f.to = malloc(rows * f.look.part.size + 1);
        f.to[rows * f.look.part.size] = GUARD;
        slots = batches, slot = 0; /* all are read ahead, and none is written over */
    } else {
        for (i = 0; i < batches; i++)
            for (j = cuts[i]; j < cuts[i + 1]; j++)
                blocks[j].place += i % slots * slot;
        f.to = malloc(slots * slot * WIDTH);
    }
    if (f.look.kind) {
        f.look.part.mask = f.look.kind == FR_LOOK_STATES ? 0x3F : 1; /* more than few states, at times */
        f.look.condition = &odd, f.look.depth = 1;
        f.stamp = chance(seed, WIDTH - 7);
        f.many = f.look.kind == FR_LOOK_MEETING ? chance(seed, 4) * 3 : 0;
        f.pick = malloc(slots * slot * sizeof *f.pick);
        f.tally = f.look.kind == FR_LOOK_STATES ? malloc(slots * slot * sizeof *f.tally) : NULL;
        f.looker = calloc(FR_FETCH_HELPERS + 1, sizeof *f.looker);
        for (i = 0; i <= FR_FETCH_HELPERS; i++)
            CHECK(!fr_looker_make(&f.looker[i], &f.look, ROWS * WIDTH, 12345));
    }
    fr_fetch_begin(&f, (uint32_t)chance(seed, FR_FETCH_HELPERS + 1));
    for (i = 0; i < ended; i++) {
        const uint64_t first = cuts[i], stop = cuts[i + 1], ahead = i + slots < batches ? i + slots : batches;
        fr_fetch_upto(&f, first, stop, cuts[ahead]);
        look(&f, first, stop, harmed);
        memset(f.to + i % slots * slot * WIDTH, (int)i, slot * WIDTH); /* it is ours until the next */
        if (!chance(seed, 4))
            usleep(20);
        for (j = 0; j < slot * WIDTH; j++)
            CHECK(f.to[i % slots * slot * WIDTH + j] == (unsigned char)i);
    }
    fr_fetch_end(&f);
    fr_fetch_end(&f);
    if (f.look.kind == FR_LOOK_PART)
        CHECK(f.to[rows * f.look.part.size] == GUARD);
    for (i = 0; f.looker && i <= FR_FETCH_HELPERS; i++)
        fr_looker_free(&f.looker[i]);
    free(f.to), free(f.pick), free(f.tally), free(f.looker);
    free(blocks);
    return cuts[ended];
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 100, blocks = 0, i;
    own = pthread_self();
    for (i = 0; i < sizeof file; i++)
        file[i] = (unsigned char)chance(&seed, 256);
    for (i = 0; i < rounds && !wrong; i++)
        blocks += once(&seed);
    printf("blocks=%llu helped=%llu pieces=%llu\n", (unsigned long long)blocks, (unsigned long long)helped,
           (unsigned long long)pieces);
    return wrong != 0;
}
