/* Looks at a ring, without the GIL, while Python pushes into it: payloads that are their own number. */
#include <fastrec/ring.h>

enum { ROWS = 100 };

typedef struct seen {
    uint64_t samples;
    uint64_t torn;    /* accounts that do not add up, or went back */
    uint64_t ahead;   /* accounts of more records than there were */
    uint64_t wrong;   /* records that are not their number, or whose stamps decrease */
    uint64_t records; /* records read */
} seen;

/* From the address of the slots until `*stop`. */
void watch(const unsigned char *slots, const volatile int *stop, seen *s)
{
    unsigned char *header = (unsigned char *)((uintptr_t)slots & ~(uintptr_t)(FR_PAGE - 1));
    uint64_t rows[ROWS][2], cursor, i;
    fr_ring_view v;
    fr_account before, a;
    while (memcmp(header, FR_RING_MAGIC, 8) != 0)
        header -= FR_PAGE;
    v = fr_ring_look(header);
    memset(&before, 0, sizeof before);
    while (!*stop) {
        fr_span span;
        a = fr_ring_account(v.header);
        s->ahead += a.recorded > fr_load_acquire(&v.header->head);
        s->torn += a.slots != a.recorded + a.held + a.missed + a.failed + a.dropped || a.slots < before.slots
                   || a.recorded < before.recorded || (int64_t)a.last < (int64_t)before.last
                   || (before.slots && a.start != before.start);
        before = a;
        cursor = fr_load_acquire(&v.header->head);
        span = fr_lane_read(&v.records, cursor > ROWS ? cursor - ROWS : 0, rows, ROWS);
        for (i = 0; i < span.count; i++) {
            const uint64_t *row = rows[span.skip + i];
            s->wrong += row[1] != span.first + i || (i && (int64_t)row[0] < (int64_t)row[-2]);
        }
        s->records += span.count;
        s->samples++;
    }
}
