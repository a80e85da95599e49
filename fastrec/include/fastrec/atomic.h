/* atomic.h: the few memory operations the ring protocol needs, by their C11 names.
 *
 * Shared words are always 64 bits wide and naturally aligned; both sides access them with the same
 * size, because mixed-size atomics are undefined. Nothing here emits a locked instruction on x86-64,
 * except fr_add, which never stands on a publish path.
 *
 * With FR_RACE_CHECK every shared word is stored with release and loaded with acquire, and there are no
 * fences: the same protocol in terms that ThreadSanitizer knows, for it models no fence and sees no
 * assembly. */
#ifndef FASTREC_ATOMIC_H
#define FASTREC_ATOMIC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FR_CACHE_LINE 128 /* adjacent-line prefetch pairs lines of 64 bytes */
#define FR_INLINE static inline __attribute__((always_inline))
#define FR_APART static __attribute__((noinline, unused)) /* off the way, so that the way is short */

#ifdef FR_RACE_CHECK
#define FR_LOAD_ORDER __ATOMIC_ACQUIRE
#define FR_STORE_ORDER __ATOMIC_RELEASE
static inline void fr_fence_acquire(void) {}
static inline void fr_fence_release(void) {}
#else
#define FR_LOAD_ORDER __ATOMIC_RELAXED
#define FR_STORE_ORDER __ATOMIC_RELAXED
static inline void fr_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
static inline void fr_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
#endif

static inline uint64_t fr_load_relaxed(const uint64_t *p) { return __atomic_load_n(p, FR_LOAD_ORDER); }
static inline uint64_t fr_load_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void fr_store_relaxed(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, FR_STORE_ORDER); }
static inline void fr_store_release(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

/* Add to a word that several threads write; returns the value before. */
static inline uint64_t fr_add(uint64_t *p, uint64_t v) { return __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL); }

/* ---- copies between shared words and private bytes, which may be unaligned ---- */

typedef enum fr_way { FR_IN, FR_OUT } fr_way; /* into shared words, out of them */

FR_INLINE void fr_move(fr_way way, unsigned char *to, const unsigned char *from)
{
    uint64_t w;
    if (way == FR_IN) {
        memcpy(&w, from, sizeof w);
        fr_store_relaxed((uint64_t *)(void *)to, w);
    } else {
        w = fr_load_relaxed((const uint64_t *)(const void *)from);
        memcpy(to, &w, sizeof w);
    }
}

typedef struct __attribute__((may_alias)) fr_pair {
    unsigned char bytes[16];
} fr_pair;

/* Two words, in no order. On x86-64 as one SSE2 move, which the assembly keeps a compiler from making
 * anything else of. A processor performs it as one access or as several, stores in order with other stores
 * and loads with other loads. No manual promises that each half is whole, and none has to: the proof of the
 * ring holds byte by byte, for it asks of each only which store it came from, and that of the sequence word
 * does too. So it is a relaxed copy as good as two of words. To load 16 bytes that narrower stores have just
 * written was measured (Zen 5), and costs nothing that two loads of 8 do not. */
FR_INLINE void fr_move_pair(fr_way way, unsigned char *to, const unsigned char *from)
{
#if defined(__x86_64__) && !defined(FR_RACE_CHECK)
    float both __attribute__((vector_size(16)));
    (void)way;
    __asm__ volatile("movups %2, %0\n\tmovups %0, %1"
                     : "=&x"(both), "=m"(*(fr_pair *)to)
                     : "m"(*(const fr_pair *)from));
#else
    fr_move(way, to, from);
    fr_move(way, to + 8, from + 8);
#endif
}

/* `pairs` below 8, and known to the compiler. */
FR_INLINE void fr_move_pairs(fr_way way, unsigned char *to, const unsigned char *from, size_t pairs)
{
    if (pairs & 4) {
        fr_move_pair(way, to, from);
        fr_move_pair(way, to + 16, from + 16);
        fr_move_pair(way, to + 32, from + 32);
        fr_move_pair(way, to + 48, from + 48);
        to += 64, from += 64;
    }
    if (pairs & 2) {
        fr_move_pair(way, to, from);
        fr_move_pair(way, to + 16, from + 16);
        to += 32, from += 32;
    }
    if (pairs & 1)
        fr_move_pair(way, to, from);
}

/* Straight lines up to 16 words. The end is moved as a block that may overlap the one before: to move a word
 * twice is cheaper than to branch on how many are left. */
FR_INLINE void fr_copy(fr_way way, unsigned char *to, const unsigned char *from, size_t words)
{
    size_t end = words * 8;
    /* Compilers that know how long the object is warn of the blocks that it is too short for. */
    __asm__("" : "+r"(to), "+r"(from));
    if (words > 16) {
        for (; end > 128; end -= 128, to += 128, from += 128) {
            fr_move_pairs(way, to, from, 4);
            fr_move_pairs(way, to + 64, from + 64, 4);
        }
        to += end, from += end;
        fr_move_pairs(way, to - 128, from - 128, 4);
        fr_move_pairs(way, to - 64, from - 64, 4);
    } else if (words > 8) {
        fr_move_pairs(way, to, from, 4);
        fr_move_pairs(way, to + end - 64, from + end - 64, 4);
    } else if (words > 3) {
        fr_move_pairs(way, to, from, 2);
        fr_move_pairs(way, to + end - 32, from + end - 32, 2);
    } else {
        if (words > 1)
            fr_move_pair(way, to, from);
        if (words & 1)
            fr_move(way, to + end - 8, from + end - 8);
    }
}

FR_INLINE void fr_copy_in(uint64_t *shared, const void *src, size_t words)
{
    fr_copy(FR_IN, (unsigned char *)shared, (const unsigned char *)src, words);
}

#if defined(__x86_64__) && !defined(FR_RACE_CHECK)
#define FR_STREAM_WORDS (2u << 20) /* 16 MiB: beyond what a cache would keep of it */

/* Shared words out into memory that will not be in the cache anyway, past the cache: to fetch its lines first
 * is a third of such a copy. The fence is for whom the copy is handed to. */
FR_APART void fr_stream_out(unsigned char *to, const unsigned char *from, size_t words)
{
    size_t i;
    for (; (uintptr_t)to % 16; words--, to += 8, from += 8)
        fr_move(FR_OUT, to, from);
    for (; words >= 8; words -= 8, to += 64, from += 64)
        for (i = 0; i < 64; i += 16) {
            float both __attribute__((vector_size(16)));
            __asm__ volatile("movups %2, %0\n\tmovntps %0, %1"
                             : "=&x"(both), "=m"(*(fr_pair *)(to + i))
                             : "m"(*(const fr_pair *)(from + i)));
        }
    __asm__ volatile("sfence" ::: "memory");
    fr_copy(FR_OUT, to, from, words);
}
#endif

FR_INLINE void fr_copy_out(void *dst, const uint64_t *shared, size_t words)
{
#ifdef FR_STREAM_WORDS
    if (words >= FR_STREAM_WORDS && (uintptr_t)dst % 8 == 0) {
        fr_stream_out((unsigned char *)dst, (const unsigned char *)shared, words);
        return;
    }
#endif
    fr_copy(FR_OUT, (unsigned char *)dst, (const unsigned char *)shared, words);
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
