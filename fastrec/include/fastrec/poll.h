/* poll.h: calling getters at their deadlines, and the account of what became of each.
 *
 * A poller is one thread that serves its channels one after another. Deadline i of a channel is
 * start + i * period in exact integer arithmetic, never rescheduled from "now"; a late call skips the
 * slots it overran, and they are counted as missed. The poller takes no lock, allocates nothing and makes
 * no system call but its wait (and one safe read per text member). */
#ifndef FASTREC_POLL_H
#define FASTREC_POLL_H

#include "call.h"
#include "histogram.h"
#include "hold.h"
#include "ring.h"
#include "text.h"
#include "tsc.h"

#define FR_CANARY 0xC5A5E1D93B7F2648ull
#define FR_POLL_CHANNELS 64
#define FR_POLL_LEAD 1000000LL    /* ns from a start to slot 0: whoever asked for it has gone its way */
#define FR_POLL_GRACE 100000000LL /* ns for a call that returns while its thread is being abandoned */
#define FR_DURATION_SAMPLE 64     /* flat out, one call in so many enters the histogram */
#define FR_MISSED_PAUSED EBUSY    /* code of deadlines that passed while somebody had the thread paused */

/* ---- the grid ---- */

/* period = num / den ns; next = start + slot * num / den, kept as a whole part and a remainder. */
typedef struct fr_grid {
    uint64_t num, den; /* num 0: flat out */
    uint64_t slot;     /* the next one to be decided */
    int64_t start;
    int64_t next;
    uint64_t rest; /* of next, in 1/den ns */
} fr_grid;

static inline void fr_grid_skip(fr_grid *g, uint64_t slots)
{
    unsigned __int128 forward = (unsigned __int128)g->num * slots + g->rest;
    g->slot += slots;
    g->next += (int64_t)(forward / g->den);
    g->rest = (uint64_t)(forward % g->den);
}

static inline void fr_grid_step(fr_grid *g)
{
    uint64_t forward = g->num + g->rest; /* num <= 1e18 by fr_poll_channel's maker */
    g->slot++;
    if (g->den == 1) {
        g->next += (int64_t)forward;
        return;
    }
    g->next += (int64_t)(forward / g->den);
    g->rest = forward % g->den;
}

/* How many deadlines after `next` have also passed at `now` >= next. */
static inline uint64_t fr_grid_overrun(const fr_grid *g, int64_t now)
{
    unsigned __int128 late = (unsigned __int128)(uint64_t)(now - g->next) * g->den;
    return late < g->num + g->rest ? 0 : (uint64_t)((late - g->rest) / g->num);
}

/* ---- channels ---- */

/* What the polling thread looks at in every poll. */
typedef struct fr_poll_thread {
    const fr_clock *clock;
    const uint32_t *bell;      /* rung: somebody wants something */
    const uint64_t *abandoned; /* ... perhaps the channels */
    int *error;                /* errno of this thread */
    uint32_t rung;             /* how often the bell had rung when it was last answered */
} fr_poll_thread;

/* Into the ring as it comes; into a hold that lasts; or something has to be done to it first. */
enum { FR_WAY_ENTER, FR_WAY_RECORD, FR_WAY_HOLD };

typedef struct fr_poll_channel {
    fr_ring ring;
    fr_poll_fn fn;
    void *ctx;
    const fr_call *call;         /* made as it is, without `fn`; NULL: `fn` is called */
    intptr_t args[FR_CALL_ARGS]; /* its arguments, the payload's address among them */
    unsigned char *scratch;      /* a record (stamp, payload), then the canary; private */
    unsigned char *payload;      /* in it */
    unsigned char *behind;       /* the first byte behind the record */
    unsigned char *told; /* what is recorded: the payload, or a copy with ids for its pointers to texts */
    uint64_t padding;    /* bits of the record's last word that are behind the payload */
    int way;             /* FR_WAY_...: of a payload, where nothing is in it */
    int has_payload;     /* a call has succeeded: "nothing new" means held */
    fr_grid grid;
    int64_t spin;  /* ns before the deadline from which to spin */
    int64_t stamp; /* latest stamp given: stamps never decrease */
    int64_t clock_offset;
    fr_tsc *tsc;     /* what stamps; NULL: the clock of the thread */
    fr_texts *texts; /* NULL: no pointer is followed */
    fr_text_field text_fields[FR_TEXT_FIELDS];
    uint32_t text_count;
    fr_hold *hold; /* NULL: every poll becomes a record */
    fr_histogram lateness;
    fr_histogram duration;
} fr_poll_channel;

/* Fill with zeros and the canary what lies behind the payload. */
static inline void fr_poll_restore(fr_poll_channel *c)
{
    const uint64_t canary = FR_CANARY;
    size_t i;
    uint64_t last;
    memcpy(&last, c->behind - 8, 8);
    last &= ~c->padding;
    memcpy(c->behind - 8, &last, 8);
    for (i = 0; i < FR_CANARY_SIZE; i += 8)
        memcpy(c->behind + i, &canary, 8);
}

/* Bytes of a scratch: a record, the canary, and a copy of the payload. */
#define FR_POLL_ROOM(record_size) (2 * (size_t)(record_size) + FR_CANARY_SIZE)

/* Say where a payload is filled, after the ring, the getter and the texts were given: `scratch` has
 * FR_POLL_ROOM bytes. */
static inline void fr_poll_prepare(fr_poll_channel *c, unsigned char *scratch)
{
    const fr_ring_header *h = c->ring.view.header;
    uint32_t rest = (h->payload_offset + h->payload_size) % 8;
    c->scratch = scratch;
    c->payload = scratch + h->payload_offset;
    c->behind = scratch + h->record_size;
    c->told =
        c->text_count ? c->behind + FR_CANARY_SIZE : c->payload; /* a getter finds its own pointers again */
    c->padding = rest ? UINT64_MAX << rest * 8 : 0;
    c->way = c->text_count ? FR_WAY_ENTER : c->hold ? FR_WAY_HOLD : h->bounded ? FR_WAY_ENTER : FR_WAY_RECORD;
    if (c->call) {
        memcpy(c->args, c->call->args, sizeof c->args);
        c->args[c->call->out] = (intptr_t)c->payload;
    }
    fr_poll_restore(c);
}

/* Has the getter written past its struct? Looks at the padding and the first word behind the record. */
static inline int fr_poll_spoiled(const fr_poll_channel *c)
{
    uint64_t last, canary;
    memcpy(&last, c->behind - 8, 8);
    memcpy(&canary, c->behind, 8);
    return canary != FR_CANARY || last & c->padding;
}

/* A channel's first call, which takes no slot. */
static inline fr_probe fr_poll_probe(fr_poll_channel *c)
{
    fr_ring_header *h = c->ring.view.header;
    unsigned char *end = c->payload + h->payload_size;
    fr_probe probe;
    fr_store_relaxed(&h->in_call, (uint64_t)fr_now());
    probe = fr_call_watch(c->fn, c->ctx, c->payload, end, (size_t)(c->behind - end) + FR_CANARY_SIZE);
    fr_store_relaxed(&h->in_call, 0);
    fr_poll_restore(c);
    return probe;
}

/* Follow some of the text members; how many were lost. */
static inline uint64_t fr_poll_follow(fr_poll_channel *c, uint32_t from, uint32_t to)
{
    uint64_t lost = 0;
    for (; from < to; from++)
        lost += !fr_text_follow(c->texts, c->told, c->text_fields[from]);
    return lost;
}

/* What a call has filled, with its texts: reading them may take as long as the call, and is a part of it. Of
 * a channel with holds those that make a state. */
FR_APART uint64_t fr_poll_read(fr_poll_channel *c)
{
    if (fr_poll_spoiled(c))
        return 0;
    memcpy(c->told, c->payload, (size_t)(c->behind - c->payload));
    return fr_poll_follow(c, 0, c->hold ? c->hold->texts : c->text_count);
}

/* A payload has come to a channel with holds. Texts that make no state are followed only for the polls that a
 * record keeps. */
static inline void fr_poll_hold(fr_poll_channel *c, int64_t stamp)
{
    fr_hold *h = c->hold;
    int same = fr_hold_same(h, c->told);
    if (!same)
        fr_hold_put(h, &c->ring);
    if (!h->record->polls) {
        c->ring.account.texts_lost += fr_poll_follow(c, h->texts, c->text_count);
        fr_hold_keep(h, c->told);
    }
    if (same)
        fr_hold_lengthen(h, &c->ring, stamp);
    else
        fr_hold_open(h, &c->ring, stamp);
}

/* The stamp of a call: its middle, but never before the one before it. */
static inline int64_t fr_poll_stamp(fr_poll_channel *c, int64_t begin, int64_t end)
{
    int64_t stamp = begin + ((end - begin) >> 1) + c->clock_offset;
    return c->stamp = stamp < c->stamp ? c->stamp : stamp;
}

/* Enter the outcome of a call, whatever it is. Apart from the poll itself, so that what happens nearly always
 * is short. */
FR_APART void fr_poll_enter(fr_poll_channel *c, int32_t code, int64_t stamp)
{
    fr_ring *r = &c->ring;
    fr_account *a = &r->account;
    if (fr_poll_spoiled(c)) {
        fr_poll_restore(c);
        code = EOVERFLOW;
    } else if (code == FR_POLL_SAME && !c->has_payload) {
        code = ENODATA;
    }
    if (code == FR_POLL_NEW) {
        c->has_payload = 1;
        if (c->hold) {
            fr_poll_hold(c, stamp);
        } else if (!fr_ring_room(r, 1)) {
            a->dropped++;
            fr_ring_lose(r, FR_GAP_DROPPED, 0, 1, stamp, stamp);
        } else {
            fr_ring_put_payload(r, stamp, c->told, r->view.header->payload_size);
            a->recorded++;
        }
    } else if (code == FR_POLL_SAME) {
        fr_ring_flush_gap(r); /* a loss does not go on across a poll that was none */
        if (c->hold)
            fr_hold_again(c->hold, r, stamp);
        else
            a->held++;
    } else {
        if (c->hold)
            fr_hold_put(c->hold, r);
        a->failed++;
        fr_ring_lose(r, FR_GAP_FAILED, code, 1, stamp, stamp);
    }
    fr_ring_publish_account(r);
}

/* Deadlines up to the one before `slots` further are lost, at `now`. */
static inline void fr_poll_miss(fr_poll_channel *c, uint64_t slots, int64_t now, int32_t code)
{
    fr_grid *g = &c->grid;
    int64_t first = g->next + c->clock_offset, last;
    fr_hist_add_ramp(&c->lateness, now - g->next, (double)g->num / (double)g->den, slots);
    fr_grid_skip(g, slots - 1);
    last = g->next + c->clock_offset;
    fr_grid_step(g);
    if (c->hold)
        fr_hold_put(c->hold, &c->ring);
    c->ring.account.missed += slots;
    fr_ring_lose(&c->ring, FR_GAP_MISSED, code, slots, first, last);
}

/* Make the call; `error` is this thread's errno. */
static inline int32_t fr_poll_fill(fr_poll_channel *c, int *error)
{
    const fr_call *k = c->call;
    const intptr_t *a = c->args;
    intptr_t value;
    if (!k)
        return c->fn(c->ctx, c->payload);
    *error = 0;
    value = k->function(a[0], a[1], a[2], a[3], a[4], a[5]);
    return __builtin_expect(fr_call_failed(k, value), 0) ? fr_call_code(k, value, *error) : FR_POLL_NEW;
}

/* Poll one channel whose turn it is; `now` is the loop's last reading of the clock. Returns the next. Once
 * the bell has rung it may be that the channel is no longer ours. */
static inline int64_t fr_poll_call(fr_poll_channel *c, const fr_poll_thread *thread, int64_t now)
{
    fr_ring *r = &c->ring;
    fr_ring_header *h = r->view.header;
    fr_grid *g = &c->grid;
    int64_t end, stamp, late = 0;
    uint64_t texts_lost = 0;
    int32_t code;
    int way = c->way;
    if (g->num) {
        uint64_t overrun = fr_grid_overrun(g, now);
        if (__builtin_expect(overrun != 0, 0)) {
            fr_poll_miss(c, overrun, now, 0);
            way = FR_WAY_ENTER;
        }
        late = now - g->next;
    }
    fr_store_relaxed(&h->in_call, (uint64_t)now);
    code = fr_poll_fill(c, thread->error);
    if (way == FR_WAY_ENTER && c->text_count && code == FR_POLL_NEW)
        texts_lost = fr_poll_read(c);
    end = c->tsc ? fr_tsc_now(c->tsc) : thread->clock->now();
    if (__builtin_expect(fr_word(thread->bell) != thread->rung, 0) && fr_load_acquire(thread->abandoned))
        return end;
    fr_store_relaxed(&h->in_call, 0);
    if (g->num) {
        fr_hist_add(&c->lateness, late, 1); /* not before the call, which would wait for its memory */
        fr_grid_step(g);
    } else {
        g->slot++;
    }
    if (g->num || g->slot % FR_DURATION_SAMPLE == 0)
        fr_hist_add(&c->duration, end - now, 1);
    stamp = fr_poll_stamp(c, now, end);
    r->account.slots = g->slot;
    r->account.last = (uint64_t)stamp;
    if (__builtin_expect(code != FR_POLL_NEW || way == FR_WAY_ENTER || fr_poll_spoiled(c), 0)) {
        r->account.texts_lost += texts_lost;
        fr_poll_enter(c, code, stamp);
    } else if (way == FR_WAY_RECORD && !r->pending.gap.count) {
        c->has_payload = 1;
        fr_ring_put_payload(r, stamp, c->payload, h->payload_size);
        r->account.recorded++;
        fr_ring_publish_recorded(r);
    } else if (way == FR_WAY_HOLD && fr_hold_lasts(c->hold, c->payload, stamp)) {
        fr_hold_count(c->hold, r, stamp);
        fr_ring_publish_held(r);
    } else {
        fr_poll_enter(c, code, stamp);
    }
    return end;
}

/* How many deadlines have passed of which the period is over too; the one after them may still be served,
 * late. */
static inline uint64_t fr_poll_overdue(const fr_poll_channel *c, int64_t now)
{
    return c->grid.num && now >= c->grid.next ? fr_grid_overrun(&c->grid, now) : 0;
}

/* Nothing more will happen for a while: what waits to be published is, and the account. */
static inline void fr_poll_settle(fr_poll_channel *c)
{
    c->ring.account.slots = c->grid.slot;
    if (c->hold)
        fr_hold_put(c->hold, &c->ring);
    fr_ring_flush_gap(&c->ring);
    fr_ring_publish_account(&c->ring);
}

/* A pause begins or is over: what passed until then is missed, with `code`. */
static inline void fr_poll_skip(fr_poll_channel *c, int64_t now, int32_t code)
{
    uint64_t overdue = fr_poll_overdue(c, now);
    if (overdue)
        fr_poll_miss(c, overdue, now, code);
    fr_poll_settle(c);
}

/* The last word on a channel: deadlines that have passed are missed, with `code`, the pending loss is
 * published. A slot whose whole period is not over yet was not missed: the end came before its call. */
static inline void fr_poll_finish(fr_poll_channel *c, int64_t now, int32_t code)
{
    uint64_t overdue = fr_poll_overdue(c, now);
    if (overdue)
        fr_poll_miss(c, overdue + 1, now, code);
    fr_poll_settle(c);
}

/* ---- the thread ---- */

enum {
    FR_CMD_NONE,
    FR_CMD_PROBE,  /* a channel's first call */
    FR_CMD_CALL,   /* a call of no channel: one that opens, closes or sets something */
    FR_CMD_ADD,    /* poll a channel too */
    FR_CMD_START,  /* begin to poll */
    FR_CMD_PAUSE,  /* poll nothing until RESUME */
    FR_CMD_RESUME, /* what deadlines passed meanwhile is counted */
    FR_CMD_HALT,   /* the last word on the channels; the thread stays for calls */
    FR_CMD_STOP    /* the same, and the thread ends */
};

/* A request to the poller, answered between two polls. One at a time; the asker waits for `done`. */
typedef struct fr_command {
    int kind;
    fr_poll_channel *channel; /* PROBE, ADD */
    int64_t start;            /* START: time of slot 0 */
    fr_poll_fn fn; /* CALL, with `ctx`; `out` has `size` bytes for the struct, FR_CANARY_SIZE behind */
    void *ctx;
    unsigned char *out;
    size_t size;
    fr_probe probe; /* the answer to PROBE and CALL */
    uint32_t taken; /* 1: being obeyed; 2: given up by the asker, never to be obeyed */
    uint32_t done;  /* futex word */
} fr_command;

typedef struct fr_poller {
    fr_thread thread;
    const fr_clock *clock;
    uint32_t bell;       /* futex word: a command has come */
    fr_command *command; /* atomic */
    uint64_t abandoned;  /* 1: a call has not returned in time, and the channels are no longer ours */
    uint64_t finished;   /* 1: the last word on the channels was said */
    int running;         /* START was seen, HALT was not */
    int paused;
    uint32_t count;
    fr_poll_channel *channels[FR_POLL_CHANNELS]; /* polled, in the order of adding */
} fr_poller;

static inline void fr_poller_begin(fr_poll_channel *c, int64_t start)
{
    c->grid.start = c->grid.next = start;
    c->ring.account.start = (uint64_t)(start + c->clock_offset);
    fr_ring_publish_account(&c->ring);
}

/* The last word on all channels; once. */
static inline void fr_poller_finish(fr_poller *p)
{
    int64_t now = p->clock->now();
    uint32_t i;
    for (i = 0; i < p->count && p->running; i++)
        fr_poll_finish(p->channels[i], now, p->paused ? FR_MISSED_PAUSED : 0);
    p->running = 0;
    fr_store_release(&p->finished, 1);
}

/* Answer a command; false when it says stop. Apart, for it has the only locked instructions of the thread. */
FR_APART int fr_poller_obey(fr_poller *p, fr_command *command)
{
    int go_on = 1;
    uint32_t i;
    if (__atomic_exchange_n(&command->taken, 1, __ATOMIC_ACQ_REL) == 2) {
        __atomic_store_n(&p->command, NULL, __ATOMIC_RELEASE);
        return 1;
    }
    switch (command->kind) {
    case FR_CMD_PROBE: command->probe = fr_poll_probe(command->channel); break;
    case FR_CMD_CALL:
        command->probe = fr_call_watch(command->fn, command->ctx, command->out, command->out + command->size,
                                       FR_CANARY_SIZE);
        break;
    case FR_CMD_ADD:
        p->channels[p->count++] = command->channel;
        if (p->running)
            fr_poller_begin(command->channel, p->clock->now() + FR_POLL_LEAD);
        break;
    case FR_CMD_START:
        p->running = 1;
        for (i = 0; i < p->count; i++)
            fr_poller_begin(p->channels[i], command->start);
        break;
    case FR_CMD_PAUSE:
    case FR_CMD_RESUME:
        p->paused = command->kind == FR_CMD_PAUSE;
        for (i = 0; i < p->count && p->running; i++)
            fr_poll_skip(p->channels[i], p->clock->now(), p->paused ? 0 : FR_MISSED_PAUSED);
        break;
    case FR_CMD_HALT: fr_poller_finish(p); break;
    case FR_CMD_STOP: go_on = 0; break;
    }
    /* Cleared before it is answered: the asker may free it then, and the next one install its own. */
    __atomic_store_n(&p->command, NULL, __ATOMIC_RELEASE);
    fr_wake(&command->done);
    return go_on;
}

/* Whose turn is it: the earliest deadline; a channel flat out whenever no deadline has passed. */
static inline fr_poll_channel *fr_poller_next(const fr_poller *p, int64_t now, uint32_t *turn)
{
    fr_poll_channel *next = NULL, *flat = NULL;
    uint32_t i;
    for (i = 0; i < p->count; i++) {
        fr_poll_channel *c = p->channels[(*turn + i) % p->count];
        if (!c->grid.num) {
            if (!flat)
                flat = c;
        } else if (!next || c->grid.next < next->grid.next) {
            next = c;
        }
    }
    if (!flat || (next && next->grid.next <= now))
        return next;
    (*turn)++; /* several channels flat out take turns */
    return flat;
}

static inline void fr_poller_run(void *arg)
{
    fr_poller *p = (fr_poller *)arg;
    fr_poll_thread thread = {p->clock, &p->bell, &p->abandoned, &errno, 0};
    int64_t now = p->clock->now();
    uint32_t turn = 0, i;
    for (;;) {
        uint32_t bell = thread.rung = fr_word(&p->bell);
        fr_command *command = __atomic_load_n(&p->command, __ATOMIC_ACQUIRE);
        fr_poll_channel *c;
        if (fr_load_acquire(&p->abandoned))
            break; /* it was in a command, not in a poll, when it was given up */
        if (command) {
            if (!fr_poller_obey(p, command))
                break;
            now = p->clock->now();
            continue;
        }
        if (!p->running || !p->count || p->paused) {
            p->clock->wait(&p->bell, bell, FR_NEVER);
            continue;
        }
        c = p->count == 1 ? p->channels[0] : fr_poller_next(p, now, &turn);
        if (c->grid.num && now < c->grid.next) {
            int64_t wake = c->grid.next - c->spin;
            if (now < wake) {
                if (wake - now >= FR_GAP_PIECE)
                    for (i = 0; i < p->count; i++)
                        fr_ring_flush_gap(&p->channels[i]->ring);
                p->clock->wait(&p->bell, bell, wake);
            } else {
                fr_relax();
            }
            now = p->clock->now();
            continue;
        }
        do /* flat out and alone, nothing but the bell can end its turn */
            now = fr_poll_call(c, &thread, now);
        while (!c->grid.num && p->count == 1 && fr_word(&p->bell) == bell);
        if (__builtin_expect(fr_load_relaxed(&p->abandoned) != 0, 0))
            break;
        if (c->tsc && p->count > 1)
            now = p->clock->now(); /* the next one may be stamped by the other clock */
    }
    if (!fr_load_relaxed(&p->abandoned))
        fr_poller_finish(p);
}

static inline int fr_poller_start(fr_poller *p, const char *name)
{
    return fr_thread_start(&p->thread, name, fr_poller_run, p, 0);
}

/* Be the polling thread, on the calling one, until STOP: for getters that need what only it has. */
static inline void fr_poller_serve(fr_poller *p, const char *name)
{
    fr_thread_serve(&p->thread, name, fr_poller_run, p);
}

/* The channels are no longer the thread's: should it be in a call, it ends after it without touching them. */
static inline void fr_poller_forget(fr_poller *p)
{
    fr_store_release(&p->abandoned, 1);
    fr_wake(&p->bell);
}

/* Take the channels from a thread whose call has not returned, and say the last word on them: from here on
 * the thread, should the call ever return, ends without touching them. The grace is for a call that returned
 * at this very moment. 0 when the thread has ended after all, else -ETIMEDOUT: what it uses must stay in
 * memory. */
static inline int fr_poller_abandon(fr_poller *p)
{
    int error;
    fr_poller_forget(p);
    error = fr_thread_join(&p->thread, fr_now() + FR_POLL_GRACE);
    if (!fr_load_acquire(&p->finished))
        fr_poller_finish(p);
    return error;
}

/* Hand over a command and wait for the answer until `deadline`; -ETIMEDOUT: a call has not returned, and
 * the command must stay in memory, for it will still be read; but what had not begun by then never will.
 * Askers wait for each other. */
static inline int fr_poller_ask(fr_poller *p, fr_command *command, int64_t deadline)
{
    const struct timespec pause = {0, 100000};
    fr_command *none = NULL;
    command->taken = command->done = 0;
    while (!__atomic_compare_exchange_n(&p->command, &none, command, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
        if (fr_now() >= deadline)
            return -ETIMEDOUT;
        nanosleep(&pause, NULL);
        none = NULL;
    }
    fr_wake(&p->bell);
    while (!fr_word(&command->done)) {
        if (fr_now() >= deadline) {
            uint32_t fresh = 0;
            if (__atomic_compare_exchange_n(&command->taken, &fresh, 2, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
                || command->kind == FR_CMD_PROBE || command->kind == FR_CMD_CALL)
                return -ETIMEDOUT;
            deadline = fr_now() + FR_POLL_GRACE; /* it is obeyed at this moment, and that takes no time */
        }
        fr_wait(&command->done, 0, deadline);
    }
    return 0;
}

#endif
