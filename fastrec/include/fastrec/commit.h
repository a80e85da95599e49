/* commit.h: one channel from its ring into its segment, a commit at a time.
 *
 * A commit writes strings, gaps, rows, index rows, the row count, then zones, each with one write. Every
 * write begins where the committed part of its file ends, so a commit that failed is simply made again. */
#ifndef FASTREC_COMMIT_H
#define FASTREC_COMMIT_H

#include "segment.h"
#include "text.h"
#include "zone.h"

#define FR_GAPS_HELD 16384 /* the writer's losses that wait for a commit; more are added up by cause */
#define FR_GAPS_OWN 2      /* the spooler's own that do: overwritten, then disk */
#define FR_GAPS_MOST (FR_GAPS_HELD + 3 + FR_GAPS_OWN)
#define FR_COMMIT_WAIT INT_MIN /* too many segments wait to be made durable: no error, but not now */
#define FR_RETIRED 64          /* full segments that may wait to be made durable */

/* Bytes that grow: lines of text on their way to the disk. */
typedef struct fr_bytes {
    char *data;
    size_t size, room;
} fr_bytes;

static inline int fr_bytes_add(fr_bytes *b, const void *data, size_t size)
{
    if (b->size + size > b->room) {
        size_t room = (b->size + size) * 2;
        char *bigger = (char *)realloc(b->data, room);
        if (!bigger)
            return -ENOMEM;
        b->data = bigger;
        b->room = room;
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
    return 0;
}

typedef struct fr_spool_channel {
    /* Given by the maker. */
    int dir; /* of the channel */
    fr_ring_view ring;
    uint32_t seed_base;    /* of uuid and name */
    uint64_t segment_rows; /* a multiple of FR_BLOCK_ROWS */
    uint64_t stage_rows;   /* most records of one commit */
    fr_file_kind kinds[FR_FILES];
    char name[72];
    uint32_t weight_at;    /* of `polls` in the record; 0: no holds */
    uint32_t stamp_end_at; /* of the stamp that ends a record: mono_ns, or until_ns */
    uint32_t text_count;
    fr_text_field text_fields[FR_TEXT_FIELDS]; /* offsets in the record */
    fr_zone zone;
    /* The spooler's. */
    unsigned char *stage; /* stage_rows records */
    fr_index_row *blocks;
    unsigned char *zone_rows; /* full zones of one commit */
    fr_segment segment;
    fr_segment retired[FR_RETIRED]; /* wait for the syncing thread to make them durable and close them */
    uint32_t retired_count;         /* under the lock */
    uint64_t synced_index;          /* index rows of the open segment at the last flush; the syncing side's */
    int unsynced_names;             /* files were created since the folder was synced; under the lock */
    uint32_t next_segment;
    int open;
    int attempted;                 /* to open next_segment failed before: what is there of it is ours */
    int zones_broken;              /* a zone row failed: this segment has no further ones */
    uint64_t cursor;               /* number of the next record to be written */
    uint64_t gap_cursor;           /* entry of the gap lane to be read next */
    uint64_t seen[3];              /* losses read from the lane: dropped, missed, failed */
    fr_gap gaps[FR_GAPS_HELD + 3]; /* behind those held, one each for dropped, missed and failed */
    uint32_t gap_count;
    fr_gap own[FR_GAPS_OWN]; /* they adjoin, and end at the cursor */
    uint32_t own_count;
    int64_t last;      /* latest stamp written */
    uint64_t arena_at; /* arena bytes known to text_ids */
    uint32_t text_known;
    uint32_t *text_ids; /* arena id -> id in the segment; 0: not yet */
    uint32_t segment_texts;
    uint64_t *text_offsets; /* arena id -> offset of its entry */
    fr_bytes lines;         /* strings not yet written */
    uint64_t begun;         /* bytes of the records file that are on their way to the disk */
    int count_due;          /* committed rows that the records' header does not count yet */
    int64_t due;            /* when it is to be drained next, however empty its ring is */
    int64_t retry;          /* not before this time, after an error */
    /* Read by other threads. */
    uint64_t written;
    uint64_t durable;
    uint64_t overwritten;
    uint64_t disk;
    uint64_t error;      /* errno of the last commit, when it failed; 0: it did not */
    uint64_t sync_error; /* errno of a flush that failed: `durable` stays where it was */
    uint64_t segments;
} fr_spool_channel;

/* ---- losses ---- */

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

/* Records that the ring no longer had. While the disk fails, the loss is the disk's. An attempt that failed
 * may have entered its first part; the cause changes once at most before a commit lands. */
static inline void fr_commit_lost(fr_spool_channel *c, uint64_t count, int64_t until)
{
    uint64_t *counter = c->error ? &c->disk : &c->overwritten;
    fr_gap lost = {c->cursor,         count,   c->error ? FR_GAP_DISK : FR_GAP_OVERWRITTEN,
                   (int32_t)c->error, c->last, until};
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
            for (cause = 0; cause < 3; cause++) {
                int own = e->gap.cause == (uint32_t)(FR_GAP_DROPPED + cause);
                uint64_t unseen = e->totals[cause] - c->seen[cause] - (own ? e->gap.count : 0);
                fr_gap lapped = {e->gap.seq, unseen,  (uint32_t)(FR_GAP_DROPPED + cause),
                                 0,          c->last, e->gap.t_first};
                fr_commit_gap(c, lapped);
                c->seen[cause] = e->totals[cause];
            }
            fr_commit_gap(c, e->gap);
        }
    } while (span.count);
}

/* The spooler's own losses, then the writer's up to the place before record `seq`, as sealed rows; how many
 * of the writer's. */
static inline uint32_t fr_commit_seal_gaps(const fr_spool_channel *c, uint64_t seq, fr_gap_row *rows)
{
    uint32_t n, taken = 0;
    for (n = 0; n < c->own_count || (taken < c->gap_count && c->gaps[taken].seq <= seq); n++) {
        memset(&rows[n], 0, sizeof rows[n]);
        rows[n].gap = n < c->own_count ? c->own[n] : c->gaps[taken++];
        rows[n].crc = fr_crc32c(fr_seed(c->seed_base, c->segment.number, c->segment.rows[FR_GAPS] + n),
                                &rows[n], offsetof(fr_gap_row, crc));
    }
    return taken;
}

/* ---- text ---- */

/* One JSON line of the strings file. Bytes that are no UTF-8 become surrogate escapes, as Python's do. */
static inline int fr_commit_line(fr_spool_channel *c, const unsigned char *text, uint32_t length)
{
    fr_bytes *out = &c->lines;
    size_t begin = out->size;
    char part[64];
    uint32_t i = 0, id = ++c->segment_texts, crc;
    int error = fr_bytes_add(out, part, (size_t)snprintf(part, sizeof part, "{\"id\":%u,\"text\":\"", id));
    while (i < length && !error) {
        uint32_t b = text[i], need, point, j;
        int n;
        if (b < 0x80) {
            n = b < 0x20 || b == '"' || b == '\\' || b == 0x7F ? snprintf(part, sizeof part, "\\u%04x", b)
                                                               : snprintf(part, sizeof part, "%c", (int)b);
            i++;
        } else {
            need = b >= 0xF0 ? 3 : b >= 0xE0 ? 2 : 1;
            point = b & (0x3Fu >> need);
            for (j = 1; j <= need && i + j < length && (text[i + j] & 0xC0) == 0x80; j++)
                point = point << 6 | (text[i + j] & 0x3F);
            if (b < 0xC2 || b > 0xF4 || j <= need || point > 0x10FFFF || point >> 11 == 0x1B
                || point < (need == 3   ? 0x10000u
                            : need == 2 ? 0x800u
                                        : 0x80u)) {
                n = snprintf(part, sizeof part, "\\udc%02x", b);
                i++;
            } else {
                n = point < 0x10000 ? snprintf(part, sizeof part, "\\u%04x", point)
                                    : snprintf(part, sizeof part, "\\u%04x\\u%04x", 0xD7C0 + (point >> 10),
                                               0xDC00 + (point & 0x3FF));
                i += need + 1;
            }
        }
        error = fr_bytes_add(out, part, (size_t)n);
    }
    if (!error)
        error = fr_bytes_add(out, "\"", 1);
    if (!error) {
        crc =
            fr_crc32c(fr_seed(c->seed_base, c->segment.number, id - 1), out->data + begin, out->size - begin);
        error = fr_bytes_add(out, part, (size_t)snprintf(part, sizeof part, ",\"crc\":\"%08x\"}\n", crc));
    }
    if (error) {
        out->size = begin;
        c->segment_texts--;
    }
    return error;
}

/* Turn the arena ids of staged records into ids of the segment. */
static inline int fr_commit_texts(fr_spool_channel *c, unsigned char *record)
{
    uint64_t used = fr_load_acquire(&c->ring.header->arena_used), offset = c->arena_at;
    uint32_t length = 0, i;
    while (c->text_known < FR_TEXT_IDS && fr_text_next(&c->ring, used, &offset, &length)) {
        c->text_offsets[++c->text_known] = c->arena_at;
        c->arena_at = offset;
    }
    for (i = 0; i < c->text_count; i++) {
        unsigned char *at = record + c->text_fields[i].offset;
        uint64_t id = 0;
        memcpy(&id, at, c->text_fields[i].width);
        if (!id || id > c->text_known) /* NULL, or all ones */
            continue;
        if (!c->text_ids[id]) {
            const unsigned char *text;
            int error;
            offset = c->text_offsets[id];
            text = fr_text_next(&c->ring, used, &offset, &length);
            error = fr_commit_line(c, text, length);
            if (error)
                return error;
            c->text_ids[id] = c->segment_texts;
        }
        id = c->text_ids[id];
        memcpy(at, &id, c->text_fields[i].width);
    }
    return 0;
}

/* ---- segments ---- */

static inline uint32_t fr_commit_retired(fr_spool_channel *c, pthread_mutex_t *lock)
{
    uint32_t count;
    pthread_mutex_lock(lock);
    count = c->retired_count;
    pthread_mutex_unlock(lock);
    return count;
}

/* The next segment; the one before waits to be made durable and closed. */
static inline int fr_commit_rotate(const fr_io *io, fr_spool_channel *c, pthread_mutex_t *lock)
{
    fr_segment next;
    int error;
    if (c->open && fr_commit_retired(c, lock) == FR_RETIRED)
        return FR_COMMIT_WAIT;
    error = fr_segment_open(io, c->dir, &next, c->next_segment, c->kinds, c->attempted);
    c->attempted = error != 0;
    if (error)
        return error;
    if (c->open)
        fr_segment_raise(io, &c->segment);
    pthread_mutex_lock(lock);
    if (c->open)
        c->retired[c->retired_count++] = c->segment;
    c->segment = next;
    c->open = 1;
    c->unsynced_names = 1;
    pthread_mutex_unlock(lock);
    c->next_segment++;
    fr_store_relaxed(&c->segments, c->segments + 1);
    c->zones_broken = 0;
    c->begun = 0;
    c->segment_texts = 0;
    c->lines.size = 0;
    if (c->text_ids)
        memset(c->text_ids, 0, (FR_TEXT_IDS + 1) * sizeof *c->text_ids);
    fr_zone_clear(&c->zone);
    return 0;
}

/* ---- the commit ---- */

/* Cut staged records into blocks; their count. Block rows are sealed but for what the whole commit adds. */
static inline uint32_t fr_commit_cut(fr_spool_channel *c, const unsigned char *records, uint64_t first,
                                     uint64_t count)
{
    const size_t size = c->ring.header->record_size;
    uint64_t row = c->segment.rows[FR_RECORDS], done, n, i;
    uint32_t blocks = 0;
    for (done = 0; done < count; done += n, blocks++) {
        fr_index_row *b = &c->blocks[blocks];
        const unsigned char *p = records + done * size;
        int64_t before = INT64_MIN;
        n = FR_BLOCK_ROWS - (row + done) % FR_BLOCK_ROWS;
        n = n < count - done ? n : count - done;
        memset(b, 0, sizeof *b);
        b->first_seq = first + done;
        b->t_min = INT64_MAX;
        b->t_max = INT64_MIN;
        b->rows = (uint32_t)n;
        b->crc_rows = fr_crc32c(fr_seed(c->seed_base, c->segment.number, row + done), p, n * size);
        for (i = 0; i < n; i++, p += size) {
            int64_t t, end;
            memcpy(&t, p, 8);
            memcpy(&end, p + c->stamp_end_at, 8);
            b->t_min = t < b->t_min ? t : b->t_min;
            b->t_max = end > b->t_max ? end : b->t_max;
            if (t < before)
                b->flags |= FR_INDEX_DECREASING;
            before = t;
        }
    }
    return blocks;
}

/* Zones take in the records that were committed; they are derived, so their errors only end them. */
static inline void fr_commit_zones(const fr_io *io, fr_spool_channel *c, const unsigned char *records,
                                   uint64_t row, uint64_t count, pthread_mutex_t *lock)
{
    const size_t size = c->ring.header->record_size, zone_size = c->kinds[FR_ZONES].row_size;
    uint64_t done, n, full = 0;
    int error = 0;
    if (c->zones_broken)
        return;
    for (done = 0; done < count; done += n) {
        n = FR_BLOCK_ROWS - (row + done) % FR_BLOCK_ROWS;
        n = n < count - done ? n : count - done;
        fr_zone_add(&c->zone, records + done * size, n, size, c->weight_at);
        if ((row + done + n) % FR_BLOCK_ROWS == 0) {
            fr_zone_seal(&c->zone,
                         fr_seed(c->seed_base, c->segment.number, c->segment.rows[FR_ZONES] + full));
            memcpy(c->zone_rows + full++ * zone_size, c->zone.row, zone_size);
            fr_zone_clear(&c->zone);
        }
    }
    full = fr_segment_append(io, &c->segment, FR_ZONES, c->kinds, c->zone_rows, full, &error);
    pthread_mutex_lock(lock);
    c->segment.rows[FR_ZONES] += full;
    pthread_mutex_unlock(lock);
    c->zones_broken = error != 0;
}

/* Show the committed rows to numpy.load, and raise the marks. */
static inline int fr_commit_count(const fr_io *io, fr_spool_channel *c)
{
    int error = fr_npy_count(io, c->segment.fd[FR_RECORDS], c->segment.rows[FR_RECORDS]);
    c->count_due = error != 0;
    if (!error) {
        fr_store_release(&c->written, c->cursor);
        fr_store_release(&c->ring.header->tail, c->cursor);
    }
    return error;
}

/* What one commit is made of. */
typedef struct fr_batch {
    const unsigned char *records;
    uint64_t count;
    uint32_t blocks;
    uint32_t gaps;  /* rows */
    uint32_t taken; /* of them, the writer's */
    uint64_t text_bytes;
} fr_batch;

/* Records into the stage, what was lost into the gaps. */
static inline int fr_commit_stage(fr_spool_channel *c, fr_batch *batch, uint64_t head, int64_t now)
{
    const size_t size = c->ring.header->record_size;
    uint64_t room = c->segment_rows - c->segment.rows[FR_RECORDS], i;
    unsigned char *records;
    fr_span span;
    int error = 0;
    room = room < c->stage_rows ? room : c->stage_rows;
    span = fr_lane_read(&c->ring.records, c->cursor, c->stage,
                        head - c->cursor < room ? head - c->cursor : room);
    records = c->stage + span.skip * size;
    if (span.lost) {
        if (span.count)
            memcpy(&now, records, 8); /* the loss ends where the records begin again */
        fr_commit_lost(c, span.lost, now);
    }
    for (i = 0; i < span.count && c->text_count && !error; i++)
        error = fr_commit_texts(c, records + i * size);
    batch->records = records;
    batch->count = span.count;
    batch->text_bytes = c->lines.size;
    return error;
}

/* Index rows and gap rows, sealed. */
static inline void fr_commit_seal(fr_spool_channel *c, fr_batch *batch, fr_gap_row *gap_rows)
{
    uint32_t i;
    batch->blocks = fr_commit_cut(c, batch->records, c->cursor, batch->count);
    batch->taken = fr_commit_seal_gaps(c, c->cursor + batch->count, gap_rows);
    batch->gaps = batch->taken + c->own_count;
    if (!batch->blocks && batch->gaps) { /* losses alone */
        memset(c->blocks, 0, sizeof *c->blocks);
        c->blocks->first_seq = c->cursor;
        c->blocks->t_min = c->blocks->t_max = c->last;
        batch->blocks = 1;
    }
    for (i = 0; i < batch->blocks; i++) {
        fr_index_row *b = &c->blocks[i];
        b->durable_seq = fr_load_relaxed(&c->durable);
        b->gap_rows = c->segment.rows[FR_GAPS] + batch->gaps;
        b->string_bytes = c->segment.rows[FR_STRINGS] + batch->text_bytes;
        b->crc = fr_crc32c(fr_seed(c->seed_base, c->segment.number, c->segment.rows[FR_INDEX] + i), b,
                           offsetof(fr_index_row, crc));
    }
}

/* `landed` index rows are on the disk, and so is all they name: they are committed. */
static inline void fr_commit_land(fr_spool_channel *c, fr_batch *batch, uint64_t landed,
                                  pthread_mutex_t *lock)
{
    uint64_t i;
    for (i = 0, batch->count = 0; i < landed; i++)
        batch->count += c->blocks[i].rows;
    if (batch->count)
        c->last = c->blocks[landed - 1].t_max;
    c->gap_count -= batch->taken;
    memmove(c->gaps, c->gaps + batch->taken, c->gap_count * sizeof *c->gaps);
    c->own_count = 0;
    c->lines.size = 0;
    c->cursor += batch->count;
    c->count_due = 1;
    pthread_mutex_lock(lock);
    c->segment.rows[FR_STRINGS] += batch->text_bytes;
    c->segment.rows[FR_GAPS] += batch->gaps;
    c->segment.rows[FR_RECORDS] += batch->count;
    c->segment.rows[FR_INDEX] += landed;
    pthread_mutex_unlock(lock);
}

/* Has the segment its records, or has one of its side files as many rows as its header can count? */
static inline int fr_commit_full(const fr_spool_channel *c)
{
    return c->segment.rows[FR_RECORDS] >= c->segment_rows
           || c->segment.rows[FR_INDEX] > FR_MAX_SEGMENT_ROWS - c->stage_rows
           || c->segment.rows[FR_GAPS] > FR_MAX_SEGMENT_ROWS - FR_GAPS_MOST;
}

/* Commit what is new up to record `head`, as much as fits one stage. Returns 1 (there may be more), 0
 * (nothing was new), FR_COMMIT_WAIT or -errno: then the same call is to be made again later. */
static inline int fr_commit(const fr_io *io, fr_spool_channel *c, uint64_t head, pthread_mutex_t *lock,
                            fr_gap_row *gap_rows, int64_t now)
{
    fr_batch batch;
    uint64_t row, landed;
    int error = c->count_due ? fr_commit_count(io, c) : 0;
    fr_commit_read_gaps(c);
    if (!error && c->cursor >= head && !c->own_count && !(c->gap_count && c->gaps[0].seq <= c->cursor))
        return 0;
    if (!error && (!c->open || fr_commit_full(c)))
        error = fr_commit_rotate(io, c, lock);
    if (!error)
        error = fr_commit_stage(c, &batch, head, now);
    if (error)
        return error;
    fr_commit_seal(c, &batch, gap_rows);
    fr_segment_append(io, &c->segment, FR_STRINGS, c->kinds, c->lines.data, batch.text_bytes, &error);
    if (!error)
        fr_segment_append(io, &c->segment, FR_GAPS, c->kinds, gap_rows, batch.gaps, &error);
    if (!error)
        fr_segment_append(io, &c->segment, FR_RECORDS, c->kinds, batch.records, batch.count, &error);
    if (error)
        return error;
    row = c->segment.rows[FR_RECORDS];
    landed = fr_segment_append(io, &c->segment, FR_INDEX, c->kinds, c->blocks, batch.blocks, &error);
    if (landed) {
        int count_error;
        fr_commit_land(c, &batch, landed, lock);
        count_error = fr_commit_count(io, c);
        fr_commit_zones(io, c, batch.records, row, batch.count, lock);
        error = error ? error : count_error;
    }
    return error ? error : 1;
}

#endif
