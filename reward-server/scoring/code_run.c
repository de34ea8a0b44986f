/* code_run.c: what the ways of testing a program share: running boxes, and what their ends mean. */
#include <string.h>

#include "reward-server/scoring/code.h"

enum {
    WALL_FACTOR = 4, /* of the processor time, and ... */
    WALL_MORE_MS = 2000,
    PROCESSES = 32,
    OUTPUT_BYTES = 4 << 20,
    WORK_BYTES = 32 << 20,
    WORK_FILES = 1024,
};

static struct box *box; /* borrowed; set before any thread */

void scoring_use_box(struct box *b)
{
    box = b;
}

bool code_has_box(void)
{
    return box != NULL;
}

/* ---- verdicts ---- */

void code_no_value(struct score_result *out, enum score_fault fault, const char *reason)
{
    out->has_value = false;
    out->verdict = VERDICT_JUDGE_FAULT;
    out->fault = fault;
    out->reason = reason;
}

static const char *excerpt(const struct box_result *r, struct arena *a)
{
    struct span s = span_trim((struct span){(const char *)r->errors, r->errors_len});
    if (s.n > CODE_EXCERPT) { /* the end says what happened */
        s.at += s.n - CODE_EXCERPT;
        s.n = CODE_EXCERPT;
    }
    return s.n > 0 ? display_text(a, s.at, s.n, 2 * CODE_EXCERPT) : "";
}

void code_judge_end(
    const struct box_result *r, const char *what, struct arena *a, struct score_result *out)
{
    static const struct {
        enum verdict verdict;
        const char *text;
    } ends[BOX_END_COUNT] = {
        [BOX_EXITED] = {VERDICT_CRASH, "exit status"},
        [BOX_SIGNALLED] = {VERDICT_CRASH, "signal"},
        [BOX_CPU] = {VERDICT_TIMEOUT, "processor time is up"},
        [BOX_WALL] = {VERDICT_TIMEOUT, "waited until time was up"},
        [BOX_MEMORY] = {VERDICT_MEMORY, "out of memory"},
        [BOX_OUTPUT] = {VERDICT_OUTPUT, "too much output"},
        [BOX_VIOLATION] = {VERDICT_VIOLATION, "a forbidden system call"},
    };
    if (r->end == BOX_STARVED || r->end == BOX_FAULT) {
        code_no_value(out, SCORE_FAULT_TRANSIENT,
            r->end == BOX_FAULT ? reason_text(a, "%s: %s", what, r->message)
                                : reason_text(a, "%s: the host is overloaded", what));
        return;
    }
    out->verdict = ends[r->end].verdict;
    const char *said = excerpt(r, a);
    if (r->end == BOX_EXITED || r->end == BOX_SIGNALLED)
        out->reason = reason_text(a, "%s: %s %d%s%s", what, ends[r->end].text, r->detail,
            said[0] != '\0' ? ": " : "", said);
    else
        out->reason = reason_text(a, "%s: %s", what, ends[r->end].text);
}

static void set_isolation(struct score_result *out, struct arena *a, const struct box_result *r)
{
    const char *copy = arena_strdup(a, r->isolation);
    out->isolation = copy != NULL ? copy : "";
}

/* ---- runs ---- */

struct box_limits code_box_limits(const struct code_limits *c)
{
    return (struct box_limits){.cpu_ms = (uint64_t)c->cpu_ms,
        .wall_ms = (uint64_t)c->cpu_ms * WALL_FACTOR + WALL_MORE_MS,
        .memory_bytes = (uint64_t)c->memory_mib << 20,
        .processes = PROCESSES,
        .output_bytes = OUTPUT_BYTES,
        .work_bytes = WORK_BYTES,
        .work_files = WORK_FILES};
}

bool code_box_run(const struct box_request *q, size_t count, struct arena *a,
    struct box_result *ret, struct score_result *out)
{
    struct err e = {0};
    int r = count == BOX_PAIR ? box_run_pair(box, q, ret, &e) : box_run(box, q, ret, &e);
    if (r == 0) {
        set_isolation(out, a, &ret[count - 1]);
        return true;
    }
    code_no_value(out, SCORE_FAULT_TRANSIENT, reason_text(a, "%s", e.msg));
    return false;
}
