/* split.c: see split.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/text/split.h"

#include <pcre2.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct split {
    pcre2_code *steps[SPLIT_STEPS_MAX]; /* owned */
    size_t count;
};

struct split *split_new(void)
{
    return mem_alloc(sizeof(struct split));
}

void split_free(struct split *s)
{
    for (size_t i = 0; s != NULL && i < s->count; i++)
        pcre2_code_free(s->steps[i]);
    free(s);
}

int split_add(struct split *s, const char *pattern, struct err *e)
{
    int code;
    size_t at;
    if (s->count == SPLIT_STEPS_MAX)
        return err_set(e, ERR_DATA, "more than %d steps", SPLIT_STEPS_MAX);
    pcre2_code *c = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
        PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (c == NULL) {
        PCRE2_UCHAR why[128];
        (void)pcre2_get_error_message(code, why, sizeof(why));
        return err_set(e, ERR_DATA, "pattern '%.100s', at %zu: %s", pattern, at, (char *)why);
    }
    (void)pcre2_jit_compile(c, PCRE2_JIT_COMPLETE); /* without, it is slower */
    s->steps[s->count++] = c;
    return 0;
}

/* ---- cutting ---- */

struct cut {
    const struct split *s;
    split_piece *piece;
    void *arg;
    pcre2_match_data *matches[SPLIT_STEPS_MAX]; /* owned */
};

static int cut_from(struct cut *c, size_t step, const char *text, size_t n, struct err *e);

/* The next match that is not empty: 1 with its bounds, 0, or ERR_DATA. */
static int next_match(const struct cut *c, size_t step, const char *text, size_t n, size_t from,
    size_t *ret_begin, size_t *ret_end, struct err *e)
{
    pcre2_match_data *m = c->matches[step];
    int r = pcre2_match(
        c->s->steps[step], (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, m, NULL);
    if (r == PCRE2_ERROR_NOMATCH)
        return 0;
    if (r < 0) {
        PCRE2_UCHAR why[128];
        (void)pcre2_get_error_message(r, why, sizeof(why));
        return err_set(e, ERR_DATA, "cutting a text of %zu bytes: %s", n, (char *)why);
    }
    const size_t *bounds = pcre2_get_ovector_pointer(m);
    *ret_begin = bounds[0];
    *ret_end = bounds[1];
    if (bounds[0] < from || bounds[1] <= bounds[0]) /* \K in a look-around */
        return err_set(e, ERR_DATA, "a pattern matches what lies before its match");
    return 1;
}

static int cut_step(struct cut *c, size_t step, const char *text, size_t n, struct err *e)
{
    size_t at = 0, begin = 0, end = 0;
    int r;
    while (at < n && (r = next_match(c, step, text, n, at, &begin, &end, e)) != 0) {
        if (r > 0)
            r = cut_from(c, step + 1, text + at, begin - at, e);
        if (r == 0)
            r = cut_from(c, step + 1, text + begin, end - begin, e);
        if (r < 0)
            return r;
        at = end;
    }
    return cut_from(c, step + 1, text + at, n - at, e);
}

static int cut_from(struct cut *c, size_t step, const char *text, size_t n, struct err *e)
{
    if (n == 0)
        return 0;
    return step < c->s->count ? cut_step(c, step, text, n, e) : c->piece(c->arg, text, n, e);
}

int split_text(
    const struct split *s, const char *text, size_t n, split_piece *piece, void *arg, struct err *e)
{
    struct cut c = {.s = s, .piece = piece, .arg = arg};
    for (size_t i = 0; i < s->count; i++) /* NULL without memory: next_match then fails */
        c.matches[i] = pcre2_match_data_create_from_pattern(s->steps[i], NULL);
    int r = cut_from(&c, 0, text, n, e);
    for (size_t i = 0; i < s->count; i++)
        pcre2_match_data_free(c.matches[i]);
    return r;
}
