/* judge.c: see judge.h. */
#include "cli/judge.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "common/recipe/reward.h"
#include "reward-server/box/box.h"
#include "reward-server/scoring/math/pool.h"

enum { DEFAULT_SETS_MAX = 16 };

struct judge_set {
    struct scoring *set;                     /* owned */
    struct reward_term terms[LIMIT_SCORERS]; /* the first is primary */
    char *kind;                              /* owned; of a default set */
};

struct judge {
    struct judge_set sets[DEFAULT_SETS_MAX]; /* one when scorers were given */
    size_t set_count;
    uint8_t *set_of_row; /* owned; index into sets; NULL: always the first */
    bool counts_tokens;
    struct box *box;           /* owned; NULL when no program is to run */
    struct math_pool *workers; /* owned; NULL when no mathematics is graded */
};

/* ---- scorers that were asked for ---- */

struct parsed {
    char *name;     /* owned; also the kind */
    json_t *params; /* owned */
    char *json;     /* owned */
    struct reward_term term;
};

static void parsed_done(struct parsed *p)
{
    free(p->name);
    json_decref(p->params);
    free(p->json);
}

static int parse_weight(const char *value, double *ret, struct err *e)
{
    char *end;
    double weight = strtod(value, &end);
    if (end == value || *end != '\0' || !(weight >= -1000 && weight <= 1000))
        return err_set(e, ERR_USAGE, "weight=%s: expected a number from -1000 to 1000", value);
    *ret = weight;
    return 0;
}

static int parse_when(const char *value, enum reward_when *ret, struct err *e)
{
    int when = reward_when_parse(value);
    if (when < 0)
        return err_set(e, ERR_USAGE, "when=%s: expected always, pass or fail", value);
    *ret = (enum reward_when)when;
    return 0;
}

/* One "param=value". */
static int parse_param(struct parsed *p, char *text, struct err *e)
{
    char *value = strchr(text, '=');
    if (value == NULL || value == text)
        return err_set(e, ERR_USAGE, "'%s': expected param=value", text);
    *value++ = '\0';
    if (strcmp(text, "weight") == 0)
        return parse_weight(value, &p->term.weight, e);
    if (strcmp(text, "when") == 0)
        return parse_when(value, &p->term.when, e);
    if (json_object_get(p->params, text) != NULL)
        return err_set(e, ERR_USAGE, "parameter '%s' is given twice", text);
    if (json_object_set_new(p->params, text, json_string(value)) != 0)
        return err_set(e, ERR_USAGE, "'%s=%s': not valid UTF-8", text, value);
    return 0;
}

static int parse_word(const char *word, struct parsed *p, struct err *e)
{
    const char *colon = strchr(word, ':');
    *p = (struct parsed){.params = json_object(), .term.weight = 1};
    p->name = colon != NULL ? mem_strndup(word, (size_t)(colon - word)) : mem_strdup(word);
    CLEANUP_FREE char *params = mem_strdup(colon != NULL ? colon + 1 : "");
    char *next = colon != NULL ? params : NULL;
    for (char *text; next != NULL && (text = strsep(&next, ",")) != NULL;)
        if (parse_param(p, text, e) < 0)
            return e->code;
    p->json = json_dumps(p->params, JSON_COMPACT);
    return 0;
}

/* What a kind of scorer works with: boxes for programs, processes for mathematics. */
static int need(struct judge *j, const char *name, struct err *e)
{
    const struct scorer_kind *kind = scoring_kind(name);
    int r = 0;
    if (kind != NULL && kind->runs_programs && j->box == NULL) {
        r = box_open(NULL, &j->box, e);
        scoring_use_box(j->box);
    } else if (strcmp(name, "math") == 0 && j->workers == NULL) {
        r = math_pool_open(NULL, MATH_POOL_DEADLINE_MS, &j->workers, e);
        scoring_use_math(j->workers);
    }
    return r;
}

static int open_words(struct judge *j, const struct args_words *words, struct err *e)
{
    struct parsed parsed[LIMIT_SCORERS] = {0};
    struct scorer_spec specs[LIMIT_SCORERS];
    struct judge_set *set = &j->sets[0];
    int r = 0;
    if (words->count > LIMIT_SCORERS)
        return err_set(e, ERR_USAGE, "%zu times --scorer, at most %d are allowed", words->count,
            LIMIT_SCORERS);
    for (size_t i = 0; r == 0 && i < words->count; i++) {
        r = parse_word(words->items[i], &parsed[i], e);
        if (r == 0 && i == 0 && parsed[i].term.when != REWARD_ALWAYS)
            r = err_set(e, ERR_USAGE, "when: the first scorer is primary and counts always");
        if (r == 0)
            r = need(j, parsed[i].name, e);
        if (r < 0)
            (void)err_ctx(e, "--scorer %s", words->items[i]);
        specs[i] = (struct scorer_spec){parsed[i].name, parsed[i].name, parsed[i].json};
        set->terms[i] = parsed[i].term;
        set->terms[i].primary = i == 0;
        j->counts_tokens |= r == 0 && strcmp(parsed[i].name, "length") == 0;
    }
    if (r == 0)
        r = scoring_open(specs, words->count, &set->set, e);
    if (r == ERR_CONFIG)
        r = e->code = ERR_USAGE; /* they came from the command line */
    j->set_count = set->set != NULL;
    for (size_t i = 0; i < words->count; i++)
        parsed_done(&parsed[i]);
    return r;
}

/* ---- defaults ---- */

/* Index of the set that is the one scorer of that kind, made at its first use. */
static int default_set(struct judge *j, const char *kind, uint8_t *ret, struct err *e)
{
    for (size_t i = 0; i < j->set_count; i++) {
        if (strcmp(j->sets[i].kind, kind) == 0) {
            *ret = (uint8_t)i;
            return 0;
        }
    }
    if (need(j, kind, e) < 0)
        return e->code;
    if (j->set_count == DEFAULT_SETS_MAX)
        return err_set(e, ERR_USAGE, "rows name more than %d scorers", DEFAULT_SETS_MAX);
    struct judge_set *set = &j->sets[j->set_count];
    struct scorer_spec spec = {kind, kind, "{}"};
    if (scoring_open(&spec, 1, &set->set, e) < 0)
        return e->code = ERR_USAGE;
    set->kind = mem_strdup(kind);
    set->terms[0] = (struct reward_term){.weight = 1, .primary = true};
    *ret = (uint8_t)j->set_count++;
    j->counts_tokens |= strcmp(kind, "length") == 0;
    return 0;
}

static int default_of_row(
    struct judge *j, const char *format, const struct dataset_row *row, uint8_t *ret, struct err *e)
{
    if (strcmp(format, "demos") == 0)
        return err_set(
            e, ERR_USAGE, "demonstrations have no answer to check; name a scorer: --scorer format");
    json_t *task = json_loads(row->json, 0, NULL); /* dataset.c wrote it */
    const char *named = json_string_value(json_object_get(task, "scorer"));
    const char *kind = named != NULL ? named : "math";
    if (named == NULL && json_object_get(task, "tests") != NULL)
        kind = "code";
    else if (named == NULL && strcmp(format, "countdown") == 0)
        kind = "countdown";
    int r = default_set(j, kind, ret, e);
    json_decref(task);
    return r < 0 ? err_ctx(e, "row '%s'", row->key) : 0;
}

static int open_defaults(struct judge *j, const struct dataset *d, struct err *e)
{
    size_t rows = dataset_count(d);
    j->set_of_row = mem_array(rows, sizeof(*j->set_of_row));
    for (size_t i = 0; i < rows; i++)
        if (default_of_row(j, dataset_format(d), dataset_row(d, i), &j->set_of_row[i], e) < 0)
            return e->code;
    return 0;
}

/* ---- a judge ---- */

int judge_dataset(const char *path, const char *format, struct dataset **ret, struct err *e)
{
    int r = dataset_load(path, format, SPLIT_ALL, 0, ret, e);
    if (r == ERR_CONFIG)
        r = e->code = ERR_USAGE;
    return r;
}

int judge_open(
    const struct dataset *d, const struct args_words *scorers, struct judge **ret, struct err *e)
{
    struct judge *j = mem_alloc(sizeof(*j));
    int r = scorers->count > 0 ? open_words(j, scorers, e) : open_defaults(j, d, e);
    if (r < 0) {
        judge_close(j);
        return r;
    }
    *ret = j;
    return 0;
}

void judge_close(struct judge *j)
{
    if (j == NULL)
        return;
    for (size_t i = 0; i < j->set_count; i++) {
        scoring_close(j->sets[i].set);
        free(j->sets[i].kind);
    }
    scoring_use_box(NULL);
    scoring_use_math(NULL);
    box_close(j->box);
    math_pool_close(j->workers);
    free(j->set_of_row);
    free(j);
}

static const struct judge_set *set_of(const struct judge *j, size_t row)
{
    return &j->sets[j->set_of_row != NULL ? j->set_of_row[row] : 0];
}

const struct scoring *judge_set(const struct judge *j, size_t row)
{
    return set_of(j, row)->set;
}

bool judge_counts_tokens(const struct judge *j)
{
    return j->counts_tokens;
}

struct judgement judge_sum(const struct judge *j, size_t row, const struct score_result *results)
{
    const struct judge_set *set = set_of(j, row);
    struct judgement sum = {.primary = &results[0]};
    struct reward_part parts[LIMIT_SCORERS];
    size_t n = scoring_count(set->set);
    for (size_t k = 0; k < n; k++) {
        sum.wall_us += results[k].wall_us;
        parts[k] = (struct reward_part){
            &set->terms[k], results[k].has_value, results[k].value, results[k].verdict};
    }
    double reward = reward_sum(parts, n);
    sum.scored = !isnan(reward);
    sum.reward = sum.scored ? reward : 0;
    return sum;
}
