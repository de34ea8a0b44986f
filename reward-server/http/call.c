/* call.c: see call.h. */
#include "reward-server/http/call.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "reward-server/http/body.h"

static void set_answer(struct call *c, unsigned status, const json_t *answer)
{
    free(c->answer);
    c->status = status;
    c->answer = json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    c->answer_len = c->answer != NULL ? strlen(c->answer) : 0;
}

void call_refuse(struct call *c, unsigned status, const char *why)
{
    json_t *problem = json_object();
    CLEANUP_BUF struct buf text = {0};
    text_escape(&text, why, strlen(why)); /* parts of the request may be in it */
    (void)json_object_set_new(problem, c->route != NULL ? c->route->problem : "error",
        json_stringn((const char *)text.data, text.len));
    set_answer(c, status, problem);
    json_decref(problem);
}

static unsigned status_of(const struct call *c, int code)
{
    switch (code) {
    case ERR_LIMIT:
        return 400;
    case ERR_RETRY:
        return c->route->busy;
    case ERR_FAIL:
        return 500;
    default:
        return 422;
    }
}

void call_run(struct call *c)
{
    struct err e = {0};
    json_t *body = NULL, *answer = NULL;
    (void)atomic_fetch_add(&c->setup->running, 1);
    int r = body_parse((const char *)c->body.data, c->body.len, &body, &e);
    buf_done(&c->body); /* the tree has all of it */
    if (r == 0)
        r = c->route->answer(c, body, &answer, &e);
    if (r == 0)
        set_answer(c, 200, answer);
    else
        call_refuse(c, status_of(c, r), e.msg);
    json_decref(answer);
    json_decref(body);
    (void)atomic_fetch_sub(&c->setup->running, 1);
}

void call_done(struct call *c)
{
    buf_done(&c->body);
    free(c->answer);
}
