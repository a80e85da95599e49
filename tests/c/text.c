/* Texts behind pointers: as a library, getters of pointers that a test chooses; as a program, what
 * fastrec/text.h does at the edges of memory, of its buffers and of its table. It prints what is wrong. */
#include <fastrec/text.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <uchar.h>
#include <wchar.h>

/* ---- getters ---- */

typedef struct members {
    const char *narrow;
    const char16_t *utf16;
    const wchar_t *wide;
    uint32_t low; /* a pointer of 32 bits, to UTF-16 */
    uint32_t n;
} members;

members given; /* what get_members gives */

int get_members(members *m)
{
    given.n++;
    *m = given;
    return 0;
}

typedef struct one {
    const void *text;
    uint64_t n;
} one;

const void *const *table; /* what get_next goes round */
uint64_t table_size;

int get_next(one *o)
{
    static uint64_t calls;
    o->n = calls++ % table_size;
    o->text = table[o->n];
    return 0;
}

/* ---- checks ---- */

static int wrong;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            printf("line %d: not %s\n", __LINE__, #condition);                                               \
            wrong = 1;                                                                                       \
        }                                                                                                    \
    } while (0)

static fr_texts *new_texts(uint64_t arena)
{
    fr_texts *t = (fr_texts *)calloc(1, sizeof *t);
    t->view.header = (fr_ring_header *)calloc(1, sizeof *t->view.header);
    t->view.header->arena_size = arena;
    t->view.arena = (unsigned char *)malloc(arena); /* of its exact size: a sanitizer sees what passes it */
    return t;
}

static void free_texts(fr_texts *t)
{
    free(t->view.arena);
    free(t->view.header);
    free(t);
}

/* Two pages; the second may not be touched. Texts are put before its beginning. */
static char *edge(void)
{
    char *pages = (char *)mmap(NULL, 2 * FR_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages + FR_PAGE, FR_PAGE, PROT_NONE);
    memset(pages, 'x', FR_PAGE);
    return pages + FR_PAGE;
}

static long get(const char *from, uint32_t unit, uint32_t direct, char *to)
{
    return fr_text_get((uint64_t)(uintptr_t)from, unit, direct, to);
}

/* Every length up to the end of memory, every kind: with its end it is read, without it is not. */
static void at_the_edge(void)
{
    char *end = edge(), *to = (char *)malloc(FR_TEXT_ROOM);
    uint32_t unit, direct;
    size_t n, i;
    for (unit = 1; unit <= 4; unit *= 2)
        for (n = 0; n <= 100; n++) {
            char *text = end - (n + 1) * unit;
            memset(text, 0, (n + 1) * unit);
            for (i = 0; i < n; i++)
                text[i * unit] = (char)('a' + i % 26);
            for (direct = 0; direct < 2; direct++) {
                CHECK(get(text, unit, direct, to) == (long)n);
                CHECK(!n || (to[0] == 'a' && to[n - 1] == (char)('a' + (n - 1) % 26)));
            }
            end[-1] = 1; /* no end, or half of one */
            CHECK(get(text, unit, 0, to) == -EFAULT);
        }
    CHECK(get(end, 1, 0, to) == -EFAULT);
    free(to);
}

/* Across pages at every address, so that units and ends are split by them. */
static void across_pages(void)
{
    char *pages = edge() - FR_PAGE, *to = (char *)malloc(FR_TEXT_ROOM);
    uint32_t unit;
    size_t before, n, i;
    static char other[FR_TEXT_MAX];
    memset(other, 'y', sizeof other);
    mprotect(pages + FR_PAGE, FR_PAGE, PROT_READ | PROT_WRITE);
    for (unit = 1; unit <= 4; unit *= 2)
        for (before = 0; before <= 9; before++)
            for (n = 0; n <= 6; n++) {
                char *text = pages + FR_PAGE - before;
                memset(pages + FR_PAGE - 64, 'x', 128);
                memset(text, 0, (n + 1) * unit);
                for (i = 0; i < n; i++)
                    text[i * unit] = (char)('a' + i);
                get(other, unit, 1, to); /* what a buffer holds from before is not read */
                CHECK(get(text, unit, 0, to) == (long)n && !memcmp(to, "abcdef", n));
                CHECK(get(text, unit, 1, to) == (long)n && !memcmp(to, "abcdef", n));
            }
    free(to);
}

/* The most bytes followed, in the most bytes kept; the buffers have their exact sizes. */
static void longest(void)
{
    static const struct {
        uint32_t unit, value;
        long length;
    } cases[] = {{1, 'x', 4096},       {2, 'x', 2048},        {2, 0xFFFF, 6144},
                 {2, 0xD83D, 6144},    {4, 'x', 1024},        {4, 0x10FFFF, 4096},
                 {4, 0x3FFFFFF, 5120}, {4, 0x7FFFFFFF, 6144}, {4, 0xFFFFFFFF, 7168}};
    char *from = (char *)malloc(FR_TEXT_MAX), *to = (char *)malloc(FR_TEXT_ROOM);
    fr_texts *t = new_texts(1 << 20);
    const unsigned char *entry;
    uint64_t offset = 0;
    uint32_t length, direct;
    size_t i, at;
    for (i = 0; i < sizeof cases / sizeof *cases; i++)
        for (direct = 0; direct < 2; direct++) {
            uint64_t pointer = (uint64_t)(uintptr_t)from, payload = pointer;
            fr_text_field field = {0, 8, cases[i].unit, direct};
            for (at = 0; at < FR_TEXT_MAX; at += cases[i].unit)
                memcpy(from + at, &cases[i].value, cases[i].unit);
            CHECK(fr_text_get(pointer, cases[i].unit, direct, to) == cases[i].length);
            CHECK(fr_text_follow(t, (unsigned char *)&payload, field) && payload <= t->count);
            if (direct)
                continue;
            entry = fr_text_next(&t->view, t->used, &offset, &length);
            CHECK(payload < t->count || (entry && length == cases[i].length && !memcmp(entry, to, length)));
        }
    free_texts(t);
    free(to);
    free(from);
}

static char names[FR_TEXT_IDS + 1][48];

/* Fill the table by texts of one style; each gets the next id, keeps it, and there is an end. */
static void fill(const char *style)
{
    fr_texts *t = new_texts(8 << 20);
    uint64_t x = 88172645463325252ull;
    uint32_t i;
    for (i = 0; i <= FR_TEXT_IDS; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        snprintf(names[i], sizeof names[i], style, *style == '%' ? (unsigned)x : i, i);
    }
    for (i = 0; i < FR_TEXT_IDS; i++)
        if (fr_text_intern(t, names[i], (uint32_t)strlen(names[i])) != i + 1)
            break;
    CHECK(i == FR_TEXT_IDS);
    CHECK(fr_text_intern(t, names[i], (uint32_t)strlen(names[i])) == FR_TEXT_LOST);
    for (i = 0; i < FR_TEXT_IDS; i += 7)
        CHECK(fr_text_intern(t, names[i], (uint32_t)strlen(names[i])) == i + 1);
    free_texts(t);
}

/* Texts made to collide are lost before they cost much; all others are kept, and what is known stays so. */
static void colliding(void)
{
    fr_texts *t = new_texts(1 << 20);
    uint32_t found[FR_TEXT_PROBES + 20], i, n = 0, kept = 0;
    for (i = 0; n < FR_TEXT_PROBES + 20; i++)
        if (fr_crc32c(0, &i, 4) % FR_TEXT_SLOTS == 7) {
            found[n++] = i;
            kept += fr_text_intern(t, (char *)&i, 4) != FR_TEXT_LOST;
        }
    CHECK(kept == FR_TEXT_PROBES);
    CHECK(fr_text_intern(t, "other", 5) == kept + 1);
    for (i = 0; i < n; i++)
        CHECK(fr_text_intern(t, (char *)&found[i], 4) == (i < kept ? i + 1 : FR_TEXT_LOST));
    free_texts(t);
}

/* An arena that is full keeps what it has, and takes what still fits. */
static void full_arena(void)
{
    fr_texts *t = new_texts(64);
    CHECK(fr_text_intern(t, "0123456789", 10) == 1);
    CHECK(fr_text_intern(t, "0123456789012345678901234567890123456789", 40) == 2);
    CHECK(t->used == 64);
    CHECK(fr_text_intern(t, "", 0) == FR_TEXT_LOST);
    CHECK(fr_text_intern(t, "0123456789", 10) == 1);
    free_texts(t);
}

/* Text that changes while it is read is some text, whole in the arena. */

static char changing[256];
static uint64_t done;

static void *change(void *null)
{
    uint32_t i;
    for (i = 0; !fr_load_relaxed(&done); i++)
        memset(changing, i % 3 ? (int)(i % 256) : 0, 1 + i % (sizeof changing - 4));
    return null;
}

static void changed(void)
{
    fr_texts *t = new_texts(4 << 20);
    const unsigned char *entry;
    pthread_t thread;
    uint64_t offset = 0;
    uint32_t i, length, count = 0;
    pthread_create(&thread, NULL, change, NULL);
    for (i = 0; i < 20000; i++) {
        static const uint32_t units[] = {1, 2, 4};
        fr_text_field field = {0, 8, units[i % 3], i % 2};
        uint64_t payload = (uint64_t)(uintptr_t)changing;
        if (fr_text_follow(t, (unsigned char *)&payload, field))
            CHECK(payload && payload <= t->count);
    }
    fr_store_relaxed(&done, 1);
    pthread_join(thread, NULL);
    while ((entry = fr_text_next(&t->view, t->used, &offset, &length)) && ++count)
        CHECK(fr_text_intern(t, (const char *)entry, length) == count);
    CHECK(count == t->count && offset == t->used);
    free_texts(t);
}

int main(void)
{
    at_the_edge();
    across_pages();
    longest();
    fill("%08x-%u");
    fill("http://host/%u");
    fill("state %u of the machine, and again %u");
    colliding();
    full_arena();
    changed();
    return wrong;
}
