/* hub_sim.h: the simulated world of hub_sim_test: a network that loses, doubles and delays, workers
 * that crash, and the hub with its tables. hub_sim_world.c has the network and the workers. */
#ifndef COHORT_TESTS_HUB_SIM_H
#define COHORT_TESTS_HUB_SIM_H

#include "hub_fake.h"
#include "hub_model.h"
#include "learner/hub.h"

enum {
    WORLD_WORKERS = 6,
    WORLD_STEPS = 5,
    WORLD_GROUPS = 8,
    WORLD_MS_MAX =
        3600 * 1000, /* simulated; a world that needs longer has stopped making progress */
    SLOTS = 4,
    RESULTS_MAX = 16,
    PACKETS_MAX = 4096,
    VOCAB = 32,
};

struct packet {
    uint64_t at_ms, order;
    int to;        /* worker, or -1: the hub */
    uint32_t life; /* of the worker that it is from or for */
    struct frame frame;
    const struct msg *msg; /* in the world's arena */
};

struct result { /* a worker's outbox */
    uint64_t lease, request, sequence, again_ms;
    struct msg msg;
    struct hash digest;
    uint8_t payload[8];
    bool used;
};

struct sim_worker {
    char name[16];
    enum frame_role role;
    uint32_t life, epoch;
    uint64_t down_until_ms;
    uint64_t session, sequence, request; /* request: of the poll or Hello under way, 0: none */
    uint64_t request_sequence, again_ms, beat_ms;
    bool asks_hello;
    struct msg asking;
    uint64_t held[LIMIT_LEASES_PER_WORKER];
    uint32_t held_count;
    struct result results[RESULTS_MAX];
};

struct world {
    uint64_t seed, now_ms, order, next_request;
    struct rng rng;
    struct arena *arena;
    struct model tables;
    struct hub *hub;
    struct hub_options options;
    struct hub_scorer scorers[FAKE_SCORERS];
    uint32_t stop_ids[1];
    uint64_t next_session;
    struct batch filling, flying;
    bool in_flight, quiet;
    uint64_t flight_end_ms, hub_down_until_ms;
    struct packet packets[PACKETS_MAX];
    size_t packet_count;
    struct sim_worker workers[WORLD_WORKERS];
    /* the stage thread */
    uint32_t step; /* committed so far; 0: nothing is planned yet */
    bool calling, waiting;
    uint64_t commits_before;
    uint64_t groups[WORLD_GROUPS];
    bool done;
    /* what workers were told is stored */
    struct {
        uint64_t lease;
        struct hash digest;
    } acked[1 << 15];
    size_t acked_count;
    uint64_t restarts, failures, conflicts;
};

/* True with that chance, out of 1000; never once the world is quiet. */
bool world_chance(struct world *w, unsigned permille);
uint64_t world_jitter(struct world *w, uint64_t ms); /* 1 to ms */

/* Loses 1 in 10, doubles 1 in 10 (the copy may come much later), delays all: so they overtake each
 * other. */
void world_send(struct world *w, struct packet p);
bool world_receive(struct world *w, struct packet *ret); /* the next packet that is due */

void world_worker_turn(struct world *w, int worker);
void world_to_worker(struct world *w, struct packet *p);
/* The score of a completion, the same in every world: NAN for 1 in 16, whose judge is broken for
 * good. */
double world_true_value(uint64_t group, uint32_t index, const char *scorer);

#endif
