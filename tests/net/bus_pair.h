/* bus_pair.h: a server that does what a test says, a client, and what both saw. */
#ifndef COHORT_TESTS_NET_BUS_PAIR_H
#define COHORT_TESTS_NET_BUS_PAIR_H

#include "common/net/bus.h"
#include "proto/limits.h"
#include "tests/net/harness.h"

enum { SEEN_MAX = 64 };

/* A server that does what the test says, and remembers what it saw. */
struct fake {
    struct bus_server *server;
    size_t seen;
    uint64_t ids[SEEN_MAX];
    struct bus_route routes[SEEN_MAX];
    struct hash_of_payload {
        uint32_t bytes, crc;
    } payloads[SEEN_MAX];
    size_t ignore; /* so many requests are not answered */
    size_t copies; /* replies for each request */
    bool hold;     /* the test answers by itself */
    uint32_t reply_bytes;
    size_t wanted; /* reached is set when so many were seen */
    bool reached;
};

/* Payload bytes for every test: the first n of these. */
extern uint8_t bus_bytes[LIMIT_SUBMIT_BYTES];
void bus_bytes_init(void);

void fake_request(void *arg, const struct bus_route *from, const struct frame *f);
void fake_open(struct fake *s, struct harness *h, const char *address);
void fake_answer(struct fake *s, const struct bus_route *to, uint64_t id);

/* What a client's callback saw. */
struct answers {
    size_t count, nulls, wanted;
    uint64_t ids[SEEN_MAX];
    uint32_t bytes;
    bool reached;
};

void answers_add(void *arg, const struct frame *reply); /* a bus_reply_fn */

struct pair {
    struct harness h;
    struct fake s;
    struct bus_client *c;
    struct answers a;
};

/* A server that answers each request once, and a client of it. */
void pair_init(struct pair *p);
void pair_done(struct pair *p);

struct frame a_poll(uint32_t payload_bytes);
uint64_t ask(struct pair *p, uint32_t payload_bytes, uint32_t deadline_ms);

#endif
