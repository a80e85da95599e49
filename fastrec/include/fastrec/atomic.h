/* atomic.h: the few memory operations the ring protocol needs, by their C11 names.
 *
 * Shared words are always 64 bits wide and naturally aligned; both sides access them with the same
 * size, because mixed-size atomics are undefined. Nothing here emits a locked instruction on x86-64,
 * except fr_add, which never stands on a publish path. */
#ifndef FASTREC_ATOMIC_H
#define FASTREC_ATOMIC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FR_CACHE_LINE 128 /* adjacent-line prefetch pairs lines of 64 bytes */

static inline uint64_t fr_load_relaxed(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint64_t fr_load_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void fr_store_relaxed(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void fr_store_release(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void fr_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
static inline void fr_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }

/* Add to a word that several threads write; returns the value before. */
static inline uint64_t fr_add(uint64_t *p, uint64_t v) { return __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL); }

/* One word of private memory, in a register of its own: a compiler that merges two such loads into a wide
 * one makes it wait for the narrow stores that have just filled the struct. */
static inline uint64_t fr_load_word(const unsigned char *from)
{
    uint64_t w;
    memcpy(&w, from, sizeof w);
    __asm__("" : "+r"(w));
    return w;
}

/* Bytes into shared words. `src` is private and may be unaligned; `words` counts 8 bytes each.
 * Unrolled by hand: a rolled loop of atomic stores runs at a quarter of the bandwidth. */
static inline void fr_copy_in(uint64_t *shared, const void *src, size_t words)
{
    const unsigned char *from = (const unsigned char *)src;
    for (; words >= 4; words -= 4, shared += 4, from += 32) {
        fr_store_relaxed(shared, fr_load_word(from));
        fr_store_relaxed(shared + 1, fr_load_word(from + 8));
        fr_store_relaxed(shared + 2, fr_load_word(from + 16));
        fr_store_relaxed(shared + 3, fr_load_word(from + 24));
    }
    for (; words; words--, shared++, from += 8)
        fr_store_relaxed(shared, fr_load_word(from));
}

/* Shared words into private bytes, ascending. */
static inline void fr_copy_out(void *dst, const uint64_t *shared, size_t words)
{
    unsigned char *to = (unsigned char *)dst;
    uint64_t w[4];
    for (; words >= 4; words -= 4, shared += 4, to += sizeof w) {
        w[0] = fr_load_relaxed(shared);
        w[1] = fr_load_relaxed(shared + 1);
        w[2] = fr_load_relaxed(shared + 2);
        w[3] = fr_load_relaxed(shared + 3);
        memcpy(to, w, sizeof w);
    }
    for (; words; words--, shared++, to += sizeof *w) {
        w[0] = fr_load_relaxed(shared);
        memcpy(to, w, sizeof *w);
    }
}

/* A block of words that is replaced as a whole by one writer, and copied by readers that retry: a
 * sequence word before the data, odd while the data change (Boehm 2012, with both fences). */
static inline void fr_seq_begin(uint64_t *seq)
{
    fr_store_relaxed(seq, fr_load_relaxed(seq) + 1);
    fr_fence_release();
}

static inline void fr_seq_end(uint64_t *seq) { fr_store_release(seq, fr_load_relaxed(seq) + 1); }

/* One attempt at a copy; false when a write was under way. */
static inline int fr_seq_read(const uint64_t *seq, void *dst, const uint64_t *shared, size_t words)
{
    uint64_t before = fr_load_acquire(seq);
    fr_copy_out(dst, shared, words);
    fr_fence_acquire();
    return !(before & 1) && fr_load_relaxed(seq) == before;
}

#endif
