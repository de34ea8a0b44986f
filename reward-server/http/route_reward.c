/* route_reward.c: the reward clients of other trainers.
 *
 * OpenRLHF, POST /get_reward:
 *     {"query": [TEXT], "prompts": [TEXT], "labels": [LABEL]}
 *  -> {"rewards": [NUMBER], "scores": [0 to 1], "extra_logs": {SCORER: [NUMBER]}}
 * A query is the prompt and the response as they were decoded, special tokens included.
 *
 * slime and miles, POST /slime:
 *     {"prompt": TEXT or chat, "response": TEXT, "label": LABEL} -> NUMBER
 *
 * A LABEL is the reference answer as text, or a whole row of a dataset: an object, or its text. The
 * scorers are the server's own, else what the row calls for. A reward that the label itself makes
 * impossible is null; any other fault of the judge is status 503, which these clients answer by
 * asking again.
 */
#include <string.h>

#include "reward-server/http/body.h"
#include "reward-server/http/items.h"
#include "reward-server/http/routes.h"

/* ---- the response in a query ---- */

static const char *const end_marks[] = {"<|endoftext|>", "<|im_end|>", "<|eot_id|>",
    "<|end_of_text|>", "<|end|>", "</s>", "<eos>", "<end_of_turn>", "<pad>", "<|pad|>",
    "<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>"};

/* Without the special tokens that end a sequence, and white space between them. */
static size_t without_end(const char *text, size_t n)
{
    size_t end = n;
    for (bool more = true; more;) {
        size_t at = end;
        while (at > 0 && strchr(" \t\r\n", text[at - 1]) != NULL)
            at--;
        more = false;
        for (size_t i = 0; i < ARRAY_LEN(end_marks) && !more; i++) {
            size_t m = strlen(end_marks[i]);
            if (at >= m && memcmp(text + at - m, end_marks[i], m) == 0) {
                end = at - m;
                more = true;
            }
        }
    }
    return end;
}

/* What follows the prompt, which special tokens may stand before. A query that does not hold it is
 * taken whole: the tokenizer has changed the prompt's text. */
static void find_response(const json_t *query, const json_t *prompt, struct items_request *q)
{
    const char *text = json_string_value(query);
    size_t n = json_string_length(query), skip = json_string_length(prompt);
    const char *at = skip > 0 ? memmem(text, n, json_string_value(prompt), skip) : NULL;
    q->response = at != NULL ? at + skip : text;
    q->response_len = without_end(q->response, n - (size_t)(q->response - text));
}

/* ---- the task in a label ---- */

static json_t *row_in_text(const json_t *label)
{
    const char *text = json_string_value(label);
    json_t *row = NULL;
    struct err ignored;
    if (text[strspn(text, " \t\r\n")] == '{' &&
        body_parse(text, json_string_length(label), &row, &ignored) < 0)
        return NULL; /* e.g. the set {1, 2} */
    return row;
}

/* A row; the caller owns it. NULL for a label that is none. */
static json_t *row_of(const json_t *label, const json_t *prompt)
{
    json_t *row = json_is_object(label) ? json_deep_copy(label) : NULL;
    if (json_is_string(label))
        row = row_in_text(label);
    if (row == NULL && (json_is_string(label) || json_is_number(label))) {
        row = json_object();
        (void)json_object_set_new(row, "answer", json_deep_copy(label));
    }
    if (row != NULL && json_object_size(row) > 0 && json_object_get(row, "prompt") == NULL &&
        json_object_get(row, "question") == NULL && json_object_get(row, "problem") == NULL) {
        bool usable = json_is_string(prompt) && json_string_length(prompt) > 0;
        (void)json_object_set_new(
            row, "prompt", usable ? json_deep_copy(prompt) : json_string("-"));
    }
    return row;
}

static int add(struct items *items, const struct call *c, const json_t *label, const json_t *prompt,
    struct items_request *q, struct err *e)
{
    json_t *row = row_of(label, prompt);
    if (row == NULL)
        return err_set(e, ERR_DATA,
            "item %zu: the label is %s, expected the answer as text or a row of a dataset",
            items->count, body_type(label));
    q->task = row;
    int r = items_add(items, c, q, e);
    json_decref(row);
    return r;
}

/* ---- OpenRLHF ---- */

/* Per-scorer values; a scorer without a value somewhere is left out: the client wants numbers. */
static json_t *extra_logs(const struct items *items)
{
    json_t *logs = json_object();
    for (size_t i = 0; i < items->count; i++) {
        const json_t *components = json_object_get(items->at[i].report, "components");
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)components, name, value)
        {
            json_t *list = json_object_get(logs, name);
            if (list == NULL && i == 0)
                (void)json_object_set_new(logs, name, list = json_array());
            if (list != NULL && json_is_number(value))
                (void)json_array_append(list, value);
        }
    }
    const char *name;
    json_t *list;
    void *next;
    json_object_foreach_safe(logs, next, name, list)
    {
        if (json_array_size(list) != items->count)
            (void)json_object_del(logs, name);
    }
    return logs;
}

static json_t *openrlhf_answer(const struct items *items)
{
    json_t *rewards = json_array(), *scores = json_array(), *answer = json_object();
    for (size_t i = 0; i < items->count; i++) {
        const struct item *item = &items->at[i];
        double value = item->results[0].value;
        double share = value < 0 ? 0 : value > 1 ? 1 : value;
        (void)json_array_append_new(rewards, item_reward(item));
        (void)json_array_append_new(scores, item->scored ? json_real(share) : json_null());
    }
    (void)json_object_set_new(answer, "rewards", rewards);
    (void)json_object_set_new(answer, "scores", scores);
    (void)json_object_set_new(answer, "extra_logs", extra_logs(items));
    return answer;
}

static int take_queries(
    const struct call *c, const json_t *body, struct items *items, struct err *e)
{
    json_t *queries = NULL, *prompts = NULL, *labels = NULL;
    if (body_list(body, "query", &queries, e) < 0 || body_list(body, "prompts", &prompts, e) < 0 ||
        body_list(body, "labels", &labels, e) < 0)
        return e->code;
    size_t n = json_array_size(queries);
    if (queries == NULL || json_array_size(labels) != n ||
        (prompts != NULL && json_array_size(prompts) != n))
        return err_set(e, ERR_DATA,
            "%zu in 'query', %zu in 'prompts', %zu in 'labels': expected lists of one length", n,
            json_array_size(prompts), json_array_size(labels));
    for (size_t i = 0; i < n; i++) {
        struct items_request q = {0};
        const json_t *query = json_array_get(queries, i), *prompt = json_array_get(prompts, i);
        if (!json_is_string(query))
            return err_set(
                e, ERR_DATA, "item %zu of 'query': found %s, expected text", i, body_type(query));
        find_response(query, prompt, &q);
        if (add(items, c, json_array_get(labels, i), prompt, &q, e) < 0)
            return e->code;
    }
    return 0;
}

int route_get_reward(struct call *c, json_t *body, json_t **ret, struct err *e)
{
    struct items items = {0};
    int r = take_queries(c, body, &items, e);
    if (r == 0)
        r = items_score(&items, c, e);
    if (r == 0)
        r = items_need_rewards(&items, e);
    if (r == 0)
        *ret = openrlhf_answer(&items);
    items_done(&items);
    return r;
}

/* ---- slime ---- */

int route_slime(struct call *c, json_t *body, json_t **ret, struct err *e)
{
    struct items items = {0};
    struct items_request q = {0};
    int r = body_text(body, "response", &q.response, &q.response_len, e);
    if (r == 0 && q.response == NULL)
        r = err_set(e, ERR_DATA, "'response' is missing");
    if (r == 0) {
        q.response_len = without_end(q.response, q.response_len);
        r = add(&items, c, json_object_get(body, "label"), json_object_get(body, "prompt"), &q, e);
    }
    if (r == 0)
        r = items_score(&items, c, e);
    if (r == 0)
        r = items_need_rewards(&items, e);
    if (r == 0)
        *ret = item_reward(&items.at[0]);
    items_done(&items);
    return r;
}
