/* ring.h: one writer, any number of readers, never a lock.
 *
 * A lane is a dense array of equal slots and one published counter, `head`: how many records were ever
 * published. Record n lives in slot n mod nslots. The writer may be writing up to FR_GUARD slots
 * beyond head, so the newest nslots - FR_GUARD records are the ones a reader may trust:
 *
 *   writer                                   reader at cursor a, cap = nslots - FR_GUARD
 *   W1 relaxed word stores of the records    R1 h = head (acquire); skip to h - cap if a is older
 *   W2 head = n + k (release)                R2 relaxed word loads of [a, b)
 *   W3 release fence                         R3 acquire fence
 *                                            R4 h2 = head; records below h2 - cap were overrun: drop them
 *
 * W3 orders the counter before the next records, R3 the copy before the second look: a reader that saw
 * a word of a later record therefore also sees the counter that condemns the slot. On x86-64 neither
 * fence emits an instruction.
 *
 * A ring is a mapping: header, schema text, gap lane, text arena, record lane. The record lane's slot is
 * the record (stamp, then payload) and nothing else, so the lane is a NumPy structured array. */
#ifndef FASTREC_RING_H
#define FASTREC_RING_H

#include "os.h"
#include "atomic.h"
#include "format.h"

#define FR_RING_MAGIC "fastrec\x1a"
#define FR_RING_VERSION 1
#define FR_GUARD 64           /* B: most records published by one store of head */
#define FR_GAP_SLOTS 4096     /* readable entries of the gap lane */
#define FR_GAP_PIECE 10000000 /* ns: a loss that goes on is published at least this often */
#define FR_PAGE 4096

/* ---- lanes ---- */

typedef struct fr_lane {
    uint64_t *head; /* in shared memory */
    uint64_t *data; /* in shared memory */
    uint64_t nslots;
    uint64_t words; /* of a slot, 8 bytes each */
} fr_lane;

/* The writer's place; private to it. */
typedef struct fr_pen {
    uint64_t head; /* equal to *lane.head */
    uint64_t slot; /* head mod nslots, kept so that nothing divides */
} fr_pen;

static inline fr_pen fr_pen_at(const fr_lane *lane, uint64_t head)
{
    fr_pen pen = {head, head % lane->nslots};
    return pen;
}

static inline uint64_t *fr_lane_slot(const fr_lane *lane, const fr_pen *pen)
{
    return lane->data + pen->slot * lane->words;
}

/* W2 and W3, after the words of `count` slots were stored. */
FR_INLINE void fr_lane_commit(const fr_lane *lane, fr_pen *pen, uint64_t count)
{
    const uint64_t head = pen->head + count, slot = pen->slot + count;
    pen->head = head;
    pen->slot = slot < lane->nslots ? slot : slot - lane->nslots;
    fr_store_release(lane->head, head);
    fr_fence_release();
}

FR_INLINE void fr_lane_put(const fr_lane *lane, fr_pen *pen, const void *record)
{
    fr_copy_in(fr_lane_slot(lane, pen), record, lane->words);
    fr_lane_commit(lane, pen, 1);
}

/* Up to FR_GUARD records at once, from a dense private array. */
static inline void fr_lane_put_many(const fr_lane *lane, fr_pen *pen, const void *records, uint64_t count)
{
    uint64_t until_end = lane->nslots - pen->slot, first = count < until_end ? count : until_end;
    fr_copy_in(fr_lane_slot(lane, pen), records, first * lane->words);
    if (count > first)
        fr_copy_in(lane->data, (const uint64_t *)records + first * lane->words,
                   (count - first) * lane->words);
    fr_lane_commit(lane, pen, count);
}

/* What one read gave: `count` records from number `first`, which begin `skip` records into the
 * destination; `lost` records before them were overwritten. */
typedef struct fr_span {
    uint64_t first;
    uint64_t count;
    uint64_t skip;
    uint64_t lost;
} fr_span;

/* Copy records [cursor, cursor + max) as far as they exist. Afterwards the cursor belongs at
 * span.first + span.count; span.lost + span.count is always how far it moved. */
static inline fr_span fr_lane_read(const fr_lane *lane, uint64_t cursor, void *dst, uint64_t max)
{
    const uint64_t cap = lane->nslots - FR_GUARD;
    uint64_t head = fr_load_acquire(lane->head), slot, until_end, part;
    fr_span span = {cursor, 0, 0, 0};
    if (cursor >= head || !max)
        return span;
    if (head - cursor > cap) {
        span.lost = head - cap - cursor;
        span.first = head - cap;
    }
    span.count = head - span.first < max ? head - span.first : max;
    slot = span.first % lane->nslots;
    until_end = lane->nslots - slot;
    part = span.count < until_end ? span.count : until_end;
    fr_copy_out(dst, lane->data + slot * lane->words, part * lane->words);
    if (span.count > part)
        fr_copy_out((uint64_t *)dst + part * lane->words, lane->data, (span.count - part) * lane->words);
    fr_fence_acquire();
    head = fr_load_relaxed(lane->head);
    if (head - span.first > cap) {
        span.skip = head - cap - span.first < span.count ? head - cap - span.first : span.count;
        span.first += span.skip;
        span.lost += span.skip;
        span.count -= span.skip;
    }
    return span;
}

/* ---- the mapping ---- */

/* Counters of a channel: one consistent copy under `seq`. Each word is 64 bits. */
typedef struct fr_account {
    uint64_t slots;      /* deadlines, calls flat out, or pushes whose outcome is decided */
    uint64_t recorded;   /* polls that were published at once */
    uint64_t held;       /* polls that found nothing new; with holds, the same state */
    uint64_t missed;     /* deadlines that passed without a call */
    uint64_t failed;     /* calls that failed */
    uint64_t dropped;    /* records that found no room */
    uint64_t start;      /* time of slot 0 */
    uint64_t last;       /* latest stamp */
    uint64_t texts_lost; /* texts behind pointers that could not be read, or found no room */
} fr_account;
#define FR_ACCOUNT_WORDS (sizeof(fr_account) / 8)

/* An entry of the gap lane never changes; `totals` are the running totals (dropped, missed, failed, this
 * entry included), so that a reader that was lapped still knows every count. */
typedef struct fr_gap_entry {
    fr_gap gap;
    uint64_t totals[3];
} fr_gap_entry;
#define FR_GAP_WORDS (sizeof(fr_gap_entry) / 8)

#define FR_ALIGNED __attribute__((aligned(FR_CACHE_LINE)))

typedef struct fr_ring_header {
    /* Never written after creation; `crc` covers all of it, with crc itself zero. */
    char magic[8];
    uint32_t version;
    uint32_t endian; /* 0x01020304 as the writer stores it */
    uint32_t header_size;
    uint32_t crc;
    uint64_t total_size;
    uint32_t record_size;    /* a multiple of 8 */
    uint32_t payload_offset; /* 8; 32 with holds */
    uint32_t payload_size;   /* sizeof the C struct */
    uint32_t guard;          /* FR_GUARD */
    uint64_t nslots;
    uint64_t data_offset;
    uint64_t gaps_offset;
    uint32_t gap_slots;
    uint32_t gap_size;
    uint64_t schema_offset; /* JSON */
    uint64_t schema_size;
    uint64_t arena_offset;
    uint64_t arena_size; /* 0: the schema has no text */
    unsigned char digest[16];
    uint64_t first;      /* number of the first record: nothing below it is readable */
    uint64_t period_num; /* period in ns as a fraction; 0: not paced */
    uint64_t period_den;
    int64_t clock_offset; /* added to the monotonic clock in every stamp */
    uint32_t clock;       /* 0: monotonic, 1: monotonic by way of the processor's counter */
    uint32_t store;       /* 0: every, 1: changes */
    int64_t pid;
    int64_t pid_start; /* of the process, in clock ticks since boot: a pid may come again */
    char boot_id[40];
    /* The writer's counters, each on a cache line of its own. */
    FR_ALIGNED uint64_t head;
    FR_ALIGNED uint64_t gap_head;
    FR_ALIGNED uint64_t seq; /* of the account */
    fr_account account;
    uint64_t in_call; /* when the call began that has not returned; 0: none */
    FR_ALIGNED uint64_t arena_used;
    /* The spooler's, where the writer may not overtake it (when_full="drop"). */
    FR_ALIGNED uint64_t tail;
    uint64_t bounded; /* 1: obey the tail */
    uint64_t home[2]; /* device and inode of the recording.json that it is spooled beside; 0: of none */
} fr_ring_header;

#ifndef __cplusplus
_Static_assert(sizeof(fr_ring_header) <= FR_PAGE, "the header is one page");
_Static_assert(sizeof(fr_gap_entry) == 64, "gap entries fill a line");
#endif

/* What a ring says of its payloads, as a constant that `fastrec schema ... --as ring` writes. */
typedef struct fr_schema {
    const char *json;         /* one line of ASCII */
    uint64_t json_size;       /* bytes, without the zero behind them */
    uint32_t payload_size;    /* sizeof the C struct */
    uint32_t texts;           /* pointers that are followed as text; 0: the ring needs no arena */
    unsigned char digest[16]; /* known to readers before they read the JSON */
} fr_schema;

/* A view of the mapping that anybody may hold. */
typedef struct fr_ring_view {
    fr_ring_header *header;
    fr_lane records;
    fr_lane gaps;
    unsigned char *arena;
} fr_ring_view;

static inline fr_ring_view fr_ring_look(void *memory)
{
    fr_ring_header *h = (fr_ring_header *)memory;
    unsigned char *base = (unsigned char *)memory;
    fr_ring_view v;
    v.header = h;
    v.records.head = &h->head;
    v.records.data = (uint64_t *)(base + h->data_offset);
    v.records.nslots = h->nslots;
    v.records.words = h->record_size / 8;
    v.gaps.head = &h->gap_head;
    v.gaps.data = (uint64_t *)(base + h->gaps_offset);
    v.gaps.nslots = h->gap_slots;
    v.gaps.words = FR_GAP_WORDS;
    v.arena = base + h->arena_offset;
    return v;
}

static inline uint64_t fr_page_up(uint64_t size) { return (size + FR_PAGE - 1) & ~(uint64_t)(FR_PAGE - 1); }

/* Fill in sizes and offsets from record_size, nslots, schema_size and arena_size. */
static inline uint64_t fr_ring_plan(fr_ring_header *h)
{
    memcpy(h->magic, FR_RING_MAGIC, 8);
    h->version = FR_RING_VERSION;
    h->endian = 0x01020304u;
    h->header_size = FR_PAGE;
    h->guard = FR_GUARD;
    h->gap_slots = FR_GAP_SLOTS + FR_GUARD;
    h->gap_size = sizeof(fr_gap_entry);
    h->schema_offset = FR_PAGE;
    h->gaps_offset = fr_page_up(h->schema_offset + h->schema_size);
    h->arena_offset = fr_page_up(h->gaps_offset + (uint64_t)h->gap_slots * h->gap_size);
    h->data_offset = fr_page_up(h->arena_offset + h->arena_size);
    h->total_size = fr_page_up(h->data_offset + h->nslots * h->record_size);
    return h->total_size;
}

static inline uint32_t fr_ring_crc(const fr_ring_header *h)
{
    fr_ring_header copy;
    memcpy(&copy, h, sizeof copy);
    copy.crc = 0;
    return fr_crc32c(0, &copy, offsetof(fr_ring_header, head));
}

#define FR_MAX_RECORD (68u << 10) /* 64 KiB of payload, and the recorder's columns */
#define FR_MAX_SLOTS (1ull << 33)
#define FR_MAX_SCHEMA (64u << 20)
#define FR_MAX_ARENA (64u << 20)
#define FR_MAX_NUMBER (1ull << 62)

/* What is wrong with a private copy of a header that a mapping of `size` bytes begins with; NULL: nothing.
 * Then every offset is inside, and the counters make no arithmetic wrap. */
static inline const char *fr_ring_refusal(const fr_ring_header *h, uint64_t size)
{
    fr_ring_header plan;
    if (memcmp(h->magic, FR_RING_MAGIC, 8))
        return "it is no ring";
    if (h->version != FR_RING_VERSION || h->endian != 0x01020304u || h->header_size != FR_PAGE)
        return "it is of another version or machine";
    if (h->crc != fr_ring_crc(h))
        return "its header does not match its checksum";
    if (h->record_size % 8 || h->record_size > FR_MAX_RECORD || h->nslots <= FR_GUARD
        || h->nslots > FR_MAX_SLOTS || h->schema_size > FR_MAX_SCHEMA || h->arena_size > FR_MAX_ARENA
        || h->store > 1 || h->payload_offset != (h->store ? 32u : 8u) || !h->payload_size
        || h->payload_size > h->record_size - h->payload_offset || h->record_size < h->payload_offset)
        return "its sizes cannot be";
    memcpy(&plan, h, sizeof plan);
    fr_ring_plan(&plan);
    plan.crc = h->crc;
    if (memcmp(&plan, h, offsetof(fr_ring_header, head)) || size < h->total_size)
        return "its parts are not where they belong";
    if (h->first > FR_MAX_NUMBER || h->head < h->first || h->head > FR_MAX_NUMBER
        || h->gap_head > FR_MAX_NUMBER || h->arena_used > h->arena_size)
        return "its counters cannot be";
    return NULL;
}

/* A consistent copy of the counters. The tries are bounded: a writer killed in the middle leaves the
 * sequence word odd for ever, and its last counters are still the best there is. */
static inline fr_account fr_ring_account(const fr_ring_header *h)
{
    fr_account copy;
    int tries = 1 << 22;
    while (!fr_seq_read(&h->seq, &copy, (const uint64_t *)&h->account, FR_ACCOUNT_WORDS) && --tries)
        fr_relax();
    return copy;
}

/* ---- the writer ---- */

typedef struct fr_ring {
    fr_ring_view view;
    fr_pen pen;
    fr_pen gap_pen;
    uint64_t capacity;    /* nslots - FR_GUARD */
    uint64_t tail;        /* what the writer last saw of header.tail */
    fr_account account;   /* the writer's own copy; published whole */
    fr_gap_entry pending; /* a loss that may go on; count 0: none */
} fr_ring;

static inline void fr_ring_take(fr_ring *r, void *memory)
{
    memset(r, 0, sizeof *r);
    r->view = fr_ring_look(memory);
    r->pen = fr_pen_at(&r->view.records, r->view.header->head);
    r->gap_pen = fr_pen_at(&r->view.gaps, r->view.header->gap_head);
    r->capacity = r->view.records.nslots - FR_GUARD;
    r->tail = r->view.header->tail;
    fr_fence_release(); /* W3 of the writer before us */
}

static inline void fr_ring_publish_account(fr_ring *r)
{
    fr_ring_header *h = r->view.header;
    fr_seq_begin(&h->seq);
    fr_copy_in((uint64_t *)&h->account, &r->account, FR_ACCOUNT_WORDS);
    fr_seq_end(&h->seq);
}

/* The same after one poll or push, when nothing has changed but the counter of what became of it. */
FR_INLINE void fr_ring_publish_one(fr_ring *r, const uint64_t *counter)
{
    fr_ring_header *h = r->view.header;
    uint64_t *its = (uint64_t *)&h->account + (counter - (const uint64_t *)&r->account);
    fr_seq_begin(&h->seq);
    fr_store_relaxed(&h->account.slots, r->account.slots);
    fr_store_relaxed(its, *counter);
    fr_store_relaxed(&h->account.last, r->account.last);
    fr_seq_end(&h->seq);
}

static inline void fr_ring_publish_recorded(fr_ring *r) { fr_ring_publish_one(r, &r->account.recorded); }
static inline void fr_ring_publish_held(fr_ring *r) { fr_ring_publish_one(r, &r->account.held); }

/* How many of `count` more have room, as far as a bounded ring's consumer has come. */
static inline uint64_t fr_ring_room(fr_ring *r, uint64_t count)
{
    uint64_t room;
    if (!r->view.header->bounded || r->pen.head + count - r->tail <= r->capacity)
        return count;
    r->tail = fr_load_acquire(&r->view.header->tail);
    room = r->capacity - (r->pen.head - r->tail);
    return room < count ? room : count;
}

FR_APART void fr_ring_flush_gap(fr_ring *r)
{
    if (r->pending.gap.count) {
        fr_lane_put(&r->view.gaps, &r->gap_pen, &r->pending);
        r->pending.gap.count = 0;
    }
}

/* Publish what has been pending for too long at `now`. */
static inline void fr_ring_age_gap(fr_ring *r, int64_t now)
{
    if (r->pending.gap.count && now - r->pending.gap.t_first >= FR_GAP_PIECE)
        fr_ring_flush_gap(r);
}

/* Enter a loss of the writer's own: FR_GAP_DROPPED, _MISSED or _FAILED. */
static inline void fr_ring_lose(fr_ring *r, uint32_t cause, int32_t code, uint64_t count, int64_t t_first,
                                int64_t t_last)
{
    fr_gap *g = &r->pending.gap;
    if (g->count && (g->cause != cause || g->code != code || g->seq != r->pen.head))
        fr_ring_flush_gap(r);
    if (!g->count) {
        g->seq = r->pen.head;
        g->cause = cause;
        g->code = code;
        g->t_first = t_first;
    }
    g->count += count;
    g->t_last = t_last;
    r->pending.totals[cause - FR_GAP_DROPPED] += count;
    fr_ring_age_gap(r, t_last);
}

/* Publish a whole record (stamp first, padding zero) from private memory. The account is the caller's. */
FR_INLINE void fr_ring_put(fr_ring *r, const void *record)
{
    if (r->pending.gap.count)
        fr_ring_flush_gap(r);
    fr_lane_put(&r->view.records, &r->pen, record);
}

/* The last bytes of a payload, as a word that ends in zeros. */
static inline uint64_t fr_ring_rest(const unsigned char *payload, size_t size)
{
    uint64_t word = 0;
    size_t rest = size % 8;
    if (size >= 8) { /* no byte by byte: read back to a whole word */
        memcpy(&word, payload + size - 8, 8);
        return word >> (64 - 8 * rest);
    }
    while (rest)
        word = word << 8 | payload[--rest];
    return word;
}

/* Payloads of `size` bytes, each behind its stamp, into neighbouring slots. `pairs` is what moves the whole
 * words, known to the compiler: the last one may overlap the one before; 0: there is one word at most; more
 * than 8: a copy like any other. */
FR_INLINE void fr_ring_fill(uint64_t *slot, size_t slot_words, const int64_t *stamps, size_t step,
                            const unsigned char *payloads, size_t size, uint64_t count, const size_t pairs)
{
    const size_t end = size & ~(size_t)7;
    for (; count; count--, slot += slot_words, stamps += step, payloads += size) {
        unsigned char *to = (unsigned char *)(slot + 1);
        fr_store_relaxed(slot, (uint64_t)*stamps);
        if (pairs > 8) {
            fr_copy_in(slot + 1, payloads, end / 8);
        } else if (pairs) {
            fr_move_pairs(FR_IN, to, payloads, pairs - 1);
            fr_move_pair(FR_IN, to + end - 16, payloads + end - 16);
        } else if (end) {
            fr_move(FR_IN, to, payloads);
        }
        if (size > end)
            fr_store_relaxed(slot + 1 + end / 8, fr_ring_rest(payloads, size));
    }
}

/* Call a function whose last argument is such `pairs`: the size is decided once, before any loop. */
#define FR_BY_SIZE(size, function, ...)                                                                      \
    switch ((size) < 16 ? 0 : ((size) / 8 + 1) / 2) {                                                        \
    case 0: function(__VA_ARGS__, 0); break;                                                                 \
    case 1: function(__VA_ARGS__, 1); break;                                                                 \
    case 2: function(__VA_ARGS__, 2); break;                                                                 \
    case 3: function(__VA_ARGS__, 3); break;                                                                 \
    case 4: function(__VA_ARGS__, 4); break;                                                                 \
    case 5: function(__VA_ARGS__, 5); break;                                                                 \
    case 6: function(__VA_ARGS__, 6); break;                                                                 \
    case 7: function(__VA_ARGS__, 7); break;                                                                 \
    case 8: function(__VA_ARGS__, 8); break;                                                                 \
    default: function(__VA_ARGS__, 9); break;                                                                \
    }

/* Publish one payload of `size` bytes with its stamp. */
FR_INLINE void fr_ring_put_payload(fr_ring *r, int64_t stamp, const unsigned char *payload, size_t size)
{
    const fr_lane *lane = &r->view.records;
    if (r->pending.gap.count)
        fr_ring_flush_gap(r);
    FR_BY_SIZE(size, fr_ring_fill, fr_lane_slot(lane, &r->pen), lane->words, &stamp, 0, payload, size, 1);
    fr_lane_commit(lane, &r->pen, 1);
}

/* Publish payloads of `size` bytes, all of one stamp, or each of its own; up to FR_GUARD with one store of
 * head. */
FR_INLINE void fr_ring_put_sized(fr_ring *r, const int64_t *stamps, size_t step,
                                 const unsigned char *payloads, size_t size, uint64_t count,
                                 const size_t pairs)
{
    const fr_lane *lane = &r->view.records;
    uint64_t part;
    for (; count; count -= part, stamps += part * step, payloads += part * size) {
        part = count < FR_GUARD ? count : FR_GUARD;
        if (part > lane->nslots - r->pen.slot)
            part = lane->nslots - r->pen.slot;
        fr_ring_fill(fr_lane_slot(lane, &r->pen), lane->words, stamps, step, payloads, size, part, pairs);
        fr_lane_commit(lane, &r->pen, part);
    }
}

static inline void fr_ring_put_payloads(fr_ring *r, int64_t stamp, const int64_t *stamps,
                                        const unsigned char *payloads, size_t size, uint64_t count)
{
    if (r->pending.gap.count)
        fr_ring_flush_gap(r);
    FR_BY_SIZE(size, fr_ring_put_sized, r, stamps ? stamps : &stamp, stamps != NULL, payloads, size, count);
}

#endif
