/* Every size of copy and of payload, beside memcpy: what is moved is all of it, and nothing around it is
 * touched. Private memory is as large as what is read, so that a sanitizer sees one byte too many. */
#include <fastrec/ring.h>
#include <stdio.h>

#define NSLOTS 200

static uint64_t random_state = 88172645463325252ull, wrong;

static uint64_t random_word(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state;
}

static unsigned char *random_bytes(size_t size)
{
    unsigned char *bytes = malloc(size + !size);
    uint64_t word;
    size_t i;
    for (i = 0; i < size; i += 8) {
        word = random_word();
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
    return bytes;
}

/* `words` in and out, shared memory at any word, private memory `lean` bytes from a boundary. */
static void copy(size_t words, size_t lean)
{
    const size_t at = random_word() % 3 + 1;
    unsigned char *source = random_bytes(words * 8 + lean), *target = random_bytes(words * 8 + lean);
    unsigned char *before = malloc(lean + 1);
    uint64_t *shared = (uint64_t *)(void *)random_bytes((words + at + 3) * 8), *expected;
    const size_t size = (words + at + 3) * 8;
    expected = memcpy(malloc(size), shared, size);
    memcpy(before, target, lean);
    fr_copy_in(shared + at, source + lean, words);
    memcpy(expected + at, source + lean, words * 8);
    wrong += memcmp(shared, expected, size) != 0;
    fr_copy_out(target + lean, shared + at, words);
    wrong += memcmp(target + lean, source + lean, words * 8) || memcmp(target, before, lean);
    wrong += memcmp(shared, expected, size) != 0;
    free(source), free(target), free(before), free(shared), free(expected);
}

/* The whole of a ring after batches of payloads of one size, beside an array that is filled by memcpy. */
static void publish(size_t size)
{
    const size_t record = 8 + (size + 7) / 8 * 8;
    unsigned char *model = calloc(NSLOTS, record);
    uint64_t head = 0, i;
    fr_ring_header plan;
    fr_ring ring;
    void *memory;
    int fd, error, batches;
    memset(&plan, 0, sizeof plan);
    plan.record_size = (uint32_t)record, plan.payload_offset = 8, plan.payload_size = (uint32_t)size;
    plan.nslots = NSLOTS;
    fr_ring_plan(&plan);
    memory = fr_map_new("copies", plan.total_size, &fd, &error);
    memcpy(memory, &plan, sizeof plan);
    fr_ring_take(&ring, memory);
    for (batches = 0; batches < 24; batches++) {
        const uint64_t count = batches % 4 ? random_word() % FR_GUARD + 1 : 1, own = random_word() % 2;
        unsigned char *payloads = random_bytes(count * size), *records = calloc(count, record);
        int64_t *stamps = (int64_t *)(void *)random_bytes(count * 8);
        for (i = 0; i < count; i++) {
            memcpy(records + i * record, &stamps[own ? i : 0], 8);
            memcpy(records + i * record + 8, payloads + i * size, size);
            memcpy(model + (head + i) % NSLOTS * record, records + i * record, record);
        }
        if (batches % 3)
            fr_ring_put_payloads(&ring, stamps[0], own ? stamps : NULL, payloads, size, count);
        else if (count == 1)
            fr_ring_put(&ring, records);
        else
            fr_lane_put_many(&ring.view.records, &ring.pen, records, count);
        head += count;
        wrong += *ring.view.records.head != head || ring.pen.slot != head % NSLOTS;
        wrong += memcmp(ring.view.records.data, model, NSLOTS * record) != 0;
        free(payloads), free(records), free(stamps);
    }
    fr_map_free(memory, plan.total_size, fd);
    free(model);
}

int main(void)
{
    size_t n, again;
    for (n = 0; n < 300; n++)
        for (again = 0; again < 8; again++)
            copy(n, again + n % 2);
#ifdef FR_STREAM_WORDS
    for (n = 0; n < 9; n++)
        copy(FR_STREAM_WORDS + n % 3 * 7, n); /* at every address: past the cache where it may be */
#endif
    for (n = 1; n < 180; n++)
        publish(n);
    publish(FR_PAGE + 5);
    printf("wrong %llu\n", (unsigned long long)wrong);
    return wrong != 0;
}
