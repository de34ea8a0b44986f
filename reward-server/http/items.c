/* items.c: see items.h. */
#include "reward-server/http/items.h"

#include <stdlib.h>
#include <string.h>

/* ---- scorers ---- */

static int find_panel(struct items *s, const char *const *words, size_t count,
    const struct panel **ret, struct err *e)
{
    CLEANUP_BUF struct buf key = {0};
    for (size_t i = 0; i < count; i++)
        buf_printf(&key, "%s\n", words[i]);
    for (size_t i = 0; i < s->panel_count; i++) {
        if (strcmp(s->panels[i].words, (const char *)key.data) == 0) {
            *ret = s->panels[i].panel;
            return 0;
        }
    }
    if (s->panel_count == ITEMS_PANELS_MAX)
        return err_set(
            e, ERR_USAGE, "over %d different lists of scorers in one request", ITEMS_PANELS_MAX);
    struct items_panel *p = &s->panels[s->panel_count];
    if (panel_open(words, count, &p->panel, e) < 0)
        return e->code;
    p->words = mem_strdup((const char *)key.data);
    s->panel_count++;
    *ret = p->panel;
    return 0;
}

static int choose_panel(struct items *s, const struct call *c, const struct items_request *q,
    struct item *item, struct err *e)
{
    const struct call_setup *setup = c->setup;
    char kind[LIMIT_NAME + 1];
    const char *const words[] = {kind};
    if (q->scorer_count > 0)
        return find_panel(s, q->scorers, q->scorer_count, &item->panel, e);
    if (setup->scorer_count > 0)
        return find_panel(s, setup->scorers, setup->scorer_count, &item->panel, e);
    if (panel_row_kind(dataset_format(item->task), dataset_row(item->task, 0), kind, e) < 0)
        return e->code;
    return find_panel(s, words, 1, &item->panel, e);
}

/* ---- filling ---- */

static int take_task(const struct items_request *q, struct item *item, struct err *e)
{
    if (!json_is_object(q->task))
        return err_set(e, ERR_DATA, "'task': expected a row of a dataset, an object");
    CLEANUP_FREE char *row = json_dumps(q->task, JSON_COMPACT);
    if (row == NULL)
        return err_set(e, ERR_DATA, "'task': not a row of a dataset");
    return dataset_parse(row, strlen(row), "task", q->format != NULL ? q->format : "auto",
        SPLIT_ALL, 0, &item->task, e);
}

static int fill(struct items *s, const struct call *c, const struct items_request *q,
    struct item *item, struct err *e)
{
    if (take_task(q, item, e) < 0 || choose_panel(s, c, q, item, e) < 0)
        return e->code;
    if (!q->has_tokens && panel_has(item->panel, "length"))
        return err_set(e, ERR_DATA, "'tokens' is missing: the length scorer needs their number");
    item->text = (struct grade_text){.text = (const uint8_t *)q->response,
        .text_len = q->response_len,
        .tokens = q->tokens,
        .truncated = q->truncated};
    item->in = scoring_row_input(dataset_row(item->task, 0), NULL); /* the text may move yet */
    item->in.group = (uint64_t)(item - s->at);
    return 0;
}

int items_add(struct items *s, const struct call *c, const struct items_request *q, struct err *e)
{
    if (s->count == ITEMS_MAX)
        return err_set(e, ERR_LIMIT, "over %d items in one request", ITEMS_MAX);
    if (s->count == s->cap) {
        s->cap = s->cap > 0 ? 2 * s->cap : 8;
        s->at = mem_grow(s->at, s->cap, sizeof(*s->at));
    }
    struct item *item = &s->at[s->count];
    *item = (struct item){.id = q->id};
    if (fill(s, c, q, item, e) < 0) {
        dataset_free(item->task);
        return err_ctx(e, "item %zu", s->count);
    }
    s->count++;
    return 0;
}

/* ---- scoring ---- */

struct scoring_run {
    struct items *items;
    struct call *call;
};

static bool score_item(void *arg, size_t i)
{
    struct scoring_run *run = arg;
    struct item *item = &run->items->at[i];
    if (atomic_load(&run->call->given_up))
        return false;
    struct arena *a = arena_new(0);
    item->in.completions = &item->text;
    scoring_score(panel_set(item->panel), &item->in, 0, a, item->results);
    struct judgement sum = panel_sum(item->panel, item->results);
    item->scored = sum.scored;
    item->reward = sum.reward;
    item->wall_us = sum.wall_us;
    json_t *id = item->id != NULL ? json_incref(item->id) : json_integer((json_int_t)i);
    item->report = panel_report(id, item->panel, item->results);
    item->done = true;
    json_decref(id);
    arena_free(a);
    return true;
}

static size_t kind_place(const char *name)
{
    size_t n, place = 0;
    const struct scorer_kind *const *kinds = scoring_kinds(&n);
    while (place < n && strcmp(kinds[place]->name, name) != 0)
        place++;
    return place;
}

static void count_results(const struct item *item, struct call_tally *t)
{
    for (size_t k = 0; k < scoring_count(panel_set(item->panel)); k++) {
        t->verdicts[kind_place(item->results[k].scorer)][item->results[k].verdict]++;
        t->faults[item->results[k].fault]++;
    }
}

int items_score(struct items *s, struct call *c, struct err *e)
{
    struct scoring_run run = {s, c};
    (void)scoring_parts(s->count, score_item, &run);
    size_t done = 0;
    for (size_t i = 0; i < s->count; i++) {
        done += s->at[i].done;
        if (s->at[i].done)
            count_results(&s->at[i], &c->tally);
    }
    if (done < s->count)
        return err_set(
            e, ERR_RETRY, "given up after %zu of %zu items: out of time", done, s->count);
    return 0;
}

int items_need_rewards(const struct items *s, struct err *e)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct item *item = &s->at[i];
        for (size_t k = 0; !item->scored && k < scoring_count(panel_set(item->panel)); k++) {
            if (item->results[k].fault == SCORE_FAULT_TRANSIENT)
                return err_set(e, ERR_RETRY, "item %zu has no reward, the judge is at fault: %s", i,
                    json_string_value(json_object_get(item->report, "reason")));
        }
    }
    return 0;
}

json_t *item_reward(const struct item *item)
{
    return item->scored ? json_real(item->reward) : json_null();
}

void items_done(struct items *s)
{
    for (size_t i = 0; i < s->count; i++) {
        dataset_free(s->at[i].task);
        json_decref(s->at[i].report);
    }
    for (size_t i = 0; i < s->panel_count; i++) {
        panel_close(s->panels[i].panel);
        free(s->panels[i].words);
    }
    free(s->at);
}
