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
} fr_hold;

/* A word of the payload, which may be unaligned. */
static inline uint64_t fr_hold_word(const unsigned char *from)
{
    uint64_t w;
    memcpy(&w, from, sizeof w);
    return w;
}

/* Is this the state that is open? NaN and padding are bytes like any other; padding is not in the mask. */
static inline int fr_hold_same(const fr_hold *h, const unsigned char *payload)
{
    const uint64_t *mine = (const uint64_t *)(h->record + 1), *mask = h->mask;
    size_t words = h->open ? h->words : 0;
    for (; words >= 4; words -= 4, mine += 4, payload += 32) {
        uint64_t a = mine[0] ^ fr_hold_word(payload), b = mine[1] ^ fr_hold_word(payload + 8);
        uint64_t c = mine[2] ^ fr_hold_word(payload + 16), d = mine[3] ^ fr_hold_word(payload + 24);
        if (mask) {
            a &= mask[0], b &= mask[1], c &= mask[2], d &= mask[3];
            mask += 4;
        }
        if (a | b | c | d)
            return 0;
    }
    for (; words; words--, mine++, payload += 8)
        if ((*mine ^ fr_hold_word(payload)) & (mask ? *mask++ : UINT64_MAX))
            return 0;
    return h->open;
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

/* The poll at `stamp` showed the open state once more; true when only that it is held has changed. */
static inline int fr_hold_lengthen(fr_hold *h, fr_ring *r, int64_t stamp)
{
    fr_hold_columns *c = h->record;
    if (!c->polls) {
        fr_ring_flush_gap(r); /* it lies before these polls, and must not wait with them */
        c->mono_ns = stamp;
        c->max_gap_ns = 0;
    } else if (stamp - c->until_ns > c->max_gap_ns) {
        c->max_gap_ns = stamp - c->until_ns;
    }
    c->until_ns = stamp;
    c->polls++;
    r->account.held++;
    if (__builtin_expect(stamp - h->told < h->heartbeat, 1))
        return 1;
    fr_hold_put(h, r);
    return 0;
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
