/* route_score.c: POST /v1/score, the native way.
 *
 *     {"items": [{"task": ROW, "response": TEXT, "id"?, "tokens"?, "truncated"?,
 *                 "format"?, "scorers"?}, ...], "format"?, "scorers"?}
 *  -> {"items": [{"id", "reward", "verdict", "components", "extracted", "reason", "isolation",
 *                 "wall_ms"}, ...]}
 *
 * ROW is a row of a dataset as its publisher ships it, format its name, scorers a list of words as
 * `cohort grade --scorer` takes them; the answers are what `cohort grade` prints for the same rows.
 */
#include "reward-server/http/body.h"
#include "reward-server/http/items.h"
#include "reward-server/http/routes.h"

/* The words of a member "scorers"; *ret_count stays when there is none. */
static int take_scorers(
    const json_t *object, const char *ret[LIMIT_SCORERS], size_t *ret_count, struct err *e)
{
    json_t *list = NULL;
    if (body_list(object, "scorers", &list, e) < 0)
        return e->code;
    if (json_array_size(list) > LIMIT_SCORERS)
        return err_set(e, ERR_DATA, "'scorers': found %zu, expected at most %d",
            json_array_size(list), LIMIT_SCORERS);
    for (size_t i = 0; i < json_array_size(list); i++) {
        ret[i] = json_string_value(json_array_get(list, i));
        if (ret[i] == NULL)
            return err_set(e, ERR_DATA, "'scorers': found %s, expected words like \"math\"",
                body_type(json_array_get(list, i)));
        *ret_count = i + 1;
    }
    return 0;
}

static int take_item(const json_t *object, struct items_request *q, struct err *e)
{
    double tokens = -1;
    size_t n;
    const json_t *truncated = json_object_get(object, "truncated");
    if (body_text(object, "response", &q->response, &q->response_len, e) < 0 ||
        body_text(object, "format", &q->format, &n, e) < 0 ||
        body_number(object, "tokens", 0, UINT32_MAX, &tokens, e) < 0)
        return e->code;
    if (q->response == NULL)
        return err_set(e, ERR_DATA, "'response' is missing");
    if (truncated != NULL && !json_is_boolean(truncated))
        return err_set(
            e, ERR_DATA, "'truncated': found %s, expected true or false", body_type(truncated));
    q->id = json_object_get(object, "id");
    q->task = json_object_get(object, "task");
    q->has_tokens = tokens >= 0;
    q->tokens = tokens >= 0 ? (uint32_t)tokens : 0;
    q->truncated = json_is_true(truncated);
    return 0;
}

static int take_items(const struct call *c, const json_t *body, struct items *items, struct err *e)
{
    json_t *list = NULL;
    const char *words[LIMIT_SCORERS], *format = NULL;
    size_t word_count = 0, n;
    if (body_list(body, "items", &list, e) < 0 || body_text(body, "format", &format, &n, e) < 0 ||
        take_scorers(body, words, &word_count, e) < 0)
        return e->code;
    if (list == NULL)
        return err_set(e, ERR_DATA, "expected {\"items\": [{\"task\": row, \"response\": text}]}");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *object = json_array_get(list, i);
        const char *own[LIMIT_SCORERS];
        size_t own_count = 0;
        struct items_request q = {.format = format};
        if (take_item(object, &q, e) < 0 || take_scorers(object, own, &own_count, e) < 0)
            return err_ctx(e, "item %zu", i);
        q.scorers = own_count > 0 ? own : words;
        q.scorer_count = own_count > 0 ? own_count : word_count;
        if (items_add(items, c, &q, e) < 0)
            return e->code;
    }
    return 0;
}

int route_score(struct call *c, json_t *body, json_t **ret, struct err *e)
{
    struct items items = {0};
    int r = take_items(c, body, &items, e);
    if (r == 0)
        r = items_score(&items, c, e);
    if (r == 0) {
        json_t *reports = json_array();
        for (size_t i = 0; i < items.count; i++)
            (void)json_array_append(reports, items.at[i].report);
        *ret = json_object();
        (void)json_object_set_new(*ret, "items", reports);
    }
    items_done(&items);
    return r;
}
