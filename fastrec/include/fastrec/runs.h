/* runs.h: the states of successive records as their zones tell them, none of the records being read. */
#ifndef FASTREC_RUNS_H
#define FASTREC_RUNS_H

#include "zone.h"

#define FR_RUN_UNSEEN INT64_MIN /* a stamp that no zone tells */

/* What a zone says of one field: a row of `told_dtype(1)`. */
typedef struct fr_summed {
    uint64_t polls, least, most, sum, nan, turn, rest;
} fr_summed;

/* Records with one state. */
typedef struct fr_run {
    int64_t place, stop;
    uint64_t state; /* as a zone has it */
    int64_t stamp;  /* of the first */
} fr_run;

#ifdef __cplusplus
static_assert(sizeof(fr_summed) == 56 && sizeof(fr_run) == 32, "rows of words");
#else
_Static_assert(sizeof(fr_summed) == 56 && sizeof(fr_run) == 32, "rows of words");
#endif

/* Whether an integer has one state and then another; how many records have the first. */
static inline int fr_summed_turns(const fr_summed *z, uint64_t *before)
{
    uint64_t width = z->most - z->least, above = z->sum - FR_BLOCK_ROWS * z->least, largest;
    if (!(z->turn & FR_TURN_TOLD) || z->polls != FR_BLOCK_ROWS || width == 0)
        return 0;
    largest = above / width; /* what the sum is more than of the smallest alone is theirs */
    *before = z->turn & FR_TURN_FALLS ? largest : FR_BLOCK_ROWS - largest;
    return largest * width == above && largest > 0 && largest < FR_BLOCK_ROWS;
}

/* Whether a field has one state. */
static inline int fr_summed_steady(const fr_summed *z, int floating, uint64_t *state)
{
    *state = z->least;
    if (!floating)
        return z->least == z->most;
    if (z->nan == z->polls) {
        *state = fr_bits_of(NAN);
        return 1;
    }
    return z->nan == 0 && fr_double_of(z->least) == fr_double_of(z->most);
}

/* Put a run behind the `n` that there are, or lengthen the last: their number. */
static inline size_t fr_run_add(fr_run *runs, size_t n, fr_run next, int floating)
{
    if (n && runs[n - 1].stop == next.place) {
        fr_run *last = &runs[n - 1];
        double one = fr_double_of(last->state), other = fr_double_of(next.state);
        if (floating ? one == other || (one != one && other != other) : last->state == next.state) {
            last->stop = next.stop;
            return n;
        }
    }
    runs[n] = next;
    return n + 1;
}

/* Put the runs of a zone, which begins at `place`, behind the `n` that there are, two at most: their number.
 * `known` is set to whether it tells them. */
static inline size_t fr_runs_of(const fr_summed *z, int64_t place, int floating, fr_run *runs, size_t n,
                                unsigned char *known)
{
    fr_run run = {place, place + FR_BLOCK_ROWS, 0, FR_RUN_UNSEEN}, behind;
    uint64_t before;
    *known = 0;
    if (z->polls < FR_BLOCK_ROWS) /* a record is at least one poll: it was made up */
        return n;
    if (fr_summed_steady(z, floating, &run.state)) {
        *known = 1;
        return fr_run_add(runs, n, run, floating);
    }
    if (floating || !fr_summed_turns(z, &before))
        return n;
    *known = 1;
    behind = (fr_run){place + (int64_t)before, run.stop, z->most, (int64_t)(z->turn & FR_TURN_STAMP)};
    run.stop = behind.place;
    if (z->turn & FR_TURN_FALLS)
        run.state = z->most, behind.state = z->least;
    return fr_run_add(runs, fr_run_add(runs, n, run, floating), behind, floating);
}

#endif
