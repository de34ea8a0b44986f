/* lint.c: the scorer of what a linter finds in a program that passes its tests.
 *
 * Python: python/lint.py with pyflakes, in a box, which looks at the program and does not run it. C
 * and C++: the compiler's warnings as JSON (-Wall -Wextra), in a box too. Findings in the task's
 * own prefix are not the completion's. A tenth is lost for a finding, four for an error; the length
 * of the program plays no part, so that padding it buys nothing.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reward-server/scoring/code.h"

enum {
    LOOK_CPU_MS = 20000,
    LOOK_MEMORY_MIB = 1024,
    COST_WARNING = 1, /* tenths of the value */
    COST_ERROR = 4,
};

static const char lint_python[] =
#include "lint.py.inc"
    ;

struct findings {
    size_t first_line; /* of the completion: those before it are not counted */
    size_t warnings, errors;
    char text[CODE_EXCERPT]; /* the first one */
};

static void add(struct findings *f, long long line, bool error, const char *text)
{
    if (line < (long long)f->first_line)
        return;
    if (f->warnings + f->errors == 0)
        (void)snprintf(f->text, sizeof(f->text), "line %lld: %s",
            line - (long long)f->first_line + 1, text != NULL ? text : "?");
    *(error ? &f->errors : &f->warnings) += 1;
}

/* ---- Python ---- */

/* False with *ret_missing: what the host lacks; NULL when the report cannot be read. */
static bool read_python(
    const struct box_result *r, struct arena *a, struct findings *f, const char **ret_missing)
{
    json_error_t at;
    size_t i;
    json_t *item;
    json_t *root = json_loadb((const char *)r->output, r->output_len, 0, &at);
    const char *missing = json_string_value(json_object_get(root, "missing"));
    json_t *found = json_object_get(root, "findings");
    *ret_missing = missing != NULL ? reason_text(a, "lint of Python needs %s", missing) : NULL;
    json_array_foreach(found, i, item)
    {
        add(f, json_integer_value(json_array_get(item, 0)), json_is_true(json_array_get(item, 1)),
            json_string_value(json_array_get(item, 2)));
    }
    bool ok = json_is_array(found);
    json_decref(root);
    return ok;
}

static bool look_python(struct span source, struct box_result *ret)
{
    static const struct code_limits limits = {LOOK_CPU_MS, LOOK_MEMORY_MIB};
    const struct box_file files[] = {
        {"main.py", lint_python, sizeof(lint_python) - 1}, {"program.py", source.at, source.n}};
    struct box_request q = {.language = "python",
        .limits = code_box_limits(&limits),
        .files = files,
        .file_count = ARRAY_LEN(files)};
    code_box_run(&q, 1, ret);
    return code_exited_well(ret);
}

/* ---- C and C++ ---- */

static bool look_compiled(const struct language *l, struct span source, struct box_result *ret)
{
    static const struct code_limits limits = {LOOK_CPU_MS, LOOK_MEMORY_MIB};
    char name[32];
    (void)snprintf(name, sizeof(name), "%s-lint", l->name);
    const struct box_file file = {l->source, source.at, source.n};
    struct box_request q = {.language = name,
        .phase = BOX_COMPILE,
        .limits = code_box_limits(&limits),
        .files = &file,
        .file_count = 1};
    code_box_run(&q, 1, ret);
    return ret->end == BOX_EXITED;
}

static bool read_compiled(const struct box_result *r, struct findings *f)
{
    json_error_t at;
    size_t i;
    json_t *item;
    json_t *root = json_loadb((const char *)r->errors, r->errors_len, JSON_DISABLE_EOF_CHECK, &at);
    json_array_foreach(root, i, item)
    {
        const char *kind = json_string_value(json_object_get(item, "kind"));
        const json_t *where = json_array_get(json_object_get(item, "locations"), 0);
        const json_t *line = json_object_get(json_object_get(where, "caret"), "line");
        add(f, line != NULL ? json_integer_value(line) : (long long)f->first_line,
            kind != NULL && strstr(kind, "error") != NULL,
            json_string_value(json_object_get(item, "message")));
    }
    bool ok = json_is_array(root);
    json_decref(root);
    return ok;
}

/* Directives that silence the compiler: each is a finding of its own. */
static void add_silencers(struct span source, struct findings *f)
{
    static const char *const marks[] = {"diagnostic", "system_header"};
    long long line = 0;
    for (size_t from = 0; from < source.n; line++) {
        const char *end = memchr(source.at + from, '\n', source.n - from);
        size_t next = end != NULL ? (size_t)(end - source.at) + 1 : source.n;
        struct span s = span_trim((struct span){source.at + from, next - from});
        bool directive = s.n > 0 && s.at[0] == '#', silences = false;
        for (size_t i = 0; i < ARRAY_LEN(marks); i++)
            silences |= memmem(s.at, s.n, marks[i], strlen(marks[i])) != NULL &&
                        (directive || memmem(s.at, s.n, "_Pragma", 7) != NULL);
        if (directive) { /* a line marker may call what follows a header of the system */
            s = span_trim((struct span){s.at + 1, s.n - 1});
            silences |= s.n > 0 && s.at[0] >= '0' && s.at[0] <= '9';
        }
        if (silences)
            add(f, line + 1, false, "a directive that silences the compiler");
        from = next;
    }
}

/* ---- the scorer ---- */

static bool has_linter(const struct language *l)
{
    return strcmp(l->name, "python") == 0 || strcmp(l->name, "c") == 0 ||
           strcmp(l->name, "c++") == 0;
}

static const void *lint_read(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    const struct code_task *task = code_task(in, a, ret_why);
    if (task == NULL || has_linter(task->language))
        return task;
    *ret_why =
        reason_text(a, "there is no lint of %s; expected python, c or c++", task->language->name);
    return NULL;
}

static size_t lines_of(const char *text)
{
    size_t n = 1;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void fill(const struct findings *f, struct arena *a, struct score_result *out)
{
    size_t cost = f->warnings * COST_WARNING + f->errors * COST_ERROR;
    out->value = cost < 10 ? (double)(10 - cost) / 10 : 0;
    out->verdict = cost == 0 ? VERDICT_PASS : VERDICT_WRONG;
    if (cost > 0)
        out->reason = reason_text(
            a, "errors: %zu, warnings: %zu, the first in %s", f->errors, f->warnings, f->text);
}

static void look(
    const struct code_task *task, struct span source, struct arena *a, struct score_result *out)
{
    struct findings f = {.first_line = task->prefix[0] != '\0' ? lines_of(task->prefix) + 1 : 1};
    struct box_result r = {0};
    const char *missing = NULL;
    bool python = strcmp(task->language->name, "python") == 0;
    bool ended = python ? look_python(source, &r) : look_compiled(task->language, source, &r);
    code_isolation(&r, a, out);
    if (!ended) {
        code_judge_end(&r, "looking at the program", a, out);
    } else if (python ? read_python(&r, a, &f, &missing) : read_compiled(&r, &f)) {
        if (!python)
            add_silencers(source, &f);
        fill(&f, a, out);
    } else if (missing != NULL) {
        code_no_value(out, SCORE_FAULT_PERMANENT, missing);
    } else {
        out->reason = "the report about the program cannot be read";
    }
    box_result_done(&r);
}

static void lint_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const struct scorer_tag *s = state;
    struct span text = {(const char *)completion->text, completion->text_len}, source;
    if (code_program(text, s->tag, task, a, &source, out))
        look(task, source, a, out);
}

const struct scorer_kind scorer_lint = {
    .name = "lint",
    .help = "1 when a linter finds nothing in a program that passes its tests; less for findings",
    .deterministic = false,
    .runs_programs = true,
    .after_tests = true,
    .open = scorer_tag_open,
    .close = scorer_state_close,
    .read = lint_read,
    .score = lint_score,
};
