/* The functions of the headers that stand on a publish or read path, for a look at their machine code. */
#include <fastrec/poll.h>

void lane_put(const fr_lane *lane, fr_pen *pen, const void *record) { fr_lane_put(lane, pen, record); }

void lane_put_many(const fr_lane *lane, fr_pen *pen, const void *records, uint64_t count)
{
    fr_lane_put_many(lane, pen, records, count);
}

fr_span lane_read(const fr_lane *lane, uint64_t cursor, void *to, uint64_t most)
{
    return fr_lane_read(lane, cursor, to, most);
}

void ring_put(fr_ring *ring, const void *record)
{
    fr_ring_put(ring, record);
    fr_ring_publish_recorded(ring);
}

void ring_put_payloads(fr_ring *ring, const int64_t *stamps, const unsigned char *payloads, size_t size,
                       uint64_t count)
{
    fr_ring_put_payloads(ring, 0, stamps, payloads, size, count);
    fr_ring_publish_account(ring);
}

void ring_put_payload(fr_ring *ring, int64_t stamp, const unsigned char *payload, size_t size)
{
    fr_ring_put_payload(ring, stamp, payload, size);
    fr_ring_publish_recorded(ring);
}

int64_t poll_call(fr_poll_channel *channel, const fr_poll_thread *thread, int64_t now)
{
    return fr_poll_call(channel, thread, now);
}

void poller_run(fr_poller *poller) { fr_poller_run(poller); }
