/* text.h: the text behind a pointer, kept once, found again by its bytes.
 *
 * A record keeps its C layout: the pointer's own bytes hold a small number, the id of the text in the
 * ring's arena. Id 0 is NULL; all ones: the memory could not be read, or the arena is full. The poller is
 * the arena's only writer. An entry is u4 length, the bytes, zeros up to a multiple of 8; the ids count
 * entries from 1. `arena_used` is published before the record that uses the id. */
#ifndef FASTREC_TEXT_H
#define FASTREC_TEXT_H

#include "ring.h"

#define FR_TEXT_MAX 4096  /* bytes followed behind a pointer */
#define FR_TEXT_IDS 65536 /* most texts of a ring */
#define FR_TEXT_SLOTS (2 * FR_TEXT_IDS)
#define FR_TEXT_FIELDS 16 /* most text members of a record */
#define FR_TEXT_LOST UINT64_MAX

/* Where pointers stand in the payload. */
typedef struct fr_text_field {
    uint32_t offset;
    uint32_t width; /* of the pointer: 4 or 8 bytes */
} fr_text_field;

typedef struct fr_texts {
    fr_ring_view view;
    uint32_t count;                      /* ids given */
    uint64_t used;                       /* bytes of the arena */
    uint32_t id_of[FR_TEXT_SLOTS];       /* open addressing by the text's checksum; 0: free */
    uint64_t offset_of[FR_TEXT_IDS + 1]; /* of the entry, by id */
} fr_texts;

/* Read the text at `from`, at most FR_TEXT_MAX bytes, page by page so that memory ending behind the text
 * is no fault. Returns its length, or -errno where not even its first byte can be read. */
static inline long fr_text_read(uint64_t from, char *to)
{
    size_t done = 0;
    while (done < FR_TEXT_MAX) {
        uint64_t at = from + done;
        size_t part = FR_PAGE - at % FR_PAGE;
        const char *end;
        long n;
        if (part > FR_TEXT_MAX - done)
            part = FR_TEXT_MAX - done;
        n = fr_read_self((const void *)(uintptr_t)at, to + done, part);
        if (n <= 0)
            return done ? -EFAULT : (n ? n : -EFAULT);
        end = (const char *)memchr(to + done, 0, (size_t)n);
        if (end)
            return end - to;
        done += (size_t)n;
    }
    return (long)done;
}

/* The id of a text, new or known; FR_TEXT_LOST when there is no room for a new one. */
static inline uint64_t fr_text_intern(fr_texts *t, const char *text, uint32_t length)
{
    uint32_t slot = fr_crc32c(0, text, length) % FR_TEXT_SLOTS, id;
    uint64_t size = ((uint64_t)length + 4 + 7) & ~7ull;
    unsigned char *entry;
    for (; (id = t->id_of[slot]); slot = (slot + 1) % FR_TEXT_SLOTS) {
        entry = t->view.arena + t->offset_of[id];
        if (!memcmp(entry, &length, 4) && !memcmp(entry + 4, text, length))
            return id;
    }
    if (t->count == FR_TEXT_IDS || t->used + size > t->view.header->arena_size)
        return FR_TEXT_LOST;
    entry = t->view.arena + t->used; /* nobody reads beyond arena_used */
    memcpy(entry, &length, 4);
    memcpy(entry + 4, text, length);
    id = ++t->count;
    t->id_of[slot] = id;
    t->offset_of[id] = t->used;
    t->used += size;
    fr_store_release(&t->view.header->arena_used, t->used);
    return id;
}

/* Replace the pointer in `payload` by the id of its text; false when the text was lost. */
static inline int fr_text_follow(fr_texts *t, unsigned char *payload, fr_text_field field)
{
    char text[FR_TEXT_MAX];
    uint64_t pointer = 0, id = 0;
    memcpy(&pointer, payload + field.offset, field.width);
    if (pointer) {
        long length = fr_text_read(pointer, text);
        id = length < 0 ? FR_TEXT_LOST : fr_text_intern(t, text, (uint32_t)length);
    }
    memcpy(payload + field.offset, &id, field.width);
    return id != FR_TEXT_LOST;
}

/* The entry at *offset below `used`: its bytes and length; moves *offset on. NULL at the end. */
static inline const unsigned char *fr_text_next(const fr_ring_view *view, uint64_t used, uint64_t *offset,
                                                uint32_t *length)
{
    const unsigned char *entry = view->arena + *offset;
    if (*offset + 4 > used)
        return NULL;
    memcpy(length, entry, 4);
    if (*length > FR_TEXT_MAX || *offset + 4 + *length > used)
        return NULL;
    *offset += ((uint64_t)*length + 4 + 7) & ~7ull;
    return entry + 4;
}

#endif
