/* lines.h: texts on their way from the ring's arena to the strings of a segment. */
#ifndef FASTREC_LINES_H
#define FASTREC_LINES_H

#include "spooled.h"

/* The next line of a segment is the text of this id in the arena. */
static inline int fr_lines_note(fr_line_ids *l, uint32_t arena_id)
{
    uint32_t *ids = (uint32_t *)fr_grown(l->ids, l->count, &l->room, sizeof *ids);
    if (!ids)
        return -ENOMEM;
    l->ids = ids;
    l->ids[l->count++] = arena_id;
    return 0;
}

/* One JSON line of the strings file. Bytes that are no UTF-8 become surrogate escapes, as Python's do. */
static inline int fr_lines_add(fr_spool_channel *c, uint32_t arena_id, const unsigned char *text,
                               uint32_t length)
{
    fr_bytes *out = &c->lines;
    size_t begin = out->size;
    char part[64];
    uint32_t i = 0, id = c->segment.lines->count + 1, crc;
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
    if (!error)
        error = fr_lines_note(c->segment.lines, arena_id);
    if (error)
        out->size = begin;
    return error;
}

/* Turn the arena ids of a staged record into ids of the segment. */
static inline int fr_lines_translate(fr_spool_channel *c, unsigned char *record)
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
            if (!text)
                continue;
            error = fr_lines_add(c, (uint32_t)id, text, length);
            if (error)
                return error;
            c->text_ids[id] = c->segment.lines->count;
        }
        id = c->text_ids[id];
        memcpy(at, &id, c->text_fields[i].width);
    }
    return 0;
}

/* The way back: ids of a segment into those of the arena. */
static inline void fr_lines_restore(const fr_spool_channel *c, const fr_segment *s, unsigned char *record)
{
    uint32_t i;
    for (i = 0; i < c->text_count; i++) {
        unsigned char *at = record + c->text_fields[i].offset;
        uint64_t id = 0;
        memcpy(&id, at, c->text_fields[i].width);
        if (!id || id > s->lines->count) /* NULL, or all ones */
            continue;
        id = s->lines->ids[id - 1];
        memcpy(at, &id, c->text_fields[i].width);
    }
}

/* A new segment knows no text. */
static inline void fr_lines_clear(fr_spool_channel *c)
{
    c->lines.size = 0;
    if (c->text_ids)
        memset(c->text_ids, 0, (FR_TEXT_IDS + 1) * sizeof *c->text_ids);
}

#endif
