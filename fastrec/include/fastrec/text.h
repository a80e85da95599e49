/* text.h: the text behind a pointer, kept once, found again by its bytes.
 *
 * A record keeps its C layout: the pointer's own bytes hold a small number, the id of the text in the
 * ring's arena. Id 0 is NULL; all ones: the memory could not be read, or the arena is full. The poller is
 * the arena's only writer. An entry is u4 length, the bytes, zeros up to a multiple of 8; the ids count
 * entries from 1. `arena_used` is published before the record that uses the id.
 *
 * Texts of 8-bit units are kept as they are; those of wide units as UTF-8, so that readers need not know
 * which they were. What UTF-8 has no place for is written by its pattern all the same: a lone surrogate in 3
 * bytes, a value beyond U+10FFFF in 4 to 7. No reader takes these for characters, and none are lost. */
#ifndef FASTREC_TEXT_H
#define FASTREC_TEXT_H

#include "ring.h"

#define FR_TEXT_MAX 4096                   /* bytes followed behind a pointer */
#define FR_TEXT_ROOM (FR_TEXT_MAX / 4 * 7) /* most bytes kept: a unit of 32 bits needs up to 7 */
#define FR_TEXT_IDS 65536                  /* most texts of a ring */
#define FR_TEXT_SLOTS (2 * FR_TEXT_IDS)
#define FR_TEXT_PROBES 128 /* slots looked at for a text: checksums can be made to collide */
#define FR_TEXT_FIELDS 16  /* most text members of a record */
#define FR_TEXT_LOST UINT64_MAX

/* Where a pointer stands in the payload, and what it leads to. */
typedef struct fr_text_field {
    uint32_t offset;
    uint32_t width;  /* of the pointer: 4 or 8 bytes */
    uint32_t unit;   /* bytes of a code unit: 1, 2 (UTF-16) or 4 (UTF-32) */
    uint32_t direct; /* read by plain loads: no system call, and a dangling pointer ends the process */
} fr_text_field;

typedef struct fr_texts {
    fr_ring_view view;
    uint32_t count;                      /* ids given */
    uint64_t used;                       /* bytes of the arena */
    uint32_t id_of[FR_TEXT_SLOTS];       /* open addressing by the text's checksum; 0: free */
    uint64_t offset_of[FR_TEXT_IDS + 1]; /* of the entry, by id */
} fr_texts;

/* A code unit at any address. */
static inline uint32_t fr_text_unit(const char *from, uint32_t unit)
{
    uint16_t two;
    uint32_t four;
    if (unit == 2) {
        memcpy(&two, from, 2);
        return two;
    }
    memcpy(&four, from, 4);
    return four;
}

/* Where a text of `size` bytes ends, no unit up to `at` being its end. At least one whole unit lies behind
 * that place, or there is no end. */
static inline size_t fr_text_end(const char *text, size_t at, size_t size, uint32_t unit)
{
    if (unit == 1) {
        const char *end = (const char *)memchr(text + at, 0, size - at);
        return end ? (size_t)(end - text) : size;
    }
    while (at + unit <= size && fr_text_unit(text + at, unit))
        at += unit;
    return at;
}

/* Read the text at `from`, at most FR_TEXT_MAX bytes of it, page by page, so that memory ending behind the
 * text is no fault. A page at once: a call costs the same for 20 bytes. Returns its length, or -errno where
 * it cannot be read up to its end. */
static inline long fr_text_read(uint64_t from, char *to, uint32_t unit)
{
    size_t done = 0, end = 0;
    while (done < FR_TEXT_MAX) {
        uint64_t at = from + done;
        size_t part = FR_PAGE - at % FR_PAGE;
        long n;
        if (part > FR_TEXT_MAX - done)
            part = FR_TEXT_MAX - done;
        n = fr_read_self((const void *)(uintptr_t)at, to + done, part);
        if (n <= 0)
            return n ? n : -EFAULT;
        done += (size_t)n;
        end = fr_text_end(to, end, done, unit);
        if (end + unit <= done)
            break;
    }
    return (long)end;
}

/* The same by plain loads, none of them in a page behind that of the text's end. The copy is looked at again:
 * it cannot change any more. */
static inline long fr_text_load(uint64_t from, char *to, uint32_t unit)
{
    const char *text = (const char *)(uintptr_t)from;
    size_t n = 0;
    if (unit == 1)
        n = strnlen(text, FR_TEXT_MAX);
    else
        while (n < FR_TEXT_MAX && fr_text_unit(text + n, unit))
            n += unit;
    memcpy(to, text, n);
    return (long)fr_text_end(to, 0, n, unit);
}

/* Write a value of any 32 bits by the pattern of UTF-8; how many bytes it took. */
static inline size_t fr_text_put(char *to, uint32_t value)
{
    size_t n = value < 0x80         ? 1
               : value < 0x800      ? 2
               : value < 0x10000    ? 3
               : value < 0x200000   ? 4
               : value < 0x4000000  ? 5
               : value < 0x80000000 ? 6
                                    : 7;
    size_t i;
    for (i = n - 1; i; i--, value >>= 6)
        to[i] = (char)(0x80 | (value & 0x3F));
    to[0] = (char)(n == 1 ? value : (0xFF00u >> n) | value);
    return n;
}

/* UTF-8 of `size` bytes of wide units; its length, at most FR_TEXT_ROOM. */
static inline long fr_text_narrow(const char *wide, size_t size, uint32_t unit, char *to)
{
    size_t at, n = 0;
    for (at = 0; at < size; at += unit) {
        uint32_t value = fr_text_unit(wide + at, unit), low = 0;
        if (unit == 2 && value >> 10 == 0xD800 >> 10 && at + 2 < size)
            low = fr_text_unit(wide + at + 2, 2);
        if (low >> 10 == 0xDC00 >> 10) {
            value = 0x10000 + ((value & 0x3FF) << 10 | (low & 0x3FF));
            at += 2;
        }
        n += fr_text_put(to + n, value);
    }
    return (long)n;
}

/* The text at `from` as it is kept, in FR_TEXT_ROOM bytes at `to`: its length, or -errno. */
static inline long fr_text_get(uint64_t from, uint32_t unit, uint32_t direct, char *to)
{
    char wide[FR_TEXT_MAX];
    char *raw = unit == 1 ? to : wide;
    long size = direct ? fr_text_load(from, raw, unit) : fr_text_read(from, raw, unit);
    return unit == 1 || size < 0 ? size : fr_text_narrow(wide, (size_t)size, unit, to);
}

/* The id of a text, new or known; FR_TEXT_LOST when there is no room for a new one. A known one is found also
 * then: it was put within FR_TEXT_PROBES of its place, and nothing is ever taken out. */
static inline uint64_t fr_text_intern(fr_texts *t, const char *text, uint32_t length)
{
    uint32_t slot = fr_crc32c(0, text, length) % FR_TEXT_SLOTS, probes = 0, id;
    uint64_t size = ((uint64_t)length + 4 + 7) & ~7ull;
    unsigned char *entry;
    for (; (id = t->id_of[slot]); slot = (slot + 1) % FR_TEXT_SLOTS) {
        entry = t->view.arena + t->offset_of[id];
        if (!memcmp(entry, &length, 4) && !memcmp(entry + 4, text, length))
            return id;
        if (++probes == FR_TEXT_PROBES)
            return FR_TEXT_LOST;
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
    char text[FR_TEXT_ROOM];
    uint64_t pointer = 0, id = 0;
    memcpy(&pointer, payload + field.offset, field.width);
    if (pointer) {
        long length = fr_text_get(pointer, field.unit, field.direct, text);
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
    if (*length > FR_TEXT_ROOM || *offset + 4 + *length > used)
        return NULL;
    *offset += ((uint64_t)*length + 4 + 7) & ~7ull;
    return entry + 4;
}

#endif
