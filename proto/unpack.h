/* unpack.h: what the unpacking half of the codec is made of. Private to proto/.
 *
 * A struct unpacker carries one message from bytes to plain structs. Its allocator counts what
 * protobuf-c asks for. The first thing found wrong sticks in u->code and u->e; the checks after it
 * do nothing and answer zeros, so that a decoder reads as a list of fields. Pure; any thread.
 */
#ifndef COHORT_PROTO_UNPACK_H
#define COHORT_PROTO_UNPACK_H

#include <protobuf-c/protobuf-c.h>

#include "proto/codec.h"

struct unpacker {
    ProtobufCAllocator allocator;
    struct arena *arena; /* borrowed */
    size_t left;         /* bytes that may still be allocated */
    const char *message; /* "Grant": for error messages */
    const char *list;    /* "sample": the list that is walked, or NULL */
    size_t index;        /* in that list */
    int code;            /* of the first error, or 0 */
    struct err *e;
};

/* Begins; the bound is LIMIT_UNPACK_FACTOR times n plus LIMIT_UNPACK_MIN_BYTES. Do not move u
 * after. */
void unpacker_init(
    struct unpacker *u, struct arena *a, const char *message, size_t n, struct err *e);

/* Runs protobuf-c; NULL with the error set when the bytes are malformed or need too much memory. */
const void *unpack_run(
    struct unpacker *u, const ProtobufCMessageDescriptor *d, const uint8_t *data, size_t n);

/* Zeroed array from the arena; NULL with the error set over the bound. */
void *unpack_array(struct unpacker *u, size_t count, size_t item_bytes);

void unpack_fail(struct unpacker *u, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Fields. Strings are terminated, without a NUL inside, and never NULL. */
const char *unpack_name(struct unpacker *u, const char *field, ProtobufCBinaryData b);
const char *unpack_text(
    struct unpacker *u, const char *field, ProtobufCBinaryData b, size_t bytes_max);
const char *unpack_display(
    struct unpacker *u, const char *field, ProtobufCBinaryData b, size_t bytes_max);
const char *unpack_path(struct unpacker *u, const char *field, ProtobufCBinaryData b);
struct hash unpack_hash(struct unpacker *u, const char *field, ProtobufCBinaryData b);
void unpack_boot_id(struct unpacker *u, ProtobufCBinaryData b, uint8_t out[16]); /* may be absent */
uint64_t unpack_range(
    struct unpacker *u, const char *field, uint64_t value, uint64_t low, uint64_t high);
size_t unpack_count(struct unpacker *u, const char *field, size_t n, size_t low, size_t high);
uint64_t unpack_id(struct unpacker *u, const char *field, uint64_t id); /* any but 0 */

/* Lease ids: not 0, none twice, at most LIMIT_LEASES_PER_WORKER. Returns how many. */
size_t unpack_leases(
    struct unpacker *u, const char *field, const uint64_t *leases, size_t n, const uint64_t **ret);

/* Token ids below LIMIT_VOCAB, as little-endian u32. Returns how many. */
size_t unpack_tokens(struct unpacker *u, const char *field, ProtobufCBinaryData b, size_t low,
    size_t high, const uint32_t **ret);

/* count log-probs: finite and at most 0. */
const float *unpack_logp(
    struct unpacker *u, const char *field, ProtobufCBinaryData b, size_t count);

#endif
