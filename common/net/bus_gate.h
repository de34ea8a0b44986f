/* bus_gate.h: the door in front of a nanomsg socket. Private to the bus.
 *
 * How it works: nanomsg 1.1.5 aborts the process when an ipc peer sends a message head that it does
 * not know, so peers never reach it. The socket that they see is ours. Each connection to it is
 * checked, byte by byte, for the handshake of a REQ peer and for well-formed message heads within
 * the size limit; what passes is copied to a connection of its own to nanomsg's socket, and replies
 * are copied back unread. The path of nanomsg's socket is removed as soon as it is bound: only the
 * gate, which keeps the file open, can connect to it. A peer that breaks a rule is counted and its
 * connection closed.
 *
 * Loop thread only. Opening a gate makes the process ignore SIGPIPE.
 */
#ifndef COHORT_NET_BUS_GATE_H
#define COHORT_NET_BUS_GATE_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/base/err.h"

struct bus_gate;

/* Where nanomsg is to bind for a public path: "ipc:///proc/self/fd/N/.NAME". The directory must
 * belong to this user alone, since whoever can enter it is trusted with the socket. Refuses a path
 * that is in use; a socket that a killed process left is replaced. */
int bus_gate_new(uv_loop_t *loop, const char *path, size_t message_max, struct bus_gate **ret,
    struct err *e) ERR_WARN_UNUSED;
const char *bus_gate_inner_address(const struct bus_gate *g);

/* Call when nanomsg has bound: hides its path and lets peers in. */
int bus_gate_listen(struct bus_gate *g, struct err *e) ERR_WARN_UNUSED;

/* At most so many connections at once, and no more than the limit of descriptors allows anyway:
 * each may make nanomsg take the memory of a message. */
void bus_gate_limit(struct bus_gate *g, size_t connections_max);
size_t bus_gate_connections_max(const struct bus_gate *g);

uint64_t bus_gate_rejected(const struct bus_gate *g); /* connections closed for what they sent */
void bus_gate_close(struct bus_gate *g);              /* freed with its last handle; NULL is fine */

#endif
