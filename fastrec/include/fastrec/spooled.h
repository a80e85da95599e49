/* spooled.h: what the spooler knows of one channel. */
#ifndef FASTREC_SPOOLED_H
#define FASTREC_SPOOLED_H

#include "segment.h"
#include "text.h"
#include "zone.h"

#define FR_GAPS_HELD 16384 /* the writer's losses that wait for a commit; more are added up by cause */
#define FR_GAPS_OWN 2      /* the spooler's own that do: overwritten, then disk */
#define FR_GAPS_MOST (FR_GAPS_HELD + 3 + FR_GAPS_OWN)
#define FR_COMMIT_WAIT INT_MIN /* no error, but not now: others have to do something first */
/* Losses kept until they are durable; more are added up by cause, of those with numbers twice as many. */
#define FR_TOLD_MOST FR_GAPS_HELD
/* Full segments that may wait to be made durable or to be written again, of all channels: each keeps 5 files
 * open. With 64 channels, of 12 each (folder, ring, the open segment and the next one), they are 928 in all:
 * below the 1,024 that a process has by default. While as many wait, so does a rotation, and when that takes
 * longer than a ring may hold out, the open segments grow on instead. */
#define FR_RETIRED 32
#define FR_GIVEN_UP (FR_RETIRED + 2) /* segments that may wait to be written again */

/* Lines of text on their way to the disk: bytes that grow. */
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

/* A segment that is kept until retention removes it. */
typedef struct fr_kept {
    uint64_t bytes;
    int64_t last; /* its latest stamp */
    uint32_t number;
} fr_kept;

/* A loss that was committed and may not be durable. */
typedef struct fr_told {
    fr_gap gap;
    uint64_t from; /* first number of its commit: told again when the cursor goes back to it */
} fr_told;

/* A segment given up, and how far its index has been looked through. */
typedef struct fr_given_up {
    fr_segment segment;
    uint64_t index_at; /* row of the index */
    uint64_t row_at;   /* at which its block begins */
    int removed;       /* somebody removed a file of it: all of it is written again */
} fr_given_up;

typedef struct fr_spool_channel {
    /* Given by the maker. */
    int dir; /* of the channel */
    fr_ring_view ring;
    uint32_t seed_base;    /* of uuid and name */
    uint64_t segment_rows; /* a multiple of FR_BLOCK_ROWS */
    int64_t segment_ns;    /* how long one is written to; 0: no limit */
    int never;             /* nothing is ever made durable */
    uint64_t stage_rows;   /* most records of one commit */
    fr_file_kind kinds[FR_FILES];
    char name[72];
    uint32_t weight_at;    /* of `polls` in the record; 0: no holds */
    uint32_t stamp_end_at; /* of the stamp that ends a record: mono_ns, or until_ns */
    uint32_t text_count;
    fr_text_field text_fields[FR_TEXT_FIELDS]; /* offsets in the record */
    fr_zone zone;
    /* The spooling thread's. */
    unsigned char *stage; /* stage_rows records */
    fr_index_row *blocks;
    unsigned char *zone_rows; /* full zones of one commit */
    uint32_t next_segment;
    int attempted;                 /* to open next_segment failed before: what is there of it is ours */
    int zones_broken;              /* a zone row failed: this segment has no further ones */
    uint64_t cursor;               /* number of the next record to be written */
    uint64_t gap_cursor;           /* entry of the gap lane to be read next */
    uint64_t seen[3];              /* losses read from the lane: dropped, missed, failed */
    fr_gap gaps[FR_GAPS_HELD + 3]; /* behind those held, one each for dropped, missed and failed */
    uint32_t gap_count;
    fr_gap own[FR_GAPS_OWN]; /* they adjoin, and end at the cursor */
    uint32_t own_count;
    fr_told *told; /* in the order of their commits */
    uint32_t told_count, told_room;
    int64_t last;      /* latest stamp written */
    uint64_t arena_at; /* arena bytes known to text_ids */
    uint32_t text_known;
    uint32_t *text_ids;     /* arena id -> id in the segment; 0: not yet */
    uint64_t *text_offsets; /* arena id -> offset of its entry */
    fr_bytes lines;         /* strings not yet written */
    int crowded;            /* FR_ROOMY, ... */
    int anchor_due;         /* the open segment is to tell the next number, were it all that is left */
    int count_due;          /* committed rows that the records' header does not count yet */
    int64_t due;            /* when it is to be drained next, however empty its ring is */
    int64_t retry;          /* not before this time, after an error */
    fr_given_up given_up[FR_GIVEN_UP];
    uint32_t given_up_count;
    uint64_t again_until; /* records below this number may have to be read from what was given up */
    int again_error;      /* why it was */
    int again_due;        /* the next segment begins after some were given up, and has to say so */
    int64_t give_up_at;   /* not before this time */
    int64_t patience;     /* then not before that much later, unless something became durable */
    uint64_t safe;        /* the mark when `patience` was set */
    /* The syncing side's. */
    uint32_t synced_segment; /* the open one at the last flush */
    uint64_t synced_index;   /* its index rows then */
    /* Under the lock. */
    int behind; /* why a side file of a segment closed or given up counts too few rows; 0: none does */
    fr_segment segment; /* the open one */
    int open;
    fr_segment retired[FR_RETIRED]; /* wait for the syncing side to make them durable and close them */
    uint32_t retired_count;
    fr_segment ahead;   /* the next one, opened before it is needed */
    int ahead_state;    /* FR_AHEAD_... */
    int unsynced_names; /* files were created since the folder was synced */
    uint64_t begun;     /* bytes of the open records file whose way to the disk has begun */
    int syncing;        /* its files are in use by a flush */
    int64_t safe_last;  /* latest stamp of what is durable */
    fr_kept *kept;      /* oldest first */
    uint32_t kept_count, kept_room;
    struct fr_spool_channel *heir; /* of one at rest: the channel that goes on with it */
    uint64_t doubtful;             /* 1 + number of the oldest segment given up; 0: none is */
    /* Read by other threads. */
    uint64_t broken; /* errno that left a file in a state that nobody knows; 0: none. Set under the lock */
    uint64_t rotate; /* 1: its segment is to end, so that retention can remove it */
    uint64_t placed; /* every record below is in a segment that is not given up, or in a gap */
    uint64_t written;
    uint64_t durable;
    uint64_t overwritten;
    uint64_t disk;
    uint64_t error;      /* errno of the last commit, when it failed; 0: it did not */
    uint64_t sync_error; /* errno of the last flush, when it failed; 0: it did not */
    uint64_t side_error; /* errno that keeps a count in a side file's header too low; 0: all are right */
    uint64_t segments;
} fr_spool_channel;

enum { FR_ROOMY, FR_CROWDED, FR_GROWING }; /* too many full segments wait; they have for long */
enum { FR_AHEAD_NONE, FR_AHEAD_MAKING, FR_AHEAD_READY };

/* Below this number nothing has to be written again, whatever becomes of a file. */
static inline uint64_t fr_safe(const fr_spool_channel *c)
{
    return fr_load_acquire(c->never ? &c->written : &c->durable);
}

/* A closed segment is from now on one of those that retention may remove. Called under the lock. */
static inline void fr_keep(fr_spool_channel *c, const fr_segment *s)
{
    uint32_t at;
    fr_kept kept = {fr_segment_bytes(s, c->kinds), s->last, s->number};
    fr_kept *all = (fr_kept *)fr_grown(c->kept, c->kept_count, &c->kept_room, sizeof *all);
    if (!all)
        return; /* it stays for good */
    c->kept = all;
    for (at = c->kept_count++; at && c->kept[at - 1].number > kept.number; at--)
        c->kept[at] = c->kept[at - 1]; /* one that was given up comes late */
    c->kept[at] = kept;
}

#endif
