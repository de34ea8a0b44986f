/* pack.h: what the packing half of the codec is made of. Private to proto/.
 *
 * Packing builds protobuf-c's structs around borrowed pointers; what must be made for that lives in
 * an arena that ends with the call. Pure; any thread.
 */
#ifndef COHORT_PROTO_PACK_H
#define COHORT_PROTO_PACK_H

#include <protobuf-c/protobuf-c.h>

#include "proto/codec.h"

ProtobufCBinaryData pack_bytes(const void *data, size_t n);
ProtobufCBinaryData pack_text(const char *s); /* NULL is empty */
ProtobufCBinaryData pack_hash(const struct hash *h);

/* Text for people: escaped, and cut to bytes_max between two characters. */
ProtobufCBinaryData pack_display(struct arena *a, const char *s, size_t bytes_max);

void *pack_array(struct arena *a, size_t count, size_t item_bytes);
void pack_append(struct buf *out, const ProtobufCMessage *m);
void pack_arena_done(struct arena **a); /* for CLEANUP */

#endif
