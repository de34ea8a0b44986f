/* route_tests.c: open-instruct's code tests.
 *
 *     POST /test_program        {"program", "tests": ["assert ..."], "max_execution_time"?}
 *     POST /test_program_stdio  {"program", "tests": [{"input", "output"}], "max_execution_time"?}
 *  -> {"results": [1 or 0], "runtimes": [SECONDS]}
 *
 * Programs are Python. Each test is judged by itself, as one task of the code scorer. A test that
 * is broken by itself has a null result; any other fault of the judge is status 503.
 */
#include <stdio.h>

#include "reward-server/http/body.h"
#include "reward-server/http/items.h"
#include "reward-server/http/routes.h"

/* The client's default, and the bounds of the code scorer's cpu-ms. */
static const double seconds_default = 1, seconds_min = 0.01, seconds_max = 600;

/* A row of the format `tasks` with one test; NULL when it is none. The caller owns it. */
static json_t *row_of(const json_t *test, bool stdio)
{
    const json_t *input = json_object_get(test, "input"), *output = json_object_get(test, "output");
    json_t *one = json_object(), *tests = json_array(), *row = json_object();
    bool good = stdio ? json_is_string(input) && json_is_string(output) : json_is_string(test);
    if (good && stdio) {
        (void)json_object_set_new(one, "stdin", json_deep_copy(input));
        (void)json_object_set_new(one, "stdout", json_deep_copy(output));
    } else if (good) {
        (void)json_object_set_new(one, "assert", json_deep_copy(test));
    }
    (void)json_array_append_new(tests, one);
    (void)json_object_set_new(row, "prompt", json_string("-"));
    (void)json_object_set_new(row, "language", json_string("python"));
    (void)json_object_set_new(row, "tests", tests);
    if (good)
        return row;
    json_decref(row);
    return NULL;
}

static int take_tests(
    const struct call *c, const json_t *body, bool stdio, struct items *items, struct err *e)
{
    double seconds = seconds_default;
    json_t *tests = NULL;
    struct items_request q = {.scorer_count = 1};
    char scorer[64];
    const char *const words[] = {scorer};
    if (body_text(body, "program", &q.response, &q.response_len, e) < 0 ||
        body_list(body, "tests", &tests, e) < 0 ||
        body_number(body, "max_execution_time", 0, seconds_max, &seconds, e) < 0)
        return e->code;
    if (q.response == NULL || tests == NULL)
        return err_set(e, ERR_DATA, "expected {\"program\": text, \"tests\": [...]}");
    (void)snprintf(scorer, sizeof(scorer), "code:cpu-ms=%.0f",
        1000 * (seconds < seconds_min ? seconds_min : seconds));
    q.scorers = words;
    for (size_t i = 0; i < json_array_size(tests); i++) {
        json_t *row = row_of(json_array_get(tests, i), stdio);
        if (row == NULL)
            return err_set(e, ERR_DATA, "test %zu: expected %s", i,
                stdio ? "{\"input\": text, \"output\": text}" : "an assertion as text");
        q.task = row;
        q.format = "tasks";
        int r = items_add(items, c, &q, e);
        json_decref(row);
        if (r < 0)
            return r;
    }
    return 0;
}

static int test_program(struct call *c, json_t *body, bool stdio, json_t **ret, struct err *e)
{
    struct items items = {0};
    int r = take_tests(c, body, stdio, &items, e);
    if (r == 0)
        r = items_score(&items, c, e);
    if (r == 0)
        r = items_need_rewards(&items, e);
    if (r == 0) {
        json_t *results = json_array(), *runtimes = json_array();
        for (size_t i = 0; i < items.count; i++) {
            const struct item *item = &items.at[i];
            (void)json_array_append_new(
                results, item->scored ? json_integer(item->reward > 0) : json_null());
            (void)json_array_append_new(runtimes, json_real((double)item->wall_us / 1e6));
        }
        *ret = json_object();
        (void)json_object_set_new(*ret, "results", results);
        (void)json_object_set_new(*ret, "runtimes", runtimes);
    }
    items_done(&items);
    return r;
}

int route_test_program(struct call *c, json_t *body, json_t **ret, struct err *e)
{
    return test_program(c, body, false, ret, e);
}

int route_test_program_stdio(struct call *c, json_t *body, json_t **ret, struct err *e)
{
    return test_program(c, body, true, ret, e);
}
