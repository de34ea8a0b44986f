/* code_task.c: the task of the code scorer out of JSON, and the program out of a completion. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "reward-server/scoring/code.h"

static void json_cleanup(json_t **j)
{
    json_decref(*j);
}
#define CLEANUP_JSON CLEANUP(json_cleanup)

/* ---- the task ---- */

static struct span copy_text(const json_t *text, struct arena *a)
{
    size_t n = json_string_length(text);
    char *copy = text != NULL ? arena_alloc(a, n + 1) : NULL; /* zeroed */
    if (copy == NULL)
        return (struct span){NULL, 0};
    memcpy(copy, json_string_value(text), n);
    return (struct span){copy, n};
}

/* A field as text, "" when it is not there. */
static const char *field(const json_t *root, const char *name, struct arena *a)
{
    const char *text = copy_text(json_object_get(root, name), a).at;
    return text != NULL ? text : "";
}

static struct span json_text(const json_t *value, struct arena *a)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    struct span s = {text != NULL ? arena_strdup(a, text) : NULL, 0};
    s.n = s.at != NULL ? strlen(s.at) : 0;
    free(text);
    return s;
}

/* The call of a test as python/call.py takes it. */
static bool take_call(
    const json_t *test, const struct code_task *task, struct arena *a, struct code_test *ret)
{
    json_t *args = json_object_get(test, "args"), *kwargs = json_object_get(test, "kwargs");
    if (!json_is_array(args) || (kwargs != NULL && !json_is_object(kwargs)))
        return false;
    CLEANUP_JSON json_t *call =
        json_pack("{s:s, s:s, s:O, s:o}", "entry_point", task->entry_point, "setup", task->setup,
            "args", args, "kwargs", kwargs != NULL ? json_incref(kwargs) : json_object());
    ret->kind = CODE_CALL;
    ret->input = json_text(call, a);
    json_t *any = json_object_get(test, "expected_any");
    CLEANUP_JSON json_t *list =
        any != NULL ? json_incref(any) : json_pack("[O]", json_object_get(test, "expected"));
    ret->expected = json_text(list, a);
    return ret->input.at != NULL && ret->expected.at != NULL && json_array_size(list) > 0;
}

static bool take_test(
    const json_t *test, const struct code_task *task, struct arena *a, struct code_test *ret)
{
    const json_t *output = json_object_get(test, "stdout"), *input = json_object_get(test, "stdin");
    const json_t *check = json_object_get(test, "check"), *text = json_object_get(test, "assert");
    *ret = (struct code_test){.kind = check != NULL ? CODE_CHECK : CODE_ASSERT};
    if (json_object_get(test, "args") != NULL)
        return take_call(test, task, a, ret);
    if (json_is_string(output)) {
        ret->kind = CODE_OUTPUT;
        ret->expected = copy_text(output, a);
        ret->input = copy_text(input, a);
        return ret->expected.at != NULL && (input == NULL || ret->input.at != NULL);
    }
    ret->text = copy_text(check != NULL ? check : text, a).at;
    return ret->text != NULL;
}

static bool is_python(const struct code_test *test)
{
    return test->kind == CODE_ASSERT || test->kind == CODE_CHECK;
}

bool code_is_python(const struct code_task *task)
{
    return is_python(&task->tests[0]);
}

static bool is_like(const struct code_test *a, const struct code_test *b)
{
    return is_python(a) ? is_python(b) : a->kind == b->kind;
}

static bool take_tests(
    const json_t *tests, struct arena *a, struct code_task *ret, const char **ret_why)
{
    ret->count = json_array_size(tests);
    if (ret->count == 0 || ret->count > CODE_TESTS_MAX) {
        *ret_why =
            reason_text(a, "%zu tests in the task, expected 1 to %d", ret->count, CODE_TESTS_MAX);
        return false;
    }
    ret->tests = arena_alloc(a, ret->count * sizeof(*ret->tests));
    for (size_t i = 0; i < ret->count; i++) {
        struct code_test *test = &ret->tests[i];
        if (ret->tests == NULL || !take_test(json_array_get(tests, i), ret, a, test)) {
            *ret_why = reason_text(a, "test %zu of the task is none", i);
            return false;
        }
        if (!is_like(test, &ret->tests[0])) {
            *ret_why = "the task mixes tests of input and output, calls, and tests in Python";
            return false;
        }
        if (test->input.n > CODE_INPUT_BYTES_MAX) {
            *ret_why = reason_text(a, "test %zu has %zu bytes of input, at most %d", i,
                test->input.n, CODE_INPUT_BYTES_MAX);
            return false;
        }
    }
    return true;
}

/* What a language needs to be there, by its path. */
static const char *program_of(const struct language *l, struct arena *a)
{
    if (l->built == NULL)
        return l->run.argv[0];
    const char *command = l->compile.argv[2];
    return reason_text(a, "%.*s", (int)strcspn(command, " "), command);
}

static bool take_language(
    const char *name, struct arena *a, struct code_task *ret, const char **ret_why)
{
    const struct language *l = ret->language = language_find(name);
    if (name[0] == '\0')
        *ret_why = "the task names no language";
    else if (l == NULL || l->run.argv[0] == NULL)
        *ret_why = reason_text(a, "no language '%.64s' is known", name);
    else if (!language_installed(l))
        *ret_why =
            reason_text(a, "language %s is not installed here: no %s", l->name, program_of(l, a));
    else if (l->wide && !code_has_groups())
        *ret_why = reason_text(a, "language %s needs control groups, which are not here", l->name);
    else
        return true;
    return false;
}

/* Whether tests of this kind are for programs in this language. */
static bool suits(const struct code_task *task, const char **ret_why)
{
    bool call = task->tests[0].kind == CODE_CALL;
    if (code_is_python(task) && strcmp(task->language->name, "python") != 0)
        *ret_why = "assertions are judged in Python only; expected tests of stdin and stdout";
    else if (call && !code_call_known(task->language))
        *ret_why = "functions are called in Python and JavaScript only; expected tests of stdin "
                   "and stdout";
    else if (call && task->entry_point[0] == '\0')
        *ret_why = "the task has tests that call a function, and no entry_point that names it";
    else
        return true;
    return false;
}

const struct code_task *code_task(
    const struct grade_input *in, struct arena *a, const char **ret_why)
{
    json_error_t at;
    if (!code_has_box()) {
        *ret_why = "there is no sandbox here, and programs do not run without";
        return NULL;
    }
    CLEANUP_JSON json_t *root =
        json_loads(in->task_json != NULL ? in->task_json : "", JSON_ALLOW_NUL, &at);
    if (root == NULL) {
        *ret_why = reason_text(a, "the task is not JSON: %s", at.text);
        return NULL;
    }
    struct code_task *task = task_alloc(a, sizeof(*task), ret_why);
    if (task == NULL)
        return NULL;
    *task = (struct code_task){.entry_point = field(root, "entry_point", a),
        .setup = field(root, "setup", a),
        .prefix = field(root, "prefix", a),
        .solution = field(root, "solution", a)};
    bool fine = take_language(field(root, "language", a), a, task, ret_why) &&
                take_tests(json_object_get(root, "tests"), a, task, ret_why) &&
                suits(task, ret_why);
    return fine ? task : NULL;
}

/* ---- the program ---- */

static struct span after_thinking(struct span text)
{
    static const char mark[] = "</think>";
    for (;;) {
        const char *hit = memmem(text.at, text.n, mark, strlen(mark));
        if (hit == NULL)
            return text;
        size_t skip = (size_t)(hit - text.at) + strlen(mark);
        text.at += skip;
        text.n -= skip;
    }
}

/* The next line that begins a fence, after up to 3 spaces; its content without the mark. */
static bool next_fence(struct span text, size_t from, size_t *ret_line, size_t *ret_next)
{
    while (from < text.n) {
        const char *end = memchr(text.at + from, '\n', text.n - from);
        size_t next = end != NULL ? (size_t)(end - text.at) + 1 : text.n, at = from;
        while (at < next && at < from + 3 && text.at[at] == ' ')
            at++;
        if (next - at >= 3 && memcmp(text.at + at, "```", 3) == 0) {
            *ret_line = from;
            *ret_next = next;
            return true;
        }
        from = next;
    }
    return false;
}

/* The last block between two fences. -1: a fence is open; 0: there is none. */
static int last_block(struct span text, struct span *ret)
{
    size_t from = 0, line, next;
    int found = 0;
    while (next_fence(text, from, &line, &next)) {
        size_t begin = next;
        if (!next_fence(text, begin, &line, &next))
            return -1;
        *ret = (struct span){text.at + begin, line - begin};
        found = 1;
        from = next;
    }
    return found;
}

struct span code_with_prefix(const struct code_task *task, struct span source, struct arena *a)
{
    size_t prefix = strlen(task->prefix);
    char *whole = prefix > 0 ? arena_alloc(a, prefix + 1 + source.n) : NULL;
    if (whole == NULL)
        return source;
    memcpy(whole, task->prefix, prefix);
    whole[prefix] = '\n';
    memcpy(whole + prefix + 1, source.at, source.n);
    return (struct span){whole, prefix + 1 + source.n};
}

bool code_program(struct span text, const char *tag, const struct code_task *task, struct arena *a,
    struct span *ret, struct score_result *out)
{
    struct span body = after_thinking(text);
    if (tag[0] != '\0' && !answer_in_tag(body, tag, a, &body, out))
        return false;
    int blocks = last_block(body, ret);
    if (blocks < 0) {
        out->verdict = VERDICT_MALFORMED;
        out->reason = "a block of code is opened with ``` and not closed";
        return false;
    }
    if (blocks == 0)
        *ret = body;
    if (span_trim(*ret).n == 0) {
        out->verdict = VERDICT_NO_ANSWER;
        out->reason = "there is no program";
        return false;
    }
    size_t prefix = strlen(task->prefix);
    if (ret->n + prefix > CODE_PROGRAM_BYTES_MAX) {
        out->verdict = VERDICT_MALFORMED;
        out->reason = "the program is longer than 1 MiB";
        return false;
    }
    result_extracted(out, a, *ret);
    *ret = code_with_prefix(task, *ret, a);
    return true;
}

/* ---- outputs ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span without_end(struct span s)
{
    while (s.n > 0 && (is_blank(s.at[s.n - 1]) || s.at[s.n - 1] == '\n'))
        s.n--;
    return s;
}

/* Takes a line off s. */
static struct span take_line(struct span *s)
{
    const char *end = memchr(s->at, '\n', s->n);
    struct span line = {s->at, end != NULL ? (size_t)(end - s->at) : s->n};
    size_t used = line.n + (end != NULL);
    s->at += used;
    s->n -= used;
    while (line.n > 0 && is_blank(line.at[line.n - 1]))
        line.n--;
    return line;
}

bool code_output_same(struct span expected, struct span found)
{
    expected = without_end(expected);
    found = without_end(found);
    while (expected.n > 0 && found.n > 0) {
        struct span want = take_line(&expected), got = take_line(&found);
        if (want.n != got.n || memcmp(want.at, got.at, want.n) != 0)
            return false;
    }
    return expected.n == found.n; /* both at their ends */
}
