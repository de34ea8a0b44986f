/* route_run_code.c: POST /run_code as SandboxFusion answers it, for verl, ROLL and others.
 *
 *     {"code", "language", "stdin"?, "compile_timeout"? = 10, "run_timeout"? = 10 (seconds),
 *      "memory_limit_MB"? = -1, "files"?: {name: base64 or null}, "fetch_files"?: [name]}
 *  -> {"status": Success | Failed | SandboxError, "message", "compile_result", "run_result",
 *      "executor_pod_name": null, "files": {name: base64}}
 *
 * Each result is null or {"status": Finished | Error | TimeLimitExceeded, "execution_time",
 * "return_code", "stdout", "stderr"}. Any Error makes SandboxError, else any other end than exit
 * status 0 makes Failed. A program that was killed has minus the signal as its return code, as a
 * child of Python would.
 *
 * What differs: a time-out is processor time, and wall time with a little added, so that the answer
 * still comes before the client's own deadline; memory is always bounded. A fault of the sandbox or
 * an overloaded host is status 504, never SandboxError, which clients take for a wrong answer. What
 * cannot be done at all, e.g. an unknown language, is 422 and says why.
 */
#include <signal.h>
#include <string.h>

#include "common/text/utf8.h"
#include "reward-server/box/box.h"
#include "reward-server/box/language.h"
#include "common/base/base64.h"
#include "reward-server/http/body.h"
#include "reward-server/http/routes.h"

enum {
    SECONDS_MAX = 120,
    WALL_MORE_MS = 2000, /* clients wait 10 s longer than their time-outs */
    MEMORY_MIB = 1024,   /* when the request has no limit */
    MEMORY_MIB_MAX = 16384,
    COMPILE_MEMORY_MIB = 1024,
    PROCESSES = 64,
    OUTPUT_BYTES = 4 << 20,
    WORK_BYTES = 64 << 20,
    WORK_FILES = 1024,
};

/* The names that clients use, and ours. */
static const char *const names[][2] = {
    {"python", "python"}, {"cpp", "c++"}, {"c", "c"}, {"nodejs", "javascript"}, {"bash", "bash"}};

struct run {
    const struct language *language;
    const char *code, *input;
    size_t code_len, input_len;
    double compile_s, run_s, memory_mib;
    struct box_file files[BOX_FILES_MAX]; /* the first is the program */
    struct buf contents[BOX_FILES_MAX];   /* owned; of the files */
    size_t file_count;
    const char *fetch[BOX_FILES_MAX]; /* borrowed from the request */
    size_t fetch_count;
    struct box_result compiled, ran;
    bool has_compiled, has_run;
};

static void run_done(struct run *run)
{
    for (size_t i = 0; i < BOX_FILES_MAX; i++)
        buf_done(&run->contents[i]);
    box_result_done(&run->compiled);
    box_result_done(&run->ran);
}

/* ---- the request ---- */

static int find_language(const char *name, const struct language **ret, struct err *e)
{
    CLEANUP_BUF struct buf known = {0};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct language *l = language_find(names[i][1]);
        if (l == NULL || !language_installed(l))
            continue;
        if (strcmp(name, names[i][0]) == 0) {
            *ret = l;
            return 0;
        }
        buf_printf(&known, "%s%s", known.len > 0 ? ", " : "", names[i][0]);
    }
    return err_set(e, ERR_DATA, "'language': '%.64s' is not offered here; expected one of: %s",
        name, known.len > 0 ? (const char *)known.data : "(none is installed)");
}

static int check_name(const char *field, const char *name, struct err *e)
{
    size_t n = strlen(name);
    if (n > 0 && n < BOX_NAME_MAX && strchr(name, '/') == NULL && name[0] != '.')
        return 0;
    return err_set(e, ERR_DATA,
        "'%s': '%.64s': expected a name of 1 to %d bytes without '/' and not beginning with '.'",
        field, name, BOX_NAME_MAX - 1);
}

static int add_file(struct run *run, const char *name, const json_t *content, struct err *e)
{
    if (json_is_null(content))
        return 0;
    if (check_name("files", name, e) < 0)
        return e->code;
    if (strcmp(name, run->language->source) == 0)
        return err_set(e, ERR_DATA, "'files': '%s' is the name of the program itself", name);
    if (run->file_count == BOX_FILES_MAX)
        return err_set(e, ERR_DATA, "'files': over %d files", BOX_FILES_MAX - 1);
    if (!json_is_string(content) || !base64_get(&run->contents[run->file_count],
                                        json_string_value(content), json_string_length(content)))
        return err_set(e, ERR_DATA, "'files': '%s': expected base64 or null", name);
    const struct buf *bytes = &run->contents[run->file_count];
    run->files[run->file_count++] = (struct box_file){name, bytes->data, bytes->len};
    return 0;
}

static int take_files(struct run *run, const json_t *body, struct err *e)
{
    json_t *files = json_object_get(body, "files"), *content;
    const char *name;
    run->files[0] = (struct box_file){run->language->source, run->code, run->code_len};
    run->file_count = 1;
    if (files != NULL && !json_is_null(files) && !json_is_object(files))
        return err_set(e, ERR_DATA, "'files': found %s, expected an object", body_type(files));
    json_object_foreach(files, name, content)
    {
        if (add_file(run, name, content, e) < 0)
            return e->code;
    }
    return 0;
}

/* The names of files that are wanted back. */
static int take_fetch(struct run *run, const json_t *body, struct err *e)
{
    json_t *list = NULL, *item;
    size_t i;
    if (body_list(body, "fetch_files", &list, e) < 0)
        return e->code;
    if (json_array_size(list) > BOX_FILES_MAX)
        return err_set(e, ERR_DATA, "'fetch_files': over %d files", BOX_FILES_MAX);
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        if (name == NULL || strlen(name) != json_string_length(item))
            return err_set(e, ERR_DATA, "'fetch_files': found %s, expected names", body_type(item));
        if (check_name("fetch_files", name, e) < 0)
            return e->code;
        run->fetch[run->fetch_count++] = name;
    }
    return 0;
}

static int take_limits(struct run *run, const json_t *body, struct err *e)
{
    run->compile_s = run->run_s = 10;
    run->memory_mib = -1;
    if (body_number(body, "compile_timeout", 0.01, SECONDS_MAX, &run->compile_s, e) < 0 ||
        body_number(body, "run_timeout", 0.01, SECONDS_MAX, &run->run_s, e) < 0 ||
        body_number(body, "memory_limit_MB", -1, MEMORY_MIB_MAX, &run->memory_mib, e) < 0)
        return e->code;
    if (run->memory_mib <= 0)
        run->memory_mib = MEMORY_MIB;
    else if (run->memory_mib < 16)
        return err_set(e, ERR_DATA, "'memory_limit_MB': found %g, expected -1 or 16 to %d",
            run->memory_mib, MEMORY_MIB_MAX);
    return 0;
}

static int take_run(struct run *run, const json_t *body, struct err *e)
{
    const char *language = NULL;
    size_t n;
    if (body_text(body, "code", &run->code, &run->code_len, e) < 0 ||
        body_text(body, "language", &language, &n, e) < 0 ||
        body_text(body, "stdin", &run->input, &run->input_len, e) < 0)
        return e->code;
    if (run->code == NULL || language == NULL)
        return err_set(e, ERR_DATA, "'code' and 'language' are needed");
    if (find_language(language, &run->language, e) < 0)
        return e->code;
    if (take_limits(run, body, e) < 0)
        return e->code;
    int r = take_files(run, body, e);
    return r < 0 ? r : take_fetch(run, body, e);
}

/* ---- running ---- */

static struct box_limits limits_of(double seconds, double memory_mib)
{
    uint64_t ms = (uint64_t)(1000 * seconds);
    return (struct box_limits){.cpu_ms = ms,
        .wall_ms = ms + WALL_MORE_MS,
        .memory_bytes = (uint64_t)memory_mib << 20,
        .processes = PROCESSES,
        .output_bytes = OUTPUT_BYTES,
        .work_bytes = WORK_BYTES,
        .work_files = WORK_FILES};
}

/* A fault of the host is an error here, whatever the program did. */
static int run_box(
    struct call *c, const struct box_request *q, struct box_result *ret, struct err *e)
{
    if (atomic_load(&c->given_up))
        return err_set(e, ERR_RETRY, "given up: out of time");
    c->tally.programs++;
    int r = box_run(c->setup->box, q, ret, e);
    if (r == 0 && ret->end == BOX_FAULT)
        r = err_set(e, ERR_RETRY, "the sandbox is at fault: %s", ret->message);
    else if (r == 0 && ret->end == BOX_STARVED)
        r = err_set(e, ERR_RETRY, "the host is overloaded: the program got no processor");
    if (r < 0)
        c->tally.faults[SCORE_FAULT_TRANSIENT]++;
    return r < 0 ? e->code = ERR_RETRY : 0;
}

static bool ended_well(const struct box_result *r)
{
    return r->end == BOX_EXITED && r->detail == 0;
}

static int compile(struct call *c, struct run *run, struct err *e)
{
    struct box_request q = {.language = run->language->name,
        .phase = BOX_COMPILE,
        .limits = limits_of(run->compile_s, COMPILE_MEMORY_MIB),
        .files = run->files,
        .file_count = run->file_count};
    int r = run_box(c, &q, &run->compiled, e);
    run->has_compiled = r == 0;
    if (r == 0 && ended_well(&run->compiled))
        run->files[0] =
            (struct box_file){run->language->built, run->compiled.output, run->compiled.output_len};
    return r;
}

static int run_all(struct call *c, struct run *run, struct err *e)
{
    if (run->language->built != NULL) {
        int r = compile(c, run, e);
        if (r < 0 || !ended_well(&run->compiled))
            return r;
    }
    struct box_request q = {.language = run->language->name,
        .limits = limits_of(run->run_s, run->memory_mib),
        .input = run->input,
        .input_len = run->input_len,
        .files = run->files,
        .file_count = run->file_count,
        .fetch = run->fetch,
        .fetch_count = run->fetch_count};
    int r = run_box(c, &q, &run->ran, e);
    run->has_run = r == 0;
    return r;
}

/* ---- the answer ---- */

/* Bytes as text: what is no UTF-8 becomes U+FFFD. */
static json_t *as_text(const uint8_t *bytes, size_t n)
{
    CLEANUP_BUF struct buf text = {0};
    for (size_t i = 0; i < n;) {
        size_t step = utf8_next(bytes + i, n - i, NULL);
        if (step > 0)
            buf_append(&text, bytes + i, step);
        else
            buf_puts(&text, "\xef\xbf\xbd");
        i += step > 0 ? step : 1;
    }
    return json_stringn(text.len > 0 ? (const char *)text.data : "", text.len);
}

/* What an end looks like to a client; signal 0: the result's own number. */
static const struct {
    const char *status, *note;
    int signal;
} ends[BOX_END_COUNT] = {
    [BOX_EXITED] = {"Finished", "", 0},
    [BOX_SIGNALLED] = {"Finished", "", 0},
    [BOX_CPU] = {"TimeLimitExceeded", "", 0},
    [BOX_WALL] = {"TimeLimitExceeded", "", 0},
    [BOX_MEMORY] = {"Finished", "\nsandbox: killed, out of memory\n", SIGKILL},
    [BOX_OUTPUT] = {"Finished", "\nsandbox: killed, too much output\n", SIGKILL},
    [BOX_VIOLATION] = {"Finished", "\nsandbox: killed, a forbidden system call\n", SIGSYS},
};

static json_t *result_json(const struct box_result *r, bool hide_output)
{
    json_t *o = json_object(), *code = json_null();
    CLEANUP_BUF struct buf errors = {0};
    buf_append(&errors, r->errors != NULL ? r->errors : (const uint8_t *)"", r->errors_len);
    buf_puts(&errors, ends[r->end].note);
    if (r->end == BOX_EXITED)
        code = json_integer(r->detail);
    else if (r->end != BOX_CPU && r->end != BOX_WALL)
        code = json_integer(-(ends[r->end].signal != 0 ? ends[r->end].signal : r->detail));
    (void)json_object_set_new(o, "status", json_string(ends[r->end].status));
    (void)json_object_set_new(o, "execution_time", json_real((double)r->wall_us / 1e6));
    (void)json_object_set_new(o, "return_code", code);
    (void)json_object_set_new(
        o, "stdout", hide_output ? json_string("") : as_text(r->output, r->output_len));
    (void)json_object_set_new(o, "stderr", as_text(errors.data, errors.len));
    return o;
}

/* The files that were wanted and are there. */
static json_t *files_json(const struct box_result *r)
{
    json_t *o = json_object();
    for (size_t i = 0; i < r->file_count; i++) {
        CLEANUP_BUF struct buf text = {0};
        base64_put(&text, r->files[i].data, r->files[i].n);
        (void)json_object_set_new(o, r->files[i].name,
            json_stringn(text.len > 0 ? (const char *)text.data : "", text.len));
    }
    return o;
}

static json_t *answer_of(const struct run *run)
{
    json_t *o = json_object();
    bool good = run->has_run && ended_well(&run->ran);
    (void)json_object_set_new(o, "status", json_string(good ? "Success" : "Failed"));
    (void)json_object_set_new(o, "message", json_string(""));
    /* the compiled program itself is what its box printed */
    (void)json_object_set_new(
        o, "compile_result", run->has_compiled ? result_json(&run->compiled, true) : json_null());
    (void)json_object_set_new(
        o, "run_result", run->has_run ? result_json(&run->ran, false) : json_null());
    (void)json_object_set_new(o, "executor_pod_name", json_null());
    (void)json_object_set_new(o, "files", files_json(&run->ran));
    return o;
}

int route_run_code(struct call *c, json_t *body, json_t **ret, struct err *e)
{
    struct run run = {0};
    int r = take_run(&run, body, e);
    if (r == 0 && c->setup->box == NULL)
        r = err_set(e, ERR_DATA, "there is no sandbox here, and programs do not run without");
    if (r == 0)
        r = run_all(c, &run, e);
    if (r == 0)
        *ret = answer_of(&run);
    run_done(&run);
    return r;
}
