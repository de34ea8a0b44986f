/* panel.c: see panel.h. */
#include "reward-server/judge/panel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/recipe/reward.h"

struct panel {
    struct scoring *set;                     /* owned */
    struct reward_term terms[LIMIT_SCORERS]; /* the first is primary */
    const struct scorer_kind *kinds[LIMIT_SCORERS];
};

/* ---- words ---- */

struct word {
    char *name;     /* owned; also the kind */
    json_t *params; /* owned */
    char *json;     /* owned */
    struct reward_term term;
};

static void word_done(struct word *w)
{
    free(w->name);
    json_decref(w->params);
    free(w->json);
}

static int parse_weight(const char *value, double *ret, struct err *e)
{
    char *end;
    double weight = strtod(value, &end);
    if (end == value || *end != '\0' || !(weight >= -1000 && weight <= 1000))
        return err_set(e, ERR_USAGE, "weight=%.64s: expected a number from -1000 to 1000", value);
    *ret = weight;
    return 0;
}

static int parse_when(const char *value, enum reward_when *ret, struct err *e)
{
    int when = reward_when_parse(value);
    if (when < 0)
        return err_set(e, ERR_USAGE, "when=%.64s: expected always, pass or fail", value);
    *ret = (enum reward_when)when;
    return 0;
}

/* One "param=value". */
static int parse_param(struct word *w, char *text, struct err *e)
{
    char *value = strchr(text, '=');
    if (value == NULL || value == text)
        return err_set(e, ERR_USAGE, "'%.64s': expected param=value", text);
    *value++ = '\0';
    if (strcmp(text, "weight") == 0)
        return parse_weight(value, &w->term.weight, e);
    if (strcmp(text, "when") == 0)
        return parse_when(value, &w->term.when, e);
    if (json_object_get(w->params, text) != NULL)
        return err_set(e, ERR_USAGE, "parameter '%.64s' is given twice", text);
    if (json_object_set_new(w->params, text, json_string(value)) != 0)
        return err_set(e, ERR_USAGE, "'%.64s=%.64s': not valid UTF-8", text, value);
    return 0;
}

static int word_parse(const char *text, struct word *w, struct err *e)
{
    const char *colon = strchr(text, ':');
    *w = (struct word){.params = json_object(), .term.weight = 1};
    w->name = colon != NULL ? mem_strndup(text, (size_t)(colon - text)) : mem_strdup(text);
    CLEANUP_FREE char *params = mem_strdup(colon != NULL ? colon + 1 : "");
    char *next = colon != NULL ? params : NULL;
    for (char *param; next != NULL && (param = strsep(&next, ",")) != NULL;)
        if (parse_param(w, param, e) < 0)
            return err_ctx(e, "scorer '%.64s'", text);
    w->json = json_dumps(w->params, JSON_COMPACT);
    return 0;
}

/* ---- a panel ---- */

int panel_open(const char *const *words, size_t count, struct panel **ret, struct err *e)
{
    struct word parsed[LIMIT_SCORERS] = {0};
    struct scorer_spec specs[LIMIT_SCORERS];
    if (count < 1 || count > LIMIT_SCORERS)
        return err_set(e, ERR_USAGE, "%zu scorers, expected 1 to %d", count, LIMIT_SCORERS);
    struct panel *p = mem_alloc(sizeof(*p));
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = word_parse(words[i], &parsed[i], e);
        if (r == 0 && i == 0 && parsed[i].term.when != REWARD_ALWAYS)
            r = err_set(e, ERR_USAGE,
                "scorer '%.64s': when: the first scorer is primary and counts always", words[i]);
        specs[i] = (struct scorer_spec){parsed[i].name, parsed[i].name, parsed[i].json};
        p->terms[i] = parsed[i].term;
        p->terms[i].primary = i == 0;
        p->kinds[i] = scoring_kind(parsed[i].name);
    }
    if (r == 0)
        r = scoring_open(specs, count, &p->set, e);
    if (r == ERR_CONFIG)
        r = e->code = ERR_USAGE; /* no run file named them */
    for (size_t i = 0; i < count; i++)
        word_done(&parsed[i]);
    if (r == 0)
        *ret = p;
    else
        panel_close(p);
    return r;
}

void panel_close(struct panel *p)
{
    if (p == NULL)
        return;
    scoring_close(p->set);
    free(p);
}

const struct scoring *panel_set(const struct panel *p)
{
    return p->set;
}

bool panel_has(const struct panel *p, const char *kind)
{
    for (size_t i = 0; i < scoring_count(p->set); i++) {
        if (strcmp(p->kinds[i]->name, kind) == 0)
            return true;
    }
    return false;
}

bool panel_runs_programs(const struct panel *p)
{
    for (size_t i = 0; i < scoring_count(p->set); i++) {
        if (p->kinds[i]->runs_programs)
            return true;
    }
    return false;
}

int panel_row_kind(
    const char *format, const struct dataset_row *row, char ret[LIMIT_NAME + 1], struct err *e)
{
    if (strcmp(format, "demos") == 0)
        return err_set(e, ERR_USAGE,
            "demonstrations have no answer to check; name a scorer that needs none, e.g. format");
    json_t *task = json_loads(row->json, 0, NULL); /* dataset.c wrote it */
    const char *named = json_string_value(json_object_get(task, "scorer"));
    const char *name = named != NULL ? named : "math";
    if (named == NULL && json_object_get(task, "tests") != NULL)
        name = "code";
    else if (named == NULL && strcmp(format, "countdown") == 0)
        name = "countdown";
    else if (named == NULL && json_object_get(task, "choices") != NULL)
        name = "choice";
    (void)snprintf(ret, LIMIT_NAME + 1, "%s", name); /* one that is longer is none */
    json_decref(task);
    return 0;
}

/* ---- what a completion is worth ---- */

struct judgement panel_sum(const struct panel *p, const struct score_result *results)
{
    struct judgement sum = {.primary = &results[0]};
    struct reward_part parts[LIMIT_SCORERS];
    size_t n = scoring_count(p->set);
    for (size_t k = 0; k < n; k++) {
        sum.wall_us += results[k].wall_us;
        parts[k] = (struct reward_part){
            &p->terms[k], results[k].has_value, results[k].value, results[k].verdict};
    }
    double reward = reward_sum(parts, n);
    sum.scored = !isnan(reward);
    sum.reward = sum.scored ? reward : 0;
    return sum;
}

json_t *panel_report(json_t *id, const struct panel *p, const struct score_result *results)
{
    struct judgement sum = panel_sum(p, results);
    json_t *row = json_object(), *values = json_object();
    for (size_t k = 0; k < scoring_count(p->set); k++)
        (void)json_object_set_new(values, results[k].scorer,
            results[k].has_value ? json_real(results[k].value) : json_null());
    (void)json_object_set(row, "id", id);
    (void)json_object_set_new(row, "reward", sum.scored ? json_real(sum.reward) : json_null());
    (void)json_object_set_new(row, "verdict", json_string(verdict_name(sum.primary->verdict)));
    (void)json_object_set_new(row, "components", values);
    (void)json_object_set_new(row, "extracted", json_string(sum.primary->extracted));
    (void)json_object_set_new(row, "reason", json_string(sum.primary->reason));
    if (sum.primary->isolation[0] != '\0')
        (void)json_object_set_new(row, "isolation", json_string(sum.primary->isolation));
    (void)json_object_set_new(row, "wall_ms", json_real((double)sum.wall_us / 1000));
    return row;
}
