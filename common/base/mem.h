/* mem.h: allocation, cleanup, byte buffers, arenas.
 *
 * Small allocations die when memory is out (a restart is safe); blocks whose size depends on the
 * configuration use mem_big, which may fail politely. Nothing that came from outside chooses a size
 * before it was checked against proto/limits.h.
 */
#ifndef COHORT_BASE_MEM_H
#define COHORT_BASE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/err.h"

/* Runs FN(&var) when the variable leaves its scope. */
#define CLEANUP(FN) __attribute__((cleanup(FN)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Hands over an owned pointer: returns *pp and sets it to NULL, so that a cleanup does nothing. */
static inline void *steal_pointer(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof(p));
    memset(pp, 0, sizeof(p));
    return p;
}
#define steal(pp) ((__typeof__(*(pp)))steal_pointer(pp))

void *mem_alloc(size_t bytes);                    /* zeroed; aborts when out of memory */
void *mem_array(size_t count, size_t item_bytes); /* zeroed; aborts on overflow too */
void *mem_grow(
    void *p, size_t count, size_t item_bytes); /* realloc to count items; new part not zeroed */
char *mem_strdup(const char *s);               /* NULL stays NULL */
char *mem_strndup(const char *s, size_t n);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *mem_dup(const void *p, size_t bytes);

/* A zeroed block aligned to 64 bytes, or NULL with *e filled (ERR_FAIL, "what: N MiB").
 * mem_big_free. */
void *mem_big(size_t count, size_t item_bytes, const char *what, struct err *e);
void mem_big_free(void *p);
size_t mem_big_bytes(size_t bytes); /* what a block of so many takes: whole pages of its kind */

void mem_free_ptr(void *pp); /* for CLEANUP: free(*(void **)pp) */
#define CLEANUP_FREE CLEANUP(mem_free_ptr)

/* A growing byte string. data is always NUL-terminated beyond len when not NULL. */
struct buf {
    uint8_t *data; /* owned */
    size_t len, cap;
};

void buf_done(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_append(struct buf *b, const void *data, size_t n);
uint8_t *buf_extend(
    struct buf *b, size_t n); /* n more bytes, not set; pointer valid until the next call */
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define CLEANUP_BUF CLEANUP(buf_done)

/* Little-endian integers of wire and file formats. */
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
uint16_t get_u16(const uint8_t *p);
uint32_t get_u32(const uint8_t *p);
uint64_t get_u64(const uint8_t *p);
void put_u16(uint8_t *p, uint16_t v);
void put_u32(uint8_t *p, uint32_t v);
void put_u64(uint8_t *p, uint64_t v);

/* A bump allocator: allocate piecewise, free at once. bytes_max bounds it (0: no bound). */
struct arena;
struct arena *arena_new(size_t bytes_max);
void arena_free(struct arena *a);
void arena_clear(struct arena *a);
void *arena_alloc(struct arena *a, size_t bytes); /* zeroed, 16-byte aligned; NULL over bytes_max */
char *arena_strdup(struct arena *a, const char *s);
void *arena_dup(struct arena *a, const void *p, size_t bytes);

#endif
