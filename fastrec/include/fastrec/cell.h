/* cell.h: a status cell: one struct that one thread writes and any thread reads whole.
 *
 * The writer publishes each version of the struct into the next of FR_CELL_SLOTS slots and then raises
 * `head`, the absolute number of versions there have been; a reader copies the newest and looks at `head`
 * again to know whether the writer came round meanwhile (the ring's protocol with a guard of one slot). A
 * writer that is preempted in the middle of a version therefore holds up nobody: the version before it is
 * still the newest. A reader tries again only if the writer published seven whole versions during one copy.
 *
 * To a caller the cell looks like a COM object whose fourth method is GetStatus. Its texts, and the cell
 * itself, live until the last Release. One thread at a time may call fr_cell_write and fr_cell_text;
 * everything else may be called from any thread that holds a reference. Codes returned are HRESULTs. */
#ifndef FASTREC_CELL_H
#define FASTREC_CELL_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"

#define FR_CELL_SLOTS 8   /* a power of two: one being written, seven that a reader may still be copying */
#define FR_CELL_MAX 65536 /* bytes of a payload, as for a record */

#define FR_S_OK INT32_C(0)
#define FR_E_NOINTERFACE ((int32_t)UINT32_C(0x80004002))
#define FR_E_POINTER ((int32_t)UINT32_C(0x80004003))

/* COM's convention differs from C's on 32-bit x86 Windows only; a build for that defines this as __stdcall.
 */
#ifndef FR_COM
#define FR_COM
#endif

typedef struct fr_iid {
    uint8_t bytes[16]; /* as a GUID lies in memory: the first three groups little endian */
} fr_iid;

/* {00000000-0000-0000-C000-000000000046} */
static const fr_iid fr_iid_unknown = {{0, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46}};

typedef struct fr_cell_vtable {
    int32_t(FR_COM *query_interface)(void *self, const void *iid, void **out); /* slot 0 */
    uint32_t(FR_COM *add_ref)(void *self);                                     /* slot 1 */
    uint32_t(FR_COM *release)(void *self);                                     /* slot 2 */
    int32_t(FR_COM *get_status)(void *self, void *out);                        /* slot 3 */
} fr_cell_vtable;

typedef struct fr_cell_text {
    struct fr_cell_text *next; /* the text interned before this one */
    size_t length;             /* bytes, without the NUL behind them */
} fr_cell_text;                /* the bytes follow */

typedef struct fr_cell {
    const fr_cell_vtable *vtable; /* first: an object's address is the address of its table's pointer */
    uint64_t refs;                /* the object frees itself when this falls to 0 */
    size_t size;                  /* bytes of the payload */
    size_t words;                 /* the same in words of 8 bytes, rounded up: the distance of two slots */
    uint64_t *slots;              /* FR_CELL_SLOTS times `words`; version n lies in slot n % FR_CELL_SLOTS */
    fr_cell_text *texts;          /* the newest interned text; only the writer walks the list */
    void *block;                  /* what malloc returned */
    fr_iid iid;                   /* answered by QueryInterface besides IUnknown's */
    uint8_t apart[FR_CACHE_LINE]; /* keeps `head` off the line that AddRef writes */
    uint64_t head;                /* versions published; at least 1, version 0 is all zeros */
} fr_cell;

/* The newest version, whole, into `size` bytes at `out`. */
static inline void fr_cell_read(const fr_cell *cell, void *out)
{
    size_t whole = cell->size / sizeof(uint64_t), rest = cell->size % sizeof(uint64_t);
    for (;;) {
        uint64_t newest = fr_load_acquire(&cell->head) - 1;
        const uint64_t *slot = cell->slots + (size_t)(newest % FR_CELL_SLOTS) * cell->words;
        fr_copy_out(out, slot, whole);
        if (rest) { /* the struct ends inside a word, and what lies behind `out` is not ours */
            uint64_t last = fr_load_relaxed(slot + whole);
            memcpy((unsigned char *)out + whole * sizeof last, &last, rest);
        }
        fr_fence_acquire();
        /* The slot is written again while head stands at newest + FR_CELL_SLOTS, and not before. */
        if (fr_load_relaxed(&cell->head) - newest < FR_CELL_SLOTS)
            return;
    }
}

/* Publish a version: `size` bytes at `payload`, which may be unaligned. */
static inline void fr_cell_write(fr_cell *cell, const void *payload)
{
    size_t whole = cell->size / sizeof(uint64_t), rest = cell->size % sizeof(uint64_t);
    uint64_t head = fr_load_relaxed(&cell->head);
    uint64_t *slot = cell->slots + (size_t)(head % FR_CELL_SLOTS) * cell->words;
    fr_copy_in(slot, payload, whole);
    if (rest) {
        uint64_t last = 0;
        memcpy(&last, (const unsigned char *)payload + whole * sizeof last, rest);
        fr_store_relaxed(slot + whole, last);
    }
    fr_store_release(&cell->head, head + 1);
    fr_fence_release(); /* the head is out before the next version touches the oldest slot */
}

/* The getter, as poll.h wants it: `cell` is the object's address. Always new: the cell knows no reader. */
static inline int32_t fr_cell_poll(void *cell, void *out)
{
    fr_cell_read((const fr_cell *)cell, out);
    return FR_S_OK;
}

static inline char *fr_cell_bytes(fr_cell_text *text) { return (char *)(text + 1); }

/* A NUL-terminated copy of `length` bytes at `bytes` that lives until the last Release; equal texts share one
 * copy. NULL without memory. */
static inline const char *fr_cell_intern(fr_cell *cell, const char *bytes, size_t length)
{
    fr_cell_text *text;
    for (text = cell->texts; text; text = text->next)
        if (text->length == length && !memcmp(fr_cell_bytes(text), bytes, length))
            return fr_cell_bytes(text);
    text = (fr_cell_text *)malloc(sizeof *text + length + 1);
    if (!text)
        return NULL;
    text->next = cell->texts;
    text->length = length;
    memcpy(fr_cell_bytes(text), bytes, length);
    fr_cell_bytes(text)[length] = 0;
    cell->texts = text;
    return fr_cell_bytes(text);
}

static inline uint32_t FR_COM fr_cell_add_ref(void *self)
{
    return (uint32_t)fr_add(&((fr_cell *)self)->refs, 1) + 1;
}

static inline uint32_t FR_COM fr_cell_release(void *self)
{
    fr_cell *cell = (fr_cell *)self;
    uint64_t left = fr_add(&cell->refs, (uint64_t)-1) - 1;
    if (!left) {
        fr_cell_text *text = cell->texts;
        while (text) {
            fr_cell_text *next = text->next;
            free(text);
            text = next;
        }
        free(cell->block);
    }
    return (uint32_t)left;
}

static inline int32_t FR_COM fr_cell_query_interface(void *self, const void *iid, void **out)
{
    if (!out)
        return FR_E_POINTER;
    *out = NULL;
    if (!iid)
        return FR_E_POINTER;
    if (memcmp(iid, &fr_iid_unknown, sizeof(fr_iid)) && memcmp(iid, &((fr_cell *)self)->iid, sizeof(fr_iid)))
        return FR_E_NOINTERFACE;
    fr_cell_add_ref(self);
    *out = self;
    return FR_S_OK;
}

static inline int32_t FR_COM fr_cell_get_status(void *self, void *out)
{
    return out ? fr_cell_poll(self, out) : FR_E_POINTER;
}

/* A cell of `size` bytes, all zero, with one reference, which the caller owns. NULL without memory, or if
 * `size` is 0 or above FR_CELL_MAX. */
static inline fr_cell *fr_cell_create(size_t size, const fr_iid *iid)
{
    static const fr_cell_vtable vtable = {fr_cell_query_interface, fr_cell_add_ref, fr_cell_release,
                                          fr_cell_get_status};
    size_t words = (size + sizeof(uint64_t) - 1) / sizeof(uint64_t);
    size_t slots = FR_CELL_SLOTS * words * sizeof(uint64_t);
    unsigned char *block, *start;
    fr_cell *cell;
    if (!size || size > FR_CELL_MAX)
        return NULL;
    block = (unsigned char *)calloc(1, sizeof *cell + slots + 2 * FR_CACHE_LINE);
    if (!block)
        return NULL;
    cell = (fr_cell *)(block + FR_CACHE_LINE - (uintptr_t)block % FR_CACHE_LINE);
    start = (unsigned char *)(cell + 1);
    cell->vtable = &vtable;
    cell->refs = 1;
    cell->size = size;
    cell->words = words;
    cell->slots = (uint64_t *)(start + FR_CACHE_LINE - (uintptr_t)start % FR_CACHE_LINE);
    cell->block = block;
    cell->iid = *iid;
    cell->head = 1;
    return cell;
}

#endif
