/* server.h: the learner's two sockets: frames in, decoded requests out; answers packed and sent.
 *
 * ctl carries the lease protocol, bulk the chunks of blobs. Nothing of a frame is believed before
 * the codec has checked it; what it refuses is answered with NACK_BAD_FRAME and counted. Owner: the
 * loop thread. Callbacks run on it; what they get is valid during the call.
 */
#ifndef COHORT_LEARNER_SERVER_H
#define COHORT_LEARNER_SERVER_H

#include <uv.h>

#include "common/base/err.h"
#include "learner/rows.h"

enum server_socket { SERVER_CTL, SERVER_BULK };

struct server;

typedef void server_request_fn(void *arg, enum server_socket socket, const struct hub_peer *peer,
    const struct frame *f, const struct msg *m);

/* Binds DIR/ctl and DIR/bulk. */
int server_open(uv_loop_t *loop, const char *dir, uint32_t epoch, server_request_fn *on_request,
    void *arg, struct server **ret, struct err *e) ERR_WARN_UNUSED;
/* G8: lets in as many peers as receive_bytes hold, since each may be sending the largest message on
 * both sockets. ERR_CONFIG when that, or the limit of descriptors, is too little for `workers`. */
int server_limit(
    struct server *s, uint64_t receive_bytes, unsigned workers, struct err *e) ERR_WARN_UNUSED;
void server_reply(struct server *s, enum server_socket socket, const struct hub_peer *peer,
    uint64_t session, uint64_t sequence, const struct msg *m);
void server_nack(struct server *s, enum server_socket socket, const struct hub_peer *peer,
    const struct frame *f, enum nack_code code, const char *message);
void server_close(struct server *s); /* then let the loop turn */

#endif
