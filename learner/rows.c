/* rows.c: batches of row effects and outputs. */
#include "learner/rows.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void batch_init(struct batch *b)
{
    *b = (struct batch){.arena = arena_new(0)};
}

void batch_done(struct batch *b)
{
    arena_free(b->arena);
    free(b->rows);
    free(b->outs);
    *b = (struct batch){0};
}

bool batch_empty(const struct batch *b)
{
    return b->row_count == 0 && b->out_count == 0;
}

struct row *batch_row(struct batch *b, enum row_kind kind)
{
    if (b->row_count == b->row_cap) {
        b->row_cap = b->row_cap ? 2 * b->row_cap : 64;
        b->rows = mem_grow(b->rows, b->row_cap, sizeof(*b->rows));
    }
    struct row *r = &b->rows[b->row_count++];
    *r = (struct row){.kind = kind};
    return r;
}

struct out *batch_out(struct batch *b, enum out_kind kind)
{
    if (b->out_count == b->out_cap) {
        b->out_cap = b->out_cap ? 2 * b->out_cap : 16;
        b->outs = mem_grow(b->outs, b->out_cap, sizeof(*b->outs));
    }
    struct out *o = &b->outs[b->out_count++];
    memset(o, 0, sizeof(*o));
    o->kind = kind;
    return o;
}

void batch_event(struct batch *b, enum event_level level, const char *kind, const char *subject,
    const char *fmt, ...)
{
    char text[LIMIT_TEXT];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args); /* a message that is too long is cut */
    va_end(args);
    struct row *r = batch_row(b, ROW_EVENT);
    r->event = (struct row_event){.level = level,
        .kind = kind,
        .subject = batch_strdup(b, subject),
        .message = batch_strdup(b, text)};
}

void *batch_alloc(struct batch *b, size_t bytes)
{
    void *p = arena_alloc(b->arena, bytes);
    assert(p); /* the arena of a batch has no bound: its contents are bounded one by one */
    return p;
}

void *batch_dup(struct batch *b, const void *p, size_t bytes)
{
    if (bytes == 0)
        return NULL;
    return memcpy(batch_alloc(b, bytes), p, bytes);
}

const char *batch_strdup(struct batch *b, const char *s)
{
    return s ? batch_dup(b, s, strlen(s) + 1) : NULL;
}
