/* What somebody left in shared memory under the name of a ring: read, and drained to a disk in memory.
 *
 * An input is the header of a ring, and bytes with which the rest of its mapping is filled over and over;
 * where their number is odd, the mapping lacks its last page. The mutator makes the checksum of the header
 * right, for a forger can do that too, and mostly puts the parts where they belong, or few inputs would come
 * further (FR_PLAIN leaves it out, to see what it is worth). Whatever is in it: no access outside of the
 * mapping, no endless loop, and what is refused says why. */
#include <fastrec/durable.h>

#include <sanitizer/asan_interface.h>

#define MOST (4u << 20) /* bytes of a mapping */
#define FILES 16
#define ROOM (8u << 20)

static struct {
    unsigned char *data;
    uint64_t size;
} files[FILES];
static int files_used;

static int f_create(int dir, const char *name)
{
    (void)dir, (void)name;
    if (files_used == FILES)
        return -ENOSPC;
    if (!files[files_used].data)
        files[files_used].data = malloc(ROOM);
    files[files_used].size = 0;
    return files_used++;
}
static long f_write(int fd, const void *data, size_t size, uint64_t offset)
{
    if (offset + size > ROOM)
        return -ENOSPC;
    memcpy(files[fd].data + offset, data, size);
    files[fd].size = offset + size > files[fd].size ? offset + size : files[fd].size;
    return (long)size;
}
static long f_read(int fd, void *data, size_t size, uint64_t offset)
{
    if (offset >= files[fd].size)
        return 0;
    size = size < files[fd].size - offset ? size : files[fd].size - offset;
    memcpy(data, files[fd].data + offset, size);
    return (long)size;
}
static int f_publish(int dir, const char *from, const char *to)
{
    (void)dir, (void)from, (void)to;
    return 0;
}
static int f_remove(int dir, const char *name)
{
    (void)dir, (void)name;
    return -ENOENT;
}
static int f_sync(int fd)
{
    (void)fd;
    return 0;
}
static int f_space(int dir, uint64_t *bytes)
{
    (void)dir;
    *bytes = ROOM;
    return 0;
}
static int f_begin(int fd, uint64_t offset, uint64_t size)
{
    (void)fd, (void)offset, (void)size;
    return 0;
}
static const fr_io memory_io = {f_create, f_write, f_publish, f_remove, f_sync,  f_sync,
                                f_sync,   f_sync,  f_read,    f_space,  f_begin, f_sync};

static char npy[128];

static void drain(const fr_ring_view *view)
{
    static const fr_zone_field field = {8, 'u', 4, 0, 0, 0, {0}};
    static fr_spool_channel c;
    static fr_gap_row gap_rows[FR_GAPS_MOST];
    static fr_dirty dirty;
    const fr_ring_header *h = view->header;
    uint64_t zone_row[6];
    int i;
    memset(&c, 0, sizeof c);
    files_used = 0;
    c.ring = *view;
    strcpy(c.name, "c");
    c.segment_rows = FR_BLOCK_ROWS;
    c.stage_rows = FR_BLOCK_ROWS;
    for (i = 0; i < FR_FILES; i++) {
        c.kinds[i].header = npy;
        c.kinds[i].header_size = i == FR_STRINGS ? 0 : sizeof npy;
        c.kinds[i].row_size = 48;
    }
    c.kinds[FR_STRINGS].row_size = 1;
    c.kinds[FR_INDEX].row_size = sizeof(fr_index_row);
    c.kinds[FR_RECORDS].row_size = h->record_size;
    c.weight_at = h->store ? 16 : 0;
    c.stamp_end_at = h->store ? 8 : 0;
    if (h->arena_size && h->payload_size >= 8) {
        c.text_count = 1;
        c.text_fields[0].offset = h->payload_offset;
        c.text_fields[0].width = 8;
    }
    c.zone.fields = h->record_size >= 12 && h->payload_size >= 4;
    c.zone.field = &field;
    c.zone.row = zone_row;
    c.stage = malloc(c.stage_rows * (uint64_t)h->record_size);
    c.blocks = calloc(4, sizeof *c.blocks);
    c.zone_rows = malloc(4 * FR_ZONE_SIZE(1));
    c.text_ids = calloc(FR_TEXT_IDS + 1, sizeof *c.text_ids);
    c.text_offsets = calloc(FR_TEXT_IDS + 1, sizeof *c.text_offsets);
    c.cursor = c.placed = c.written = c.durable = h->first + (h->head - h->first) / 2;
    c.last = 1;
    fr_drain_left(&memory_io, &c, gap_rows, &dirty);
    free(c.stage), free(c.blocks), free(c.zone_rows), free(c.text_ids), free(c.text_offsets);
    free(c.lines.data), free(c.kept), free(c.told);
}

static void look(const fr_ring_view *view)
{
    const fr_ring_header *h = view->header;
    static unsigned char copy[64 * FR_MAX_RECORD];
    uint64_t cursor = h->first, offset = 0;
    uint32_t length, texts = 0;
    fr_span span;
    int turns = 0;
    do {
        span = fr_lane_read(&view->records, cursor, copy, 64);
        if (span.count > 64 || span.skip + span.count > 64)
            abort();
        cursor = span.first + span.count;
    } while (span.count && ++turns < 64);
    while (fr_text_next(view, fr_load_acquire(&h->arena_used), &offset, &length) && ++texts < 100000)
        if (offset > h->arena_size + 8)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char *memory;
    fr_ring_header *h, copy;
    fr_ring_view view;
    uint64_t total, i;
    if (size <= sizeof *h)
        return 0;
    if (!memory)
        memory = aligned_alloc(FR_PAGE, MOST);
    ASAN_UNPOISON_MEMORY_REGION(memory, MOST);
    h = (fr_ring_header *)memory;
    memset(memory, 0, FR_PAGE);
    memcpy(memory, data, sizeof *h);
    total = h->total_size <= MOST ? h->total_size : MOST;
    if (size % 2 && total > FR_PAGE)
        total -= FR_PAGE;
    memcpy(&copy, h, sizeof copy);
    if (fr_ring_refusal(&copy, total))
        return 0;
    if (h->total_size > MOST)
        abort();
    data += sizeof *h;
    size -= sizeof *h;
    for (i = FR_PAGE; i < total; i += size)
        memcpy(memory + i, data, size < total - i ? size : total - i);
    ASAN_POISON_MEMORY_REGION(memory + total, MOST - total);
    view = fr_ring_look(memory);
    look(&view);
    if (h->head - h->first < 1u << 20)
        drain(&view);
    return 0;
}

#ifndef FR_PLAIN
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

static void put_in_place(fr_ring_header *h, unsigned int seed)
{
    h->record_size = 40 + (h->record_size % 512 & ~7u);
    h->nslots = FR_GUARD + 1 + h->nslots % (h->nslots & 8 ? 2048 : 64);
    h->schema_size = h->schema_size % 8192;
    h->arena_size = h->arena_size % 65536;
    h->store &= 1;
    h->payload_offset = h->store ? 32 : 8;
    h->payload_size = 1 + h->payload_size % (h->record_size - h->payload_offset);
    h->arena_used %= h->arena_size + 1;
    h->first %= FR_MAX_NUMBER;
    h->head = h->first + (h->head - h->first) % 65536;
    h->gap_head %= seed / 8 % 8 ? 64 : FR_MAX_NUMBER; /* thousands of gaps take long */
    fr_ring_plan(h);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
    fr_ring_header h;
    memset(&h, 0, sizeof h);
    size = LLVMFuzzerMutate(data, size, most);
    memcpy(&h, data, size < sizeof h ? size : sizeof h);
    if (seed % 8)
        put_in_place(&h, seed);
    if (seed / 8 % 8 == 0) { /* after all is in its place, a field is not */
        uint32_t *word = (uint32_t *)&h + seed / 64 % (sizeof h / 4);
        *word = seed / 64 % 2 ? *word + (seed >> 30) * 8 - 8 : seed;
    }
    if (seed / 64 % 16)
        h.crc = fr_ring_crc(&h);
    if (most < sizeof h + 1)
        return size;
    memcpy(data, &h, sizeof h);
    if (size <= sizeof h) {
        data[sizeof h] = (uint8_t)seed;
        size = sizeof h + 1;
    }
    return size;
}
#endif
