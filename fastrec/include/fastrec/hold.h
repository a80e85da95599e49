/* hold.h: what many equal polls become with store="changes".
 *
 * A poll that shows another state than the one before it opens a state: its record is published at once, and
 * tells 1 poll. The equal ones after it wait, and become one more record when the state ends, before a gap
 * entry, or a heartbeat after the newest poll that was told: first and last stamp, how many, and the largest
 * distance between two neighbours of its own. An opening poll counts as recorded, an equal one as held, from
 * the moment it was made; a record that finds no room makes all its polls dropped, and the next poll opens
 * the state again, for nobody could read what it would lengthen. A gap alone ends no state. */
#ifndef FASTREC_HOLD_H
#define FASTREC_HOLD_H

#include "ring.h"

/* The recorder's columns in a record of holds; the payload follows. */
typedef struct fr_hold_columns {
    int64_t mono_ns;    /* first poll */
    int64_t until_ns;   /* last poll */
    uint64_t polls;     /* in the private copy: how many wait to be published */
    int64_t max_gap_ns; /* largest distance from one poll to the next; 0 of a single one */
} fr_hold_columns;

typedef struct fr_hold {
    fr_hold_columns *record; /* columns and payload of the state; private */
    const uint64_t *mask;    /* of the payload, the bits that make a state; NULL: all do */
    size_t words;            /* of the payload */
    uint32_t texts;          /* so many text members, the first, make a state too */
    int open;                /* the state's opening was published: equal polls may wait */
    int64_t heartbeat;       /* ns */
    int64_t told;            /* stamp of the newest poll that a published record tells */
    int64_t due;             /* while polls wait, the stamp at which they are put down; else 0 */
} fr_hold;

typedef uint64_t fr_hold_pair __attribute__((vector_size(16), aligned(1), may_alias));

/* What differs in 16 bytes at `at`, where it counts. */
FR_INLINE fr_hold_pair fr_hold_differs(const unsigned char *one, const unsigned char *other,
                                       const unsigned char *mask, size_t at)
{
    fr_hold_pair pair = *(const fr_hold_pair *)(one + at) ^ *(const fr_hold_pair *)(other + at);
    if (mask)
        pair &= *(const fr_hold_pair *)(mask + at);
    return pair;
}

FR_INLINE int fr_hold_compare(const unsigned char *one, const unsigned char *other, const unsigned char *mask,
                              size_t words)
{
    fr_hold_pair pair = {0, 0};
    uint64_t ours, theirs, bits = UINT64_MAX;
    size_t at = 0, fours = words / 4;
    if (words & 2)
        pair = fr_hold_differs(one, other, mask, words * 8 - 16 - words % 2 * 8);
    for (; fours; fours--, at += 32)
        pair |= fr_hold_differs(one, other, mask, at) | fr_hold_differs(one, other, mask, at + 16);
    if (words & 1) {
        at = words * 8 - 8;
        memcpy(&ours, one + at, 8);
        memcpy(&theirs, other + at, 8);
        if (mask)
            memcpy(&bits, mask + at, 8);
        pair[0] |= (ours ^ theirs) & bits;
    }
    return !(pair[0] | pair[1]);
}

/* Do two payloads show one state? NaN is bytes like any other; padding is not in the mask. All words are
 * looked at before anything is decided: what lasts costs least. */
FR_INLINE int fr_hold_equal(const fr_hold *h, const unsigned char *payload)
{
    const unsigned char *mine = (const unsigned char *)(h->record + 1);
    return h->mask ? fr_hold_compare(mine, payload, (const unsigned char *)h->mask, h->words)
                   : fr_hold_compare(mine, payload, NULL, h->words);
}

/* Is this the state that is open? */
static inline int fr_hold_same(const fr_hold *h, const unsigned char *payload)
{
    return h->open && fr_hold_equal(h, payload);
}

/* A record begins with this poll: its payload stands for all of them, ignored fields included. */
static inline void fr_hold_keep(fr_hold *h, const unsigned char *payload)
{
    memcpy(h->record + 1, payload, h->words * 8);
}

/* Publish what waits. */
static inline void fr_hold_put(fr_hold *h, fr_ring *r)
{
    fr_hold_columns *told = h->record;
    if (!told->polls)
        return;
    if (fr_ring_room(r, 1)) {
        fr_ring_put(r, told);
        h->told = told->until_ns;
    } else {
        r->account.held -= told->polls;
        r->account.dropped += told->polls;
        fr_ring_lose(r, FR_GAP_DROPPED, 0, told->polls, told->mono_ns, told->until_ns);
        h->open = 0;
    }
    told->polls = 0;
    h->due = 0;
}

/* The poll at `stamp` opens the state that was kept; nothing waits. */
static inline void fr_hold_open(fr_hold *h, fr_ring *r, int64_t stamp)
{
    const fr_hold_columns single = {stamp, stamp, 1, 0};
    *h->record = single;
    h->open = fr_ring_room(r, 1) != 0;
    if (h->open) {
        fr_ring_put(r, h->record);
        r->account.recorded++;
        h->told = stamp;
    } else {
        r->account.dropped++;
        fr_ring_lose(r, FR_GAP_DROPPED, 0, 1, stamp, stamp);
    }
    h->record->polls = 0;
}

/* Does the poll at `stamp` nothing but lengthen what waits already? Polls wait for an open state only. */
FR_INLINE int fr_hold_lasts(const fr_hold *h, const unsigned char *payload, int64_t stamp)
{
    return stamp < h->due && fr_hold_equal(h, payload);
}

/* One more poll waits. */
FR_INLINE void fr_hold_count(fr_hold *h, fr_ring *r, int64_t stamp)
{
    fr_hold_columns *c = h->record;
    if (stamp - c->until_ns > c->max_gap_ns)
        c->max_gap_ns = stamp - c->until_ns;
    c->until_ns = stamp;
    c->polls++;
    r->account.held++;
}

/* The poll at `stamp` showed the open state once more. */
static inline void fr_hold_lengthen(fr_hold *h, fr_ring *r, int64_t stamp)
{
    fr_hold_columns *c = h->record;
    if (!c->polls) {
        fr_ring_flush_gap(r); /* it lies before these polls, and must not wait with them */
        c->mono_ns = c->until_ns = stamp;
        c->max_gap_ns = 0;
        h->due = h->told + h->heartbeat;
    }
    fr_hold_count(h, r, stamp);
    if (stamp >= h->due)
        fr_hold_put(h, r);
}

/* "Nothing new" at `stamp`: the last payload once more. */
static inline void fr_hold_again(fr_hold *h, fr_ring *r, int64_t stamp)
{
    if (h->open)
        fr_hold_lengthen(h, r, stamp);
    else
        fr_hold_open(h, r, stamp);
}

#endif
