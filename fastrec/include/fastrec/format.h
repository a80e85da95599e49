/* format.h: the names of a segment's files, and every row of a recording as a C struct (recording/FORMAT.md
 * says what each means). */
#ifndef FASTREC_FORMAT_H
#define FASTREC_FORMAT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "crc32c.h"

#define FR_FORMAT_VERSION 1
#define FR_BLOCK_ROWS 1024     /* records in a zone, and at most in a block */
#define FR_NPY_COUNT_OFFSET 24 /* where the row count stands in a .npy header */
#define FR_NPY_COUNT_DIGITS 8
#define FR_MAX_SEGMENT_ROWS 99999999u
#define FR_MAX_SEGMENT 4294967294u /* at least six digits in the names */

/* The files of a segment as they are created: one whose records file has its name has all the others. */
enum { FR_STRINGS, FR_GAPS, FR_ZONES, FR_INDEX, FR_RECORDS, FR_FILES };

static const char *const fr_file_stems[FR_FILES] = {"strings", "gaps", "zones", "index", "records"};
static const char *const fr_file_ends[FR_FILES] = {"jsonl", "npy", "npy", "npy", "npy"};

typedef char fr_file_name[40];

static inline void fr_segment_name(fr_file_name name, int file, uint32_t number)
{
    snprintf(name, sizeof(fr_file_name), "%s.%06u.%s", fr_file_stems[file], number, fr_file_ends[file]);
}

/* Why something was lost. */
enum {
    FR_GAP_OVERWRITTEN = 1, /* the ring went round before the spooler or a reader came */
    FR_GAP_DROPPED = 2,     /* the ring was full, and when_full="drop" */
    FR_GAP_MISSED = 3,      /* a deadline passed while a call went on or nobody ran us; code EBUSY: paused */
    FR_GAP_FAILED = 4,      /* the getter said so; code says what */
    FR_GAP_DISK = 5,        /* read from the ring, but the disk would not have it */
    FR_GAP_PRODUCER = 6,    /* a foreign producer came back */
    FR_GAP_RETIRED = 7      /* retention removed the segment */
};

typedef struct fr_gap {
    uint64_t seq;    /* first number lost, or the next number to be used */
    uint64_t count;  /* how many */
    uint32_t cause;  /* FR_GAP_... */
    int32_t code;    /* return value or errno */
    int64_t t_first; /* time of the first loss */
    int64_t t_last;  /* time of the last */
} fr_gap;

typedef struct fr_gap_row {
    fr_gap gap;
    uint32_t reserved;
    uint32_t crc;
} fr_gap_row;

typedef struct fr_index_row {
    uint64_t first_seq;
    int64_t t_min;
    int64_t t_max;
    uint64_t durable_seq;  /* durable when this row was written */
    uint64_t gap_rows;     /* of the segment's gaps file, committed with this row */
    uint64_t string_bytes; /* of the segment's strings file, committed with this row */
    uint32_t rows;
    uint32_t crc_rows;
    uint32_t flags;
    uint32_t crc;
} fr_index_row;

#define FR_INDEX_DECREASING 1u /* flags: stamps of the block decrease somewhere */
#define FR_INDEX_UNPROVEN 2u   /* flags: salvaged, no checksum proved these records */
#define FR_INDEX_AGAIN 4u      /* losses that earlier segments committed from here on are told again */
#define FR_INDEX_STEADY 8u     /* flags: no stamp of the segment, up to here, is below the one before it */

typedef struct fr_clock_row {
    int64_t monotonic; /* with the session's offset */
    int64_t realtime;
    int64_t boottime;
    int64_t tsc;
    int64_t uncertainty;
    uint32_t reserved;
    uint32_t crc;
} fr_clock_row;

/* A zone is: polls, then min[k], max[k], sum[k], nan[k] as 8-byte patterns, silence_us u4, crc u4. */
#define FR_ZONE_SIZE(k) (16 + 32 * (size_t)(k))

/* The turn of an integer stands where a float has its nan: that it changes once, and when; else 0. */
#define FR_TURN_TOLD (1ULL << 63)
#define FR_TURN_FALLS (1ULL << 62)        /* from the largest to the smallest */
#define FR_TURN_STAMP (FR_TURN_FALLS - 1) /* mono_ns of the first record behind the change */
#define FR_TURN_WIDTH (1ULL << 54)        /* largest less smallest is below: 1024 times that is no 2^64 */

#ifdef __cplusplus
static_assert(sizeof(fr_gap) == 40 && sizeof(fr_gap_row) == 48, "gap row");
static_assert(sizeof(fr_index_row) == 64 && sizeof(fr_clock_row) == 48, "index and clock rows");
#else
_Static_assert(sizeof(fr_gap) == 40 && sizeof(fr_gap_row) == 48, "gap row");
_Static_assert(sizeof(fr_index_row) == 64 && sizeof(fr_clock_row) == 48, "index and clock rows");
#endif

/* The checksum that binds what follows to its place: uuid and channel are folded in once (`base`). */
static inline uint32_t fr_seed_base(const unsigned char uuid[16], const char *channel)
{
    return fr_crc32c(fr_crc32c(0, uuid, 16), channel, strlen(channel));
}

static inline uint32_t fr_seed(uint32_t base, uint32_t segment, uint64_t row)
{
    return fr_crc32c(fr_crc32c(base, &segment, sizeof segment), &row, sizeof row);
}

#endif
