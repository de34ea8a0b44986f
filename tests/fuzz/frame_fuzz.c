/* frame_fuzz.c: libFuzzer target for what comes from a socket: frames, messages and structured
 * blobs.
 *
 * The first byte chooses: 0 a whole frame; a message type, whose payload follows; above those a
 * grade input or a weights manifest. Whatever is accepted must pack to bytes that unpack and pack
 * to themselves, and must have taken no more memory than its bound.
 */
#include <stdlib.h>

#include "proto/codec.h"

static void require(bool good)
{
    if (!good)
        abort();
}

/* Alignment may round each of the codec's allocations up by 15 bytes, and the smallest is one. */
static struct arena *bounded_arena(size_t n)
{
    return arena_new(16 * ((size_t)LIMIT_UNPACK_FACTOR * n + LIMIT_UNPACK_MIN_BYTES));
}

static void try_message(const struct frame *f)
{
    struct arena *a = bounded_arena(f->payload_bytes), *b = arena_new(0);
    struct err e = {0};
    struct msg m, again;
    int r = msg_unpack(f, a, &m, &e);
    if (r != 0) {
        require(r == ERR_LIMIT && e.msg[0] != '\0');
    } else {
        struct buf one = {0}, two = {0};
        msg_pack(&one, &m);
        struct frame g = *f;
        g.payload = one.data;
        g.payload_bytes = (uint32_t)one.len;
        require(msg_unpack(&g, b, &again, &e) == 0);
        msg_pack(&two, &again);
        require(one.len == two.len && (one.len == 0 || memcmp(one.data, two.data, one.len) == 0));
        buf_done(&one);
        buf_done(&two);
    }
    arena_free(a);
    arena_free(b);
}

static void try_frame(const uint8_t *data, size_t n)
{
    struct frame f;
    struct err e = {0};
    int r = frame_parse(data, n, &f, &e);
    if (r != 0) {
        require(r == ERR_LIMIT && e.msg[0] != '\0');
        return;
    }
    struct buf b = {0};
    frame_write(&b, &f);
    require(b.len == n && memcmp(b.data, data, n) == 0); /* a frame has one form only */
    buf_done(&b);
    try_message(&f);
}

static void try_blobs(const uint8_t *data, size_t n)
{
    struct arena *a = bounded_arena(n);
    struct err e = {0};
    struct grade_input in;
    struct weights_manifest w;
    struct buf b = {0};
    if (grade_input_unpack(data, n, a, &in, &e) == 0) {
        grade_input_pack(&b, &in);
        require(grade_input_unpack(b.data, b.len, a, &in, &e) == 0);
    }
    buf_clear(&b);
    if (weights_manifest_unpack(data, n, a, &w, &e) == 0) {
        weights_manifest_pack(&b, &w);
        require(weights_manifest_unpack(b.data, b.len, a, &w, &e) == 0);
    }
    buf_done(&b);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    if (data[0] == 0) {
        try_frame(data + 1, n - 1);
    } else if (data[0] < MSG_TYPE_COUNT) {
        struct frame f = {.type = data[0], .payload = data + 1, .payload_bytes = (uint32_t)n - 1};
        try_message(&f);
    } else {
        try_blobs(data + 1, n - 1);
    }
    return 0;
}
