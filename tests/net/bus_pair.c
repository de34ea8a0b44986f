/* bus_pair.c: see bus_pair.h. */
#include "tests/net/bus_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/hash.h"

uint8_t bus_bytes[LIMIT_SUBMIT_BYTES];

void bus_bytes_init(void)
{
    for (size_t i = 0; i < sizeof(bus_bytes); i++)
        bus_bytes[i] = (uint8_t)(i * 2654435761u >> 13);
}

void fake_answer(struct fake *s, const struct bus_route *to, uint64_t id)
{
    struct frame reply = {.type = MSG_BLOB_CHUNK,
        .role = ROLE_LEARNER,
        .request_id = id,
        .payload = bus_bytes,
        .payload_bytes = s->reply_bytes};
    bus_server_reply(s->server, to, &reply);
}

void fake_request(void *arg, const struct bus_route *from, const struct frame *f)
{
    struct fake *s = arg;
    assert_true(s->seen < SEEN_MAX);
    s->ids[s->seen] = f->request_id;
    s->routes[s->seen] = *from;
    s->payloads[s->seen].bytes = f->payload_bytes;
    s->payloads[s->seen].crc = crc32c(0, f->payload, f->payload_bytes);
    s->seen++;
    if (s->seen >= s->wanted)
        s->reached = true;
    if (s->hold || s->seen <= s->ignore)
        return;
    for (size_t i = 0; i < s->copies; i++)
        fake_answer(s, from, f->request_id);
}

void fake_open(struct fake *s, struct harness *h, const char *address)
{
    struct err e = {0};
    if (bus_server_open(&h->loop, address, LIMIT_SUBMIT_BYTES, fake_request, s, &s->server, &e) !=
        0)
        fail_msg("%s", e.msg);
}

void answers_add(void *arg, const struct frame *reply)
{
    struct answers *a = arg;
    if (reply == NULL) {
        a->nulls++;
    } else {
        assert_true(a->count < SEEN_MAX);
        a->ids[a->count++] = reply->request_id;
        a->bytes = reply->payload_bytes;
    }
    if (a->count + a->nulls >= a->wanted)
        a->reached = true;
}

struct frame a_poll(uint32_t payload_bytes)
{
    return (struct frame){.type = MSG_POLL,
        .role = ROLE_ACTOR,
        .epoch = 1,
        .session = 2,
        .sequence = 3,
        .payload = bus_bytes,
        .payload_bytes = payload_bytes};
}

void pair_init(struct pair *p)
{
    *p = (struct pair){.s = {.copies = 1, .wanted = 1}, .a = {.wanted = 1}};
    struct err e = {0};
    harness_init(&p->h);
    fake_open(&p->s, &p->h, p->h.address);
    if (bus_client_open(&p->h.loop, p->h.address, &p->c, &e) != 0)
        fail_msg("%s", e.msg);
}

void pair_done(struct pair *p)
{
    bus_client_close(p->c);
    bus_server_close(p->s.server);
    harness_done(&p->h);
}

uint64_t ask(struct pair *p, uint32_t payload_bytes, uint32_t deadline_ms)
{
    struct frame f = a_poll(payload_bytes);
    return bus_client_request(p->c, &f, deadline_ms, 0, answers_add, &p->a);
}
