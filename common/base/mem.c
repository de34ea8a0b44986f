/* mem.c: allocation that dies when small and fails politely when big, byte buffers, arenas. */
#include "common/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    BIG_ALIGN = 64,
    HUGE_PAGE = 2 << 20, /* of x86; elsewhere a harmless alignment */
    HUGE_MIN = 4 << 20,
    ARENA_ALIGN = 16,
    ARENA_BLOCK_BYTES = 64 * 1024, /* the least that an arena asks for at a time */
    BUF_BYTES_MIN = 64,
};

/* Out of memory while handling something small: nothing sensible is left to do, and a restart is
 * safe because whatever was acknowledged is durable. */
static void die(const char *what)
{
    (void)fprintf(stderr, "out of memory: %s\n", what);
    abort();
}

static size_t bytes_of(size_t count, size_t item_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, item_bytes, &bytes))
        die("the size of an array overflows");
    return bytes > 0 ? bytes : 1;
}

void *mem_alloc(size_t bytes)
{
    return mem_array(bytes, 1);
}

void *mem_array(size_t count, size_t item_bytes)
{
    void *p = calloc(1, bytes_of(count, item_bytes));
    if (p == NULL)
        die("calloc");
    return p;
}

void *mem_grow(void *p, size_t count, size_t item_bytes)
{
    void *grown = realloc(p, bytes_of(count, item_bytes));
    if (grown == NULL)
        die("realloc");
    return grown;
}

char *mem_strdup(const char *s)
{
    return s != NULL ? mem_dup(s, strlen(s) + 1) : NULL;
}

char *mem_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = mem_alloc(len + 1);
    memcpy(copy, s, len);
    return copy;
}

char *mem_printf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        die("vasprintf");
    return s;
}

void *mem_dup(const void *p, size_t bytes)
{
    void *copy = mem_alloc(bytes);
    if (bytes > 0)
        memcpy(copy, p, bytes);
    return copy;
}

static size_t big_align(size_t bytes)
{
    return bytes >= HUGE_MIN ? HUGE_PAGE : BIG_ALIGN;
}

size_t mem_big_bytes(size_t bytes)
{
    size_t align = big_align(bytes);
    return bytes > 0 ? (bytes + align - 1) / align * align : align;
}

void *mem_big(size_t count, size_t item_bytes, const char *what, struct err *e)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, item_bytes, &bytes) || bytes > SIZE_MAX / 2) {
        err_set(e, ERR_FAIL, "%s: %zu items of %zu bytes exceed the address space", what, count,
            item_bytes);
        return NULL;
    }
    size_t align = big_align(bytes);
    bytes = mem_big_bytes(bytes);
    void *p = aligned_alloc(align, bytes);
    if (p == NULL) {
        err_set(e, ERR_FAIL, "%s: no memory for %zu MiB", what, (bytes + (1 << 20) - 1) >> 20);
        return NULL;
    }
    if (align == HUGE_PAGE)
        (void)madvise(p, bytes, MADV_HUGEPAGE); /* advice: where it is not taken, pages are small */
    memset(p, 0, bytes);
    return p;
}

void mem_big_free(void *p)
{
    free(p);
}

void mem_free_ptr(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof(p));
    free(p);
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
    size_t need;
    if (__builtin_add_overflow(b->len, n, &need) || need > SIZE_MAX / 4)
        die("the size of a buffer overflows");
    if (need + 1 > b->cap) {
        size_t cap = b->cap < BUF_BYTES_MIN ? BUF_BYTES_MIN : b->cap;
        while (cap < need + 1)
            cap *= 2;
        b->data = mem_grow(b->data, cap, 1);
        b->cap = cap;
    }
    uint8_t *p = b->data + b->len;
    b->len = need;
    b->data[need] = '\0';
    return p;
}

void buf_append(struct buf *b, const void *data, size_t n)
{
    uint8_t *p = buf_extend(b, n);
    if (n > 0)
        memcpy(p, data, n);
}

void buf_puts(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    enum { GUESS = 200 }; /* most texts are shorter, and then formatted once */
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    /* vsnprintf writes its NUL at the place that buf_extend keeps for it. */
    char *p = (char *)buf_extend(b, GUESS);
    int n = vsnprintf(p, GUESS + 1, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    b->len -= GUESS;
    p = (char *)buf_extend(b, (size_t)n);
    if (n > GUESS)
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    put_u16(buf_extend(b, 2), v);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    put_u32(buf_extend(b, 4), v);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    put_u64(buf_extend(b, 8), v);
}

uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

uint64_t get_u64(const uint8_t *p)
{
    return (uint64_t)get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

void put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void put_u32(uint8_t *p, uint32_t v)
{
    put_u16(p, (uint16_t)v);
    put_u16(p + 2, (uint16_t)(v >> 16));
}

void put_u64(uint8_t *p, uint64_t v)
{
    put_u32(p, (uint32_t)v);
    put_u32(p + 4, (uint32_t)(v >> 32));
}

/* A block holds cap bytes behind its header; the header keeps the alignment of what follows. */
struct arena_block {
    _Alignas(ARENA_ALIGN) struct arena_block *next; /* owned; older */
    size_t used, cap;
};

struct arena {
    struct arena_block *top; /* owned; the one that serves */
    size_t bytes_max;        /* 0: no bound */
    size_t bytes;            /* handed out since the last clear, rounded up */
};

struct arena *arena_new(size_t bytes_max)
{
    struct arena *a = mem_alloc(sizeof(*a));
    a->bytes_max = bytes_max;
    return a;
}

/* Frees the chain that starts at b. */
static void blocks_free(struct arena_block *b)
{
    while (b != NULL) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    blocks_free(a->top);
    free(a);
}

/* Keeps the newest block, so that a loop of equal messages settles on no allocation at all. */
void arena_clear(struct arena *a)
{
    a->bytes = 0;
    if (a->top == NULL)
        return;
    blocks_free(a->top->next);
    a->top->next = NULL;
    a->top->used = 0;
}

static void block_push(struct arena *a, size_t need)
{
    /* Doubling keeps the number of blocks small and lets the kept one hold a whole message. */
    size_t cap = a->top != NULL ? a->top->cap * 2 : ARENA_BLOCK_BYTES;
    if (cap > 64 * ARENA_BLOCK_BYTES)
        cap = 64 * ARENA_BLOCK_BYTES;
    if (cap < need)
        cap = need;
    struct arena_block *b = aligned_alloc(ARENA_ALIGN, sizeof(*b) + cap);
    if (b == NULL)
        die("arena");
    *b = (struct arena_block){.next = a->top, .cap = cap};
    a->top = b;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    size_t need = bytes > 0 ? (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN : ARENA_ALIGN;
    if (a->bytes_max > 0 && (need > a->bytes_max || a->bytes > a->bytes_max - need))
        return NULL;
    if (a->top == NULL || a->top->cap - a->top->used < need)
        block_push(a, need);
    uint8_t *p = (uint8_t *)(a->top + 1) + a->top->used;
    a->top->used += need;
    a->bytes += need;
    memset(p, 0, need);
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s != NULL ? arena_dup(a, s, strlen(s) + 1) : NULL;
}

void *arena_dup(struct arena *a, const void *p, size_t bytes)
{
    void *copy = arena_alloc(a, bytes);
    if (copy != NULL && bytes > 0)
        memcpy(copy, p, bytes);
    return copy;
}
