/* The turn of every kind of integer, taken in by pieces of any size, and the runs that are told by it,
 * against what a look at each record says. */
#include <stdio.h>
#include <stdlib.h>
#include "fastrec/runs.h"

enum { STRIDE = 24, AT = 9, ZONES = 4, ROWS = ZONES * FR_BLOCK_ROWS };

static uint64_t rolled = 88172645463325252ULL;

static uint64_t chance(uint64_t below)
{
    rolled ^= rolled << 13, rolled ^= rolled >> 7, rolled ^= rolled << 17;
    return below ? rolled % below : rolled;
}

static fr_zone_field some_field(void)
{
    fr_zone_field f = {.kind = "iu"[chance(2)], .size = (uint8_t)(1 << chance(4)), .offset = AT};
    f.swapped = (uint8_t)(chance(4) == 0);
    if (chance(3) == 0) {
        f.width = (uint8_t)(1 + chance(8U * f.size));
        f.shift = (uint8_t)chance(8U * f.size - f.width + 1U);
    }
    return f;
}

/* What a record has of the field; its other bits are whatever they are. */
static void put(unsigned char *record, const fr_zone_field *f, uint64_t value)
{
    uint64_t word, mask = f->width && f->width < 64 ? (1ULL << f->width) - 1 : ~0ULL;
    int i;
    memcpy(&word, record + AT, 8);
    if (f->swapped)
        word = __builtin_bswap64(word) >> (64 - 8 * f->size);
    word = (word & ~(mask << f->shift)) | (value & mask) << f->shift;
    for (i = 0; i < f->size; i++)
        record[AT + i] = (unsigned char)(word >> 8 * (f->swapped ? f->size - 1 - i : i));
}

static uint64_t due_turn(const unsigned char *rows, const fr_zone_field *f, unsigned *place)
{
    unsigned n, changes = 0;
    uint64_t first = fr_zone_load(f, rows), last, wide;
    int64_t stamp;
    *place = 0;
    for (n = 1; n < FR_BLOCK_ROWS; n++)
        if (fr_zone_load(f, rows + n * STRIDE) != fr_zone_load(f, rows + (n - 1) * STRIDE))
            changes++, *place = n;
    if (changes != 1)
        return 0;
    last = fr_zone_load(f, rows + *place * STRIDE);
    memcpy(&stamp, rows + *place * STRIDE, 8);
    n = f->kind == 'i' ? (int64_t)first > (int64_t)last : first > last;
    wide = n ? first - last : last - first;
    if (wide >> 54 || stamp < 0 || stamp >> 62)
        return 0;
    return 1ULL << 63 | (uint64_t)n << 62 | (uint64_t)stamp;
}

static void fail(const char *what, const fr_zone_field *f)
{
    printf("%s: kind %c size %d swapped %d shift %d width %d\n", what, f->kind, f->size, f->swapped, f->shift,
           f->width);
    exit(1);
}

/* Few changes, at most one of them in most zones, and now and then at a border. */
static void fill(unsigned char *rows, const fr_zone_field *f)
{
    uint64_t value = chance(0), apart = chance(3) ? 1 + chance(200) : chance(0);
    unsigned n, often = (unsigned)(1U << chance(13));
    int64_t stamp = chance(8) ? (int64_t)chance(1ULL << 61) : (int64_t)chance(0);
    for (n = 0; n < ROWS; n++) {
        unsigned char *record = rows + n * STRIDE;
        uint64_t noise = chance(0);
        memcpy(record + 8, &noise, 8), memcpy(record + 16, &noise, 8);
        if (chance(often + 1) == 0)
            value = chance(2) ? value + apart : value - apart;
        put(record, f, value);
        stamp = (int64_t)((uint64_t)stamp + chance(2000));
        memcpy(record, &stamp, 8);
    }
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 2000, round, told = 0, runs_checked = 0;
    unsigned char *rows = malloc(ROWS * STRIDE);
    for (round = 0; round < rounds; round++) {
        fr_zone_field f = some_field();
        uint64_t row[FR_ZONE_SIZE(1) / 8], state;
        fr_zone zone = {.fields = 1, .field = &f, .row = row, .turns = 1};
        fr_summed sums[ZONES];
        fr_run runs[2 * ZONES], due[2 * ZONES];
        unsigned char known[ZONES];
        size_t count, wanted = 0, i;
        unsigned z, n, done, place;
        fill(rows, &f);
        for (z = 0; z < ZONES; z++) {
            const unsigned char *p = rows + z * FR_BLOCK_ROWS * STRIDE;
            uint64_t turn = due_turn(p, &f, &place), first = fr_zone_load(&f, p);
            int64_t at = (int64_t)z * FR_BLOCK_ROWS, edges[3] = {at, at + FR_BLOCK_ROWS, 0};
            int steady;
            fr_zone_clear(&zone);
            for (done = 0; done < FR_BLOCK_ROWS; done += n) {
                n = (unsigned)(1 + chance(chance(2) ? 5 : FR_BLOCK_ROWS));
                n = n > FR_BLOCK_ROWS - done ? FR_BLOCK_ROWS - done : n;
                fr_zone_add(&zone, p + done * STRIDE, n, STRIDE, 0);
            }
            if (row[4] != turn)
                fail("the turn is another", &f);
            told += turn != 0;
            sums[z] = (fr_summed){row[0], row[1], row[2], row[3], 0, row[4], 0};
            if (turn && chance(16) == 0) { /* made up: nothing is told by it */
                if (chance(2))
                    sums[z].polls++;
                else
                    sums[z].sum += row[2] - row[1] > 1 ? 1 : FR_BLOCK_ROWS;
                turn = 0;
            }
            steady = row[1] == row[2];
            if (!steady && !turn)
                continue;
            if (turn)
                edges[1] = at + place, edges[2] = at + FR_BLOCK_ROWS;
            for (i = 0; i < 1U + !!turn; i++) {
                int64_t stamp = FR_RUN_UNSEEN;
                state = i ? fr_zone_load(&f, p + place * STRIDE) : first;
                if (i)
                    memcpy(&stamp, p + place * STRIDE, 8);
                if (wanted && due[wanted - 1].stop == edges[i] && due[wanted - 1].state == state)
                    due[wanted - 1].stop = edges[i + 1];
                else
                    due[wanted++] = (fr_run){edges[i], edges[i + 1], state, stamp};
            }
        }
        for (z = 0, count = 0; z < ZONES; z++)
            count = fr_runs_of(&sums[z], (int64_t)z * FR_BLOCK_ROWS, 0, runs, count, &known[z]);
        if (count != wanted || memcmp(runs, due, count * sizeof *runs) != 0)
            fail("the runs are others", &f);
        runs_checked += (unsigned)count;
    }
    free(rows);
    printf("%u %u\n", told, runs_checked);
    return 0;
}
