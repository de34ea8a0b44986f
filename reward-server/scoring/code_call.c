/* code_call.c: tests that call a function of the program with given arguments.
 *
 * In the box runs python/call.py (or its twin for another language): it reads the call from
 * standard input, runs the program, calls the function and writes one line of JSON, which claims a
 * value: {"v": VALUE}. The program shares the process with it and can write whatever it likes
 * there: that is one more claim. What is expected never leaves this process.
 *
 * VALUE: null, true, false, a string, a number, or [tag, ...] with tag i (an integer beyond 64
 * bits, in hexadecimal), f (a float that JSON lacks), l t s z (list, tuple, set, frozenset, and an
 * array of the items), d (dict, and an array of [key, value]), b (bytes in hexadecimal), c
 * (complex), h (anything else: a number, and the name of its type).
 *
 * When two values are the same. What is expected is JSON, so: null, true, false and strings are
 * themselves (true is not 1); an array is a list or a tuple of as many same values, in order; an
 * object is a dict whose keys are its keys, where an integer key is its decimal text; an integer is
 * an integer or a float of exactly that value; a fraction is a number within a millionth of it, as
 * an order of additions changes the last digits. NaN and infinities are no expected values, and are
 * never the same as one.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reward-server/scoring/code.h"

#define TOLERANCE 1e-6      /* relative */
#define TOLERANCE_ZERO 1e-9 /* absolute: what is as good as zero */

/* A claim is read where it could be the expected value: small, or not much longer than that is when
 * it is written the long way. Parsed values take fifty times the bytes of their text. */
enum { CLAIM_BYTES = 64 << 10, CLAIM_FACTOR = 16 };

static const char call_python[] =
#include "call.py.inc"
    ;
static const char call_javascript[] =
#include "call.js.inc"
    ;

static const struct {
    const char *language, *program, *text;
    size_t n;
} callers[] = {
    {"python", "program.py", call_python, sizeof(call_python) - 1},
    {"javascript", "program.js", call_javascript, sizeof(call_javascript) - 1},
};

static int caller_of(const struct language *l)
{
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        if (strcmp(callers[i].language, l->name) == 0)
            return (int)i;
    }
    return -1;
}

bool code_call_known(const struct language *l)
{
    return caller_of(l) >= 0;
}

void code_call_files(const struct language *l, struct span source, struct code_files *ret)
{
    int i = caller_of(l);
    *ret = (struct code_files){.files = {{l->source, callers[i].text, callers[i].n},
                                   {callers[i].program, source.at, source.n}},
        .count = 2};
}

/* ---- comparing ---- */

/* The items of [tag, items] when the tag is one of tags; else NULL. */
static json_t *tagged(const json_t *v, const char *tags)
{
    const char *tag = json_string_value(json_array_get(v, 0));
    return tag != NULL && strlen(tag) == 1 && strchr(tags, tag[0]) != NULL ? json_array_get(v, 1)
                                                                           : NULL;
}

static bool integer_same(json_int_t want, const json_t *got)
{
    if (json_is_integer(got))
        return json_integer_value(got) == want;
    /* as a float, where a double has all its digits */
    return json_is_real(got) && json_real_value(got) == (double)want &&
           want == (json_int_t)(double)want;
}

static bool real_same(double want, const json_t *got)
{
    const char *big = json_string_value(tagged(got, "i"));
    if (!json_is_number(got) && big == NULL)
        return false;
    double value = big != NULL ? strtod(big, NULL) : json_number_value(got);
    double limit = fmax(fabs(want) * TOLERANCE, TOLERANCE_ZERO);
    return isfinite(value) && fabs(value - want) <= limit;
}

static bool value_same(const json_t *want, const json_t *got);

static bool array_same(const json_t *want, const json_t *got)
{
    const json_t *items = tagged(got, "lt");
    size_t n = json_array_size(want);
    if (!json_is_array(items) || json_array_size(items) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!value_same(json_array_get(want, i), json_array_get(items, i)))
            return false;
    }
    return true;
}

/* The pairs of a claimed dict as an object by the texts of their keys. False when one has no such
 * text, or two have the same. */
static bool by_key(const json_t *pairs, json_t *ret)
{
    size_t i;
    json_t *pair;
    json_array_foreach(pairs, i, pair)
    {
        char number[32];
        const json_t *key = json_array_get(pair, 0);
        const char *text = json_string_value(key);
        if (json_is_integer(key)) {
            (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(key));
            text = number;
        }
        bool whole = text == number || (text != NULL && strlen(text) == json_string_length(key));
        if (!whole || json_object_set(ret, text, json_array_get(pair, 1)) < 0)
            return false;
    }
    return json_object_size(ret) == json_array_size(pairs);
}

static bool object_same(const json_t *want, const json_t *got)
{
    const json_t *pairs = tagged(got, "d");
    const char *key;
    json_t *value, *found = json_object();
    bool same = json_is_array(pairs) && by_key(pairs, found) &&
                json_object_size(found) == json_object_size(want);
    if (same) {
        json_object_foreach((json_t *)want, key, value)
        {
            same = same && value_same(value, json_object_get(found, key));
        }
    }
    json_decref(found);
    return same;
}

static bool string_same(const json_t *want, const json_t *got)
{
    size_t n = json_string_length(want);
    return json_is_string(got) && json_string_length(got) == n &&
           memcmp(json_string_value(want), json_string_value(got), n) == 0;
}

/* Goes as deep as what is expected. got may be NULL. */
static bool value_same(const json_t *want, const json_t *got)
{
    switch (json_typeof(want)) {
    case JSON_NULL:
    case JSON_TRUE:
    case JSON_FALSE:
        return got != NULL && json_typeof(got) == json_typeof(want);
    case JSON_STRING:
        return string_same(want, got);
    case JSON_INTEGER:
        return integer_same(json_integer_value(want), got);
    case JSON_REAL:
        return real_same(json_real_value(want), got);
    case JSON_ARRAY:
        return array_same(want, got);
    default:
        return object_same(want, got);
    }
}

/* ---- saying why ---- */

/* A claimed value as its program would write it, cut short. */
static void show(const json_t *v, struct buf *out)
{
    static const char kinds[] = "ltszd", *const ends[] = {"[]", "()", "{}", "{}", "{}"};
    const char *tag = json_string_value(json_array_get(v, 0)), *kind = NULL;
    size_t i;
    json_t *item;
    if (out->len > 2 * CODE_EXCERPT)
        return;
    if (!json_is_array(v) || tag == NULL) {
        CLEANUP_FREE char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
        buf_puts(out, text != NULL ? text : "?");
        return;
    }
    if (tag[0] == 'h') {
        const char *type = json_string_value(json_array_get(v, 2));
        buf_printf(out, "a value of type %.80s", type != NULL ? type : "?");
        return;
    }
    kind = tag[0] != '\0' ? strchr(kinds, tag[0]) : NULL;
    if (kind == NULL) {
        show(json_array_get(v, 1), out);
        return;
    }
    buf_append(out, ends[kind - kinds], 1);
    json_array_foreach(json_array_get(v, 1), i, item)
    {
        if (out->len > CODE_EXCERPT)
            break;
        buf_puts(out, i > 0 ? ", " : "");
        show(*kind == 'd' ? json_array_get(item, 0) : item, out);
        if (*kind == 'd') {
            buf_puts(out, ": ");
            show(json_array_get(item, 1), out);
        }
    }
    buf_append(out, ends[kind - kinds] + 1, 1);
}

static const char *say_why(const json_t *expected, const json_t *claimed, struct arena *a)
{
    CLEANUP_BUF struct buf found = {0};
    CLEANUP_FREE char *want = json_dumps(expected, JSON_ENCODE_ANY | JSON_COMPACT);
    show(claimed, &found);
    return reason_join(a, "expected %s, found %s",
        display_text(a, want, strlen(want), CODE_EXCERPT),
        display_text(a, found.data, found.len, CODE_EXCERPT));
}

bool code_value_same(
    struct span expected, struct span claimed, struct arena *a, const char **ret_why)
{
    if (span_trim(claimed).n == 0) {
        *ret_why = "the program ended before it answered";
        return false;
    }
    if (claimed.n > CLAIM_BYTES + CLAIM_FACTOR * expected.n) {
        *ret_why = reason_text(a,
            "the program returned a value of %zu bytes, too long to be the "
            "expected one",
            claimed.n);
        return false;
    }
    json_error_t at;
    json_t *any = json_loadb(expected.at, expected.n, JSON_ALLOW_NUL, &at);
    json_t *claim = json_loadb(claimed.at, claimed.n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &at);
    const json_t *got = json_object_get(claim, "v");
    bool same = false;
    for (size_t i = 0; i < json_array_size(any) && got != NULL && !same; i++)
        same = value_same(json_array_get(any, i), got);
    if (!same)
        *ret_why = got == NULL || json_array_size(any) == 0
                       ? "what the program returned cannot be read"
                       : say_why(json_array_get(any, 0), got, a);
    json_decref(any);
    json_decref(claim);
    return same;
}
