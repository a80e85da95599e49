/* publish.cpp: records through fastrec's ring, and through two queues that people trust, by one template.
 *
 * A record is its number and a payload. What is taken out is copied to `taken`, its order is judged on the
 * way, and its content afterwards, outside of the time, for all alike. */
#include <boost/lockfree/spsc_queue.hpp>
#include <fastrec/ring.h>
#include <readerwriterqueue/readerwriterqueue.h>
#include <thread>

struct payload {
    unsigned char bytes[32];
};

struct record {
    int64_t number;
    payload status;
};

static_assert(sizeof(record) == 40, "the record is fastrec's own");

/* What a run is given, and what became of it. */
struct run {
    const payload *payloads; /* FEED of them, in turn */
    uint64_t first;          /* number of the first record */
    uint64_t count;
    record *taken; /* room for `room`, used in turn */
    uint64_t room;
    uint64_t most;   /* records to take out at once */
    uint64_t popped; /* from here on: the answer */
    uint64_t lost;
    uint64_t wrong; /* out of order */
};

constexpr uint64_t FEED = 64;

/* The ring as it always is: a reader that is too slow loses. */
struct overwriting {
    fr_ring ring;
    uint64_t cursor = 0, lost = 0;
    void *memory;
    uint64_t size;
    int fd;

    explicit overwriting(uint64_t capacity, int bounded = 0)
    {
        fr_ring_header plan;
        int error;
        memset(&plan, 0, sizeof plan);
        plan.record_size = sizeof(record), plan.payload_offset = 8, plan.payload_size = sizeof(payload);
        plan.nslots = capacity + FR_GUARD;
        size = fr_ring_plan(&plan);
        memory = fr_map_new("bench", size, &fd, &error);
        if (!memory)
            throw std::bad_alloc();
        plan.bounded = (uint64_t)bounded;
        memcpy(memory, &plan, sizeof plan);
        fr_ring_take(&ring, memory);
    }
    ~overwriting() { fr_map_free(memory, size, fd); }

    bool push(int64_t number, const payload &status)
    {
        fr_ring_put_payloads(&ring, number, NULL, status.bytes, sizeof status, 1);
        return true;
    }
    uint64_t pop(record *to, uint64_t most)
    {
        fr_span span = fr_lane_read(&ring.view.records, cursor, to, most);
        if (span.skip)
            memmove(to, to + span.skip, span.count * sizeof *to);
        cursor = span.first + span.count;
        lost += span.lost;
        return span.count;
    }
};

/* The ring of when_full="drop": the writer waits for the reader, as the two queues do. */
struct bounded : overwriting {
    explicit bounded(uint64_t capacity) : overwriting(capacity, 1) {}

    bool push(int64_t number, const payload &status)
    {
        return fr_ring_room(&ring, 1) && overwriting::push(number, status);
    }
    uint64_t pop(record *to, uint64_t most)
    {
        uint64_t count = overwriting::pop(to, most);
        fr_store_release(&ring.view.header->tail, cursor);
        return count;
    }
};

struct moodycamel_queue {
    moodycamel::ReaderWriterQueue<record> queue;
    uint64_t lost = 0;

    explicit moodycamel_queue(uint64_t capacity) : queue(capacity) {}

    bool push(int64_t number, const payload &status) { return queue.try_enqueue(record{number, status}); }
    uint64_t pop(record *to, uint64_t most)
    {
        uint64_t n = 0;
        while (n < most && queue.try_dequeue(to[n]))
            n++;
        return n;
    }
};

struct boost_queue {
    boost::lockfree::spsc_queue<record> queue;
    uint64_t lost = 0;

    explicit boost_queue(uint64_t capacity) : queue(capacity) {}

    bool push(int64_t number, const payload &status) { return queue.push(record{number, status}); }
    uint64_t pop(record *to, uint64_t most) { return most == 1 ? queue.pop(*to) : queue.pop(to, most); }
};

/* Take out what there is, at most `most` records. */
template <class queue> static inline uint64_t take(queue &q, run &r, uint64_t &at, int64_t &next)
{
    uint64_t most = r.most < r.room - at ? r.most : r.room - at, n = q.pop(r.taken + at, most), i;
    for (i = 0; i < n; i++) {
        r.wrong += r.taken[at + i].number < next;
        next = r.taken[at + i].number + 1;
    }
    at = at + n == r.room ? 0 : at + n;
    r.popped += n;
    return n;
}

/* One thread: as many as fit go in, then all come out. */
template <class queue> static void alone(queue &q, run &r, uint64_t fit)
{
    uint64_t at = 0, n, done, i;
    int64_t next = (int64_t)r.first;
    for (done = 0; done < r.count; done += n) {
        n = fit < r.count - done ? fit : r.count - done;
        for (i = done; i < done + n; i++)
            r.wrong += !q.push((int64_t)(r.first + i), r.payloads[i % FEED]);
        while (take(q, r, at, next))
            ;
    }
}

/* Nothing to take, or no room: look again, and after a while let others run, whom we may be waiting for. */
static inline void pause(uint64_t &tries)
{
    if (++tries % 1024)
        fr_relax();
    else
        std::this_thread::yield();
}

/* Two threads; what is refused is offered again. */
template <class queue> static void beside(queue &q, run &r)
{
    const uint64_t lost = q.lost;
    std::thread reader([&] {
        uint64_t at = 0, tries = 0;
        int64_t next = (int64_t)r.first;
        while (r.popped + (q.lost - lost) < r.count)
            if (!take(q, r, at, next))
                pause(tries);
    });
    uint64_t tries = 0;
    for (uint64_t i = 0; i < r.count; i++)
        while (!q.push((int64_t)(r.first + i), r.payloads[i % FEED]))
            pause(tries);
    reader.join();
    r.lost = q.lost - lost;
}

#define CONTESTANT(name)                                                                                     \
    extern "C" void *name##_new(uint64_t capacity)                                                           \
    try {                                                                                                    \
        return new name(capacity);                                                                           \
    } catch (const std::bad_alloc &) {                                                                       \
        return NULL;                                                                                         \
    }                                                                                                        \
    extern "C" void name##_free(void *q) { delete static_cast<name *>(q); }                                  \
    extern "C" void name##_alone(void *q, run *r, uint64_t fit) { alone(*static_cast<name *>(q), *r, fit); } \
    extern "C" void name##_beside(void *q, run *r, uint64_t) { beside(*static_cast<name *>(q), *r); }

CONTESTANT(overwriting)
CONTESTANT(bounded)
CONTESTANT(moodycamel_queue)
CONTESTANT(boost_queue)

/* Publishing and nothing else. */
extern "C" void overwriting_publish(void *q, run *r, uint64_t)
{
    overwriting &ring = *static_cast<overwriting *>(q);
    const payload *const payloads = r->payloads;
    const uint64_t first = r->first, count = r->count;
    for (uint64_t i = 0; i < count; i++)
        ring.push((int64_t)(first + i), payloads[i % FEED]);
}

/* The newest records of the ring, as many as fit. */
extern "C" void overwriting_newest(void *q, run *r, uint64_t)
{
    overwriting &ring = *static_cast<overwriting *>(q);
    ring.cursor = *ring.ring.view.records.head - r->room;
    r->popped = ring.pop(r->taken, r->room);
}

/* The same into a plain array of `taken`. Two moves of 16 bytes and one of 8 a record: a compiler that sees a
 * struct assigned does not make more of it, and cannot leave it out, for the array is read afterwards. */
extern "C" void array_store(void *, run *r, uint64_t)
{
    record *const array = r->taken;
    const payload *const payloads = r->payloads;
    const uint64_t first = r->first, count = r->count, room = r->room;
    uint64_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        array[at].number = (int64_t)(first + i);
        array[at].status = payloads[i % FEED];
        at = at + 1 == room ? 0 : at + 1;
    }
    r->popped = count < room ? count : room;
}
