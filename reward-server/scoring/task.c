/* task.c: parameters and tasks out of JSON. See also code_task.c. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "reward-server/scoring/scorer.h"

static void json_cleanup(json_t **j)
{
    json_decref(*j);
}
#define CLEANUP_JSON CLEANUP(json_cleanup)

/* ---- parameters ---- */

/* As text, whether it stood in a configuration file or came as a JSON number. */
static int param_text(json_t *value, const char *name, struct buf *out, struct err *e)
{
    if (json_is_string(value))
        buf_puts(out, json_string_value(value));
    else if (json_is_integer(value))
        buf_printf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        buf_printf(out, "%.17g", json_real_value(value));
    else
        return err_set(e, ERR_CONFIG, "parameter '%.64s': expected text or a number", name);
    return 0;
}

static int param_tag(const struct scorer_param *p, const char *text, void *state, struct err *e)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t n = strlen(text);
    if (n >= SCORER_TAG_BYTES_MAX || strspn(text, allowed) != n)
        return err_set(e, ERR_CONFIG,
            "parameter '%s': '%.64s', expected a name of a tag: at most %d of a-z 0-9 _ -", p->name,
            text, SCORER_TAG_BYTES_MAX - 1);
    memcpy((char *)state + p->offset, text, n + 1);
    return 0;
}

static int param_int(const struct scorer_param *p, const char *text, void *state, struct err *e)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || (double)v < p->min || (double)v > p->max)
        return err_set(e, ERR_CONFIG,
            "parameter '%s': '%.64s', expected an integer from %.0f to %.0f", p->name, text, p->min,
            p->max);
    int64_t stored = v;
    memcpy((char *)state + p->offset, &stored, sizeof(stored));
    return 0;
}

static int param_real(const struct scorer_param *p, const char *text, void *state, struct err *e)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= p->min && v <= p->max))
        return err_set(e, ERR_CONFIG, "parameter '%s': '%.64s', expected a number from %g to %g",
            p->name, text, p->min, p->max);
    memcpy((char *)state + p->offset, &v, sizeof(v));
    return 0;
}

static int param_choice(const struct scorer_param *p, const char *text, void *state, struct err *e)
{
    size_t n = strlen(text);
    int64_t index = 0;
    for (const char *at = p->choices;; at++, index++) {
        size_t len = strcspn(at, "|");
        if (len == n && memcmp(at, text, n) == 0) {
            memcpy((char *)state + p->offset, &index, sizeof(index));
            return 0;
        }
        at += len;
        if (*at == '\0')
            break;
    }
    return err_set(
        e, ERR_CONFIG, "parameter '%s': '%.64s', expected one of %s", p->name, text, p->choices);
}

static int param_set(const struct scorer_param *p, json_t *value, void *state, struct err *e)
{
    CLEANUP_BUF struct buf text = {0};
    int r = param_text(value, p->name, &text, e);
    if (r != 0)
        return r;
    const char *s = text.len > 0 ? (const char *)text.data : "";
    static int (*const readers[])(
        const struct scorer_param *, const char *, void *, struct err *) = {[PARAM_TAG] = param_tag,
        [PARAM_INT] = param_int,
        [PARAM_REAL] = param_real,
        [PARAM_CHOICE] = param_choice};
    return readers[p->type](p, s, state, e);
}

static int param_unknown(
    const char *name, const struct scorer_param *params, size_t n, struct err *e)
{
    CLEANUP_BUF struct buf known = {0};
    for (size_t i = 0; i < n; i++)
        buf_printf(&known, "%s%s", i > 0 ? ", " : "", params[i].name);
    return err_set(e, ERR_CONFIG, "parameter '%.64s': unknown, expected %s", name,
        n > 0 ? (const char *)known.data : "none");
}

int scorer_params(
    const char *json, const struct scorer_param *params, size_t n, void *state, struct err *e)
{
    json_error_t at;
    const char *name;
    json_t *value;
    CLEANUP_JSON json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(root))
        return err_set(
            e, ERR_CONFIG, "parameters: %s", root == NULL ? at.text : "expected a JSON object");
    json_object_foreach(root, name, value)
    {
        size_t i = 0;
        while (i < n && strcmp(params[i].name, name) != 0)
            i++;
        int r = i < n ? param_set(&params[i], value, state, e) : param_unknown(name, params, n, e);
        if (r != 0)
            return r;
    }
    for (size_t i = 0; i < n; i++) {
        if (params[i].required && json_object_get(root, params[i].name) == NULL)
            return err_set(e, ERR_CONFIG, "parameter '%s': missing", params[i].name);
    }
    return 0;
}

int scorer_tag_open(const char *params_json, void **ret_state, struct err *e)
{
    static const struct scorer_param params[] = {
        {"tag", PARAM_TAG, offsetof(struct scorer_tag, tag), false, 0, 0}};
    CLEANUP_FREE struct scorer_tag *state = mem_alloc(sizeof(*state));
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r == 0)
        *ret_state = steal(&state);
    return r;
}

int scorer_empty_open(const char *params_json, void **ret_state, struct err *e)
{
    int r = scorer_params(params_json, NULL, 0, NULL, e);
    if (r == 0)
        *ret_state = NULL;
    return r;
}

/* ---- tasks ---- */

void *task_alloc(struct arena *a, size_t bytes, const char **ret_why)
{
    void *p = arena_alloc(a, bytes);
    if (p == NULL)
        *ret_why = "the task does not fit in memory";
    return p;
}

static json_t *task_parse(const struct grade_input *in, struct arena *a, const char **ret_why)
{
    json_error_t at;
    json_t *root = json_loads(in->task_json != NULL ? in->task_json : "", 0, &at);
    if (root == NULL)
        *ret_why = reason_text(a, "the task is not JSON: %s", at.text);
    return root;
}

const char *task_answer(const struct grade_input *in, struct arena *a, const char **ret_why)
{
    CLEANUP_JSON json_t *root = task_parse(in, a, ret_why);
    if (root == NULL)
        return NULL;
    const char *text = json_string_value(json_object_get(root, "answer"));
    if (text == NULL) {
        *ret_why = "the task has no reference answer";
        return NULL;
    }
    struct span s = span_trim((struct span){text, strlen(text)});
    if (s.n == 0 || s.n > SCORER_REFERENCE_BYTES_MAX) {
        *ret_why = s.n == 0 ? "the reference answer is empty"
                            : "the reference answer is longer than 64 KiB";
        return NULL;
    }
    char *copy = task_alloc(a, s.n + 1, ret_why);
    if (copy != NULL)
        memcpy(copy, s.at, s.n);
    return copy;
}

bool task_text(const struct grade_input *in, const char *name, struct arena *a, const char **ret,
    const char **ret_why)
{
    CLEANUP_JSON json_t *root = task_parse(in, a, ret_why);
    if (root == NULL)
        return false;
    json_t *value = json_object_get(root, name);
    if (value != NULL && !json_is_string(value)) {
        *ret_why = reason_text(a, "the task's %s is not text", name);
        return false;
    }
    *ret = value != NULL ? arena_strdup(a, json_string_value(value)) : NULL;
    if (value == NULL || *ret != NULL)
        return true;
    *ret_why = "a field of the task does not fit in memory";
    return false;
}

bool task_choices(const struct grade_input *in, struct arena *a,
    const char *ret_texts[SCORER_CHOICES_MAX], size_t *ret_count, const char **ret_why)
{
    CLEANUP_JSON json_t *root = task_parse(in, a, ret_why);
    json_t *list = json_object_get(root, "choices"), *text;
    size_t i, count = json_array_size(list);
    if (root == NULL)
        return false;
    *ret_count = count;
    if (list == NULL)
        return true;
    *ret_why = "the task's choices are not a list of 2 to 10 texts";
    if (count < 2 || count > SCORER_CHOICES_MAX)
        return false;
    json_array_foreach(list, i, text)
    {
        const char *value = json_string_value(text);
        ret_texts[i] = value != NULL ? arena_strdup(a, value) : NULL;
        if (ret_texts[i] == NULL)
            return false;
    }
    return true;
}

const struct task_countdown *task_countdown(
    const struct grade_input *in, struct arena *a, const char **ret_why)
{
    CLEANUP_JSON json_t *root = task_parse(in, a, ret_why);
    if (root == NULL)
        return NULL;
    json_t *nums = json_object_get(root, "nums"), *target = json_object_get(root, "target"), *num;
    size_t i, count = json_array_size(nums);
    if (!json_is_integer(target) || count == 0 || count > SCORER_NUMS_MAX) {
        *ret_why =
            reason_text(a, "the task needs an integer target and 1 to %d nums", SCORER_NUMS_MAX);
        return NULL;
    }
    struct task_countdown *task = task_alloc(a, sizeof(*task), ret_why);
    if (task == NULL)
        return NULL;
    *task = (struct task_countdown){.count = count, .target = json_integer_value(target)};
    json_array_foreach(nums, i, num)
    {
        if (!json_is_integer(num) || json_integer_value(num) < 0) {
            *ret_why = "the task's nums are not all integers from 0";
            return NULL;
        }
        task->nums[i] = json_integer_value(num);
    }
    return task;
}
