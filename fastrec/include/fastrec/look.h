/* look.h: what is looked for in a block of records by who has just read it, and which of its rows are kept
 * for that: a few, as a rule. */
#ifndef FASTREC_LOOK_H
#define FASTREC_LOOK_H

#include <stdlib.h>
#include "condition.h"
#include "scan.h"

#define FR_LOOK_ROWS FR_LANE /* of a block whose states are looked for, at most */
#define FR_LOOK_MANY 63      /* blocks behind one with many states in which few are not hoped for */
#define FR_LOOK_SLOTS 4096   /* of these states: each row may have one of its own */

typedef enum fr_look_kind {
    FR_LOOK_NOT,     /* all rows are kept */
    FR_LOOK_PART,    /* of all rows some bytes are kept */
    FR_LOOK_CHANGES, /* the first, and those that are not as the one before */
    FR_LOOK_STATES,  /* the first that has a state, and how many have it */
    FR_LOOK_MEETING  /* those that meet a condition, which asks to be given nothing */
} fr_look_kind;

typedef struct fr_look {
    fr_look_kind kind;
    fr_part part;                  /* the bytes that are kept, change, or are a state; of this at most 8 */
    const fr_condition *condition; /* of as many slots as `depth` says */
    size_t depth;
} fr_look;

/* What a thread that looks needs of its own. */
typedef struct fr_looker {
    unsigned char *rows; /* where the block lies */
    fr_codes codes;      /* of the states of a block; between two of them there are none */
    uint32_t many;       /* blocks in which there are many states, as it seems */
    fr_slot *stack;
} fr_looker;

static inline void fr_looker_free(fr_looker *l)
{
    free(l->rows);
    free(l->codes.slot);
    free(l->codes.order);
    free(l->stack);
}

/* With room for a block of `size` bytes; `multiplier` is that of codes. -1: there is no memory; what there is
 * has to be freed. */
static inline int fr_looker_make(fr_looker *l, const fr_look *look, size_t size, uint64_t multiplier)
{
    l->rows = (unsigned char *)malloc(size ? size : 1);
    if (look->kind == FR_LOOK_MEETING)
        l->stack = (fr_slot *)malloc((look->depth + 1) * sizeof(fr_slot));
    if (look->kind == FR_LOOK_STATES) {
        l->codes.slots = FR_LOOK_SLOTS;
        l->codes.multiplier = multiplier;
        l->codes.slot = (fr_code *)malloc(FR_LOOK_SLOTS * sizeof(fr_code));
        l->codes.order = (uint64_t *)malloc(FR_LOOK_SLOTS * sizeof(uint64_t));
        if (!l->codes.slot || !l->codes.order)
            return -1;
        memset(l->codes.slot, 0xFF, FR_LOOK_SLOTS * sizeof(fr_code));
    }
    return l->rows && (l->stack || look->kind != FR_LOOK_MEETING) ? 0 : -1;
}

/* Look at the rows `first` to `stop` - 1 of the block: which of them are kept, into `pick`, and how many have
 * their state, into `count`. Both have room for all; returns how many are kept. */
static inline uint64_t fr_look_at(const fr_look *look, fr_looker *l, size_t width, uint32_t first,
                                  uint32_t stop, int64_t *pick, uint64_t *count)
{
    const fr_given nothing = {NULL, NULL, NULL, 0};
    uint64_t kept;
    switch (look->kind) {
    case FR_LOOK_CHANGES:
        pick[0] = first;
        return 1 + fr_changes(l->rows, width, look->part, first, stop, pick + 1);
    case FR_LOOK_STATES:
        kept = l->many ? 0 : fr_tally_few(l->rows, width, look->part, first, stop, count, pick);
        if (kept)
            return kept;
        l->many = l->many ? l->many - 1 : FR_LOOK_MANY;
        fr_tally(&l->codes, l->rows, width, look->part, first, stop, pick);
        kept = l->codes.count;
        fr_codes_take(&l->codes, count);
        return kept;
    default: return fr_meeting(look->condition, &nothing, l->rows, width, first, stop, l->stack, pick);
    }
}

#endif
