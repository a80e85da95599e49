/* One writer, two readers, records that prove themselves: word i of record n is mix(n, i). Prints what each
 * reader saw; exits 1 when a word was torn or the accounts do not add up. */
#include <fastrec/ring.h>
#include <stdio.h>

#define WORDS 5  /* stamp and a 32-byte payload */
#define BATCH 64 /* the most that one store of head may publish */

static fr_lane lane;
static uint64_t records, torn, wrong_sum;
static uint32_t done;

static uint64_t mix(uint64_t n, uint64_t i)
{
    return (n * 0x9E3779B97F4A7C15ull) ^ (i * 0xC2B2AE3D27D4EB4Full) ^ n >> 7;
}

static void *write_all(void *arg)
{
    fr_pen pen = fr_pen_at(&lane, 0);
    uint64_t batch[BATCH * WORDS], n, i, k, random = 88172645463325252ull;
    (void)arg;
    for (n = 0; n < records; n += k) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        k = random % BATCH + 1;
        k = k < records - n ? k : records - n;
        for (i = 0; i < k * WORDS; i++)
            batch[i] = mix(n + i / WORDS, i % WORDS);
        if (k == 1)
            fr_lane_put(&lane, &pen, batch);
        else
            fr_lane_put_many(&lane, &pen, batch, k);
    }
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void *read_all(void *arg)
{
    uint64_t most = lane.nslots, *copy = malloc(most * WORDS * 8), cursor = 0, returned = 0, lost = 0,
             bad = 0, i, w;
    int last = 0;
    uint64_t want = (uintptr_t)arg; /* records a read: one reader snapshots, the other nibbles */
    while (!last || cursor < records) {
        fr_span span;
        last = (int)fr_word(&done);
        span = fr_lane_read(&lane, cursor, copy, want < most ? want : most);
        for (i = 0; i < span.count; i++)
            for (w = 0; w < WORDS; w++)
                bad += copy[(span.skip + i) * WORDS + w] != mix(span.first + i, w);
        returned += span.count;
        lost += span.lost;
        cursor = span.first + span.count;
    }
    printf("reader of %llu: returned %llu lost %llu torn words %llu\n", (unsigned long long)want,
           (unsigned long long)returned, (unsigned long long)lost, (unsigned long long)bad);
    fr_add(&torn, bad);
    fr_add(&wrong_sum, returned + lost != records);
    fr_add(&wrong_sum, returned == 0);
    free(copy);
    return NULL;
}

int main(int argc, char **argv)
{
    static uint64_t head;
    pthread_t writer, readers[2];
    (void)argc;
    records = strtoull(argv[1], NULL, 10);
    lane.head = &head;
    lane.nslots = strtoull(argv[2], NULL, 10) + 64;
    lane.words = WORDS;
    lane.data = calloc(lane.nslots, WORDS * 8);
    pthread_create(&readers[0], NULL, read_all, (void *)(uintptr_t)UINT32_MAX);
    pthread_create(&readers[1], NULL, read_all, (void *)(uintptr_t)48);
    pthread_create(&writer, NULL, write_all, NULL);
    pthread_join(writer, NULL);
    pthread_join(readers[0], NULL);
    pthread_join(readers[1], NULL);
    return torn || wrong_sum;
}
