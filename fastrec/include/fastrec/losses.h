/* losses.h: what was lost, on its way from the ring to the gaps of a segment. */
#ifndef FASTREC_LOSSES_H
#define FASTREC_LOSSES_H

#include "spooled.h"

static inline int fr_gap_has_numbers(const fr_gap *gap)
{
    return gap->cause == FR_GAP_OVERWRITTEN || gap->cause == FR_GAP_DISK;
}

/* Hold a loss until its commit. When too many are held, the writer's own are added up by cause: their places
 * and codes coarsen, their counts never do. */
static inline void fr_commit_gap(fr_spool_channel *c, fr_gap gap)
{
    fr_gap *sum;
    uint32_t i;
    if (!gap.count)
        return;
    if (c->gap_count < FR_GAPS_HELD) {
        c->gaps[c->gap_count++] = gap;
        return;
    }
    for (i = FR_GAPS_HELD; i < c->gap_count && c->gaps[i].cause != gap.cause; i++)
        ;
    sum = &c->gaps[i];
    if (i == c->gap_count) {
        *sum = gap;
        sum->code = 0;
        c->gap_count++;
    } else {
        sum->count += gap.count;
        sum->t_last = gap.t_last;
    }
}

/* At the same place those without numbers come first: the commit that ends there takes them, while it leaves
 * the others to the one that goes round them. */
static inline int fr_gap_after(const fr_gap *gap, const fr_gap *other)
{
    return gap->seq != other->seq ? gap->seq > other->seq
                                  : fr_gap_has_numbers(gap) > fr_gap_has_numbers(other);
}

/* Put losses in the order of their places; they nearly are. */
static inline void fr_gap_sort(fr_gap *gaps, uint64_t count)
{
    uint64_t i, at;
    for (i = 1; i < count; i++) {
        fr_gap gap = gaps[i];
        for (at = i; at && fr_gap_after(&gaps[at - 1], &gap); at--)
            gaps[at] = gaps[at - 1];
        gaps[at] = gap;
    }
}

/* Do the spooler's own losses end before the cursor, which went round numbers told before? */
static inline int fr_commit_apart(const fr_spool_channel *c)
{
    const fr_gap *last = c->own_count ? &c->own[c->own_count - 1] : NULL;
    return last && last->seq + last->count != c->cursor;
}

/* Records that the ring no longer had. Where the disk is to blame, `error` says why. An attempt that failed
 * may have entered its first part, up to the cursor; the cause changes once at most before a commit lands. */
static inline void fr_commit_lost(fr_spool_channel *c, uint64_t count, int64_t until, int error)
{
    uint64_t *counter = error ? &c->disk : &c->overwritten;
    fr_gap lost = {c->cursor, count, error ? FR_GAP_DISK : FR_GAP_OVERWRITTEN, error, c->last, until};
    fr_gap *last = c->own_count ? &c->own[c->own_count - 1] : NULL;
    if (last && (last->cause == lost.cause || c->own_count == FR_GAPS_OWN)) {
        last->count += count;
        last->code = lost.code;
        last->t_last = until;
    } else {
        c->own[c->own_count++] = lost;
    }
    fr_store_relaxed(counter, *counter + count);
    c->cursor += count;
}

/* A loss with numbers is not named any more: they are found missing once more, and counted then. */
static inline void fr_commit_unname(fr_spool_channel *c, const fr_gap *lost)
{
    uint64_t *counter = lost->cause == FR_GAP_DISK ? &c->disk : &c->overwritten;
    fr_store_relaxed(counter, *counter - lost->count);
}

/* Keep a loss of the commit that begins with number `from`, until more than that is durable. */
static inline void fr_told_add(fr_spool_channel *c, fr_gap gap, uint64_t from)
{
    fr_told *all = NULL, *last = NULL;
    uint32_t i;
    if (c->told_count < FR_TOLD_MOST || fr_gap_has_numbers(&gap)) /* a commit finds two at most */
        all = (fr_told *)fr_grown(c->told, c->told_count, &c->told_room, sizeof *all);
    if (all) {
        fr_told one = {gap, from};
        c->told = all;
        c->told[c->told_count++] = one;
        return;
    }
    for (i = c->told_count; i-- && !last;)
        if (c->told[i].gap.cause == gap.cause)
            last = &c->told[i];
    if (last && !fr_gap_has_numbers(&gap)) {
        last->gap.count += gap.count;
        last->gap.t_last = gap.t_last;
        last->gap.code = 0;
    }
}

/* Forget the losses that are durable, as all is below number `safe`. */
static inline void fr_told_forget(fr_spool_channel *c, uint64_t safe)
{
    uint32_t n = 0;
    while (n < c->told_count && c->told[n].from < safe)
        n++;
    c->told_count -= n;
    if (n)
        memmove(c->told, c->told + n, c->told_count * sizeof *c->told);
}

/* Take over the writer's losses. Where the lane lapped us, its totals still tell the counts: one entry a
 * cause, with a coarser place. */
static inline void fr_commit_read_gaps(fr_spool_channel *c)
{
    fr_gap_entry batch[64];
    fr_span span;
    uint64_t i;
    int cause;
    do {
        span = fr_lane_read(&c->ring.gaps, c->gap_cursor, batch, 64);
        c->gap_cursor = span.first + span.count;
        for (i = 0; i < span.count; i++) {
            const fr_gap_entry *e = &batch[span.skip + i];
            uint64_t own = 0;
            for (cause = 0; cause < 3; cause++) {
                uint64_t unseen = e->totals[cause] > c->seen[cause] ? e->totals[cause] - c->seen[cause] : 0;
                fr_gap lapped = {e->gap.seq, unseen,  (uint32_t)(FR_GAP_DROPPED + cause),
                                 0,          c->last, e->gap.t_first};
                if (e->gap.cause == lapped.cause) {
                    own = unseen < e->gap.count ? unseen : e->gap.count; /* less: told before us in part */
                    lapped.count -= own;
                }
                fr_commit_gap(c, lapped);
                c->seen[cause] += unseen;
            }
            if (own) {
                fr_gap gap = e->gap;
                gap.count = own;
                fr_commit_gap(c, gap);
            }
        }
    } while (span.count);
}

/* Losses that a writer which died had counted and not yet published: their place is the end. */
static inline void fr_commit_unpublished(fr_spool_channel *c)
{
    fr_account a = fr_ring_account(c->ring.header);
    const uint64_t totals[3] = {a.dropped, a.missed, a.failed};
    int cause;
    for (cause = 0; cause < 3; cause++) {
        fr_gap gap = {fr_load_acquire(&c->ring.header->head),
                      totals[cause] > c->seen[cause] ? totals[cause] - c->seen[cause] : 0,
                      (uint32_t)(FR_GAP_DROPPED + cause),
                      0,
                      c->last,
                      (int64_t)a.last > c->last ? (int64_t)a.last : c->last};
        fr_commit_gap(c, gap);
        c->seen[cause] += gap.count;
    }
}

/* Does it lie before record `seq`? Of numbers, all of them: the cursor has yet to go round the others. */
static inline int fr_commit_before(const fr_gap *gap, uint64_t seq)
{
    return gap->seq + (fr_gap_has_numbers(gap) ? gap->count : 0) <= seq;
}

/* The spooler's own losses, then the writer's up to the place before record `seq`, as sealed rows; how many
 * of the writer's. */
static inline uint32_t fr_commit_seal_gaps(const fr_spool_channel *c, uint64_t seq, fr_gap_row *rows)
{
    uint32_t n, taken = 0;
    for (n = 0; n < c->own_count || (taken < c->gap_count && fr_commit_before(&c->gaps[taken], seq)); n++) {
        memset(&rows[n], 0, sizeof rows[n]);
        rows[n].gap = n < c->own_count ? c->own[n] : c->gaps[taken++];
        rows[n].crc = fr_crc32c(fr_seed(c->seed_base, c->segment.number, c->segment.rows[FR_GAPS] + n),
                                &rows[n], offsetof(fr_gap_row, crc));
    }
    return taken;
}

#endif
