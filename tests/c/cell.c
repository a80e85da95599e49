/* What tests/core/test_cell.py asks of cell.h, as C sees it. Prints one word per failure and returns 1, else
 * 0.
 *
 *   cell lapped            a writer that comes round in the middle of a copy, step by step
 *   cell race MILLIONS     a writer and two readers; payloads prove themselves */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fastrec/atomic.h>

static void (*midway)(void); /* called once in the middle of the next copy */

static void copy_with_a_pause(void *dst, const uint64_t *shared, size_t words)
{
    void (*now)(void) = midway;
    midway = NULL;
    fr_copy_out(dst, shared, words / 2);
    if (now)
        now();
    fr_copy_out((char *)dst + words / 2 * 8, shared + words / 2, words - words / 2);
}

#define fr_copy_out copy_with_a_pause
#include <fastrec/cell.h>
#undef fr_copy_out

#define SIZE 2044 /* ends inside a word */
#define N (SIZE / 4)

static fr_cell *cell;
static int failures;

static void expect(int truth, const char *what)
{
    if (!truth) {
        puts(what);
        failures++;
    }
}

static void fill(uint32_t *payload, uint32_t version)
{
    for (uint32_t i = 0; i < N; i++)
        payload[i] = version * 2654435761u + i;
}

/* The version a payload proves to be, or -1 when it is none. */
static int64_t proven(const uint32_t *payload)
{
    uint32_t version = payload[0] * 244002641u; /* inverse of 2654435761 modulo 2^32 */
    for (uint32_t i = 0; i < N; i++)
        if (payload[i] != version * 2654435761u + i)
            return -1;
    return version;
}

static void publish(uint32_t version)
{
    uint32_t payload[N];
    fill(payload, version);
    fr_cell_write(cell, payload);
}

static int64_t read_version(void)
{
    uint32_t out[N + 1];
    out[N] = 0xC0FFEE;
    expect(cell->vtable->get_status(cell, out) == 0, "get_status");
    expect(out[N] == 0xC0FFEE, "wrote-past-the-struct");
    return proven(out);
}

static void write_half_of_the_next(void)
{
    uint32_t payload[N];
    fill(payload, 999);
    fr_copy_in(cell->slots + cell->head % FR_CELL_SLOTS * cell->words, payload, cell->words / 2 + 8);
}

static void publish_seven_and_a_half(void)
{
    for (uint32_t v = 101; v <= 107; v++)
        publish(v);
    write_half_of_the_next();
}

static void publish_six_and_a_half(void)
{
    for (uint32_t v = 201; v <= 206; v++)
        publish(v);
    write_half_of_the_next();
}

static void lapped(void)
{
    publish(100);
    write_half_of_the_next();
    expect(read_version() == 100, "a-preempted-writer-shows");
    midway = publish_seven_and_a_half;
    expect(read_version() == 107, "a-lapped-copy-was-kept");
    publish(200);
    midway = publish_six_and_a_half;
    expect(read_version() == 200, "a-whole-copy-was-dropped");
}

static uint64_t done;
static uint64_t torn;

static void *reader(void *unused)
{
    int64_t last = 0;
    while (!fr_load_acquire(&done)) {
        uint32_t out[N];
        int64_t version;
        cell->vtable->get_status(cell, out);
        version = proven(out);
        if (version < last) /* torn is -1, and time never runs backwards */
            fr_add(&torn, 1);
        else
            last = version;
    }
    return unused;
}

static void race(uint32_t versions)
{
    pthread_t readers[2];
    publish(0);
    for (int i = 0; i < 2; i++)
        pthread_create(&readers[i], NULL, reader, NULL);
    for (uint32_t v = 1; v < versions && !fr_load_relaxed(&torn); v++)
        publish(v);
    fr_store_release(&done, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    expect(torn == 0, "torn");
    expect(read_version() == (int64_t)versions - 1, "the-last-version-is-missing");
}

int main(int argc, char **argv)
{
    cell = fr_cell_create(SIZE, &fr_iid_unknown);
    if (argc == 2 && !strcmp(argv[1], "lapped"))
        lapped();
    else if (argc == 3 && !strcmp(argv[1], "race"))
        race((uint32_t)(atof(argv[2]) * 1e6));
    else
        return 2;
    expect(cell->vtable->release(cell) == 0, "release");
    return failures != 0;
}
