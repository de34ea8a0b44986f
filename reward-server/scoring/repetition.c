/* repetition.c: a penalty for saying the same again, from 0 down to -1.
 *
 * With the units u_1 ... u_T of the completion and its n-grams (u_i ... u_i+n-1), T - n + 1 of
 * them:
 *
 * count = ngrams: -(repeated n-grams) / (n-grams), where repeated are those that stood before:
 *                 1 - distinct / all of the repetition penalty of open-r1 and TRL
 * count = words:  -(units that lie in a repeated n-gram) / T: the penalty that Yeo et al.
 *                 (arXiv 2502.03373) put on each token of such an n-gram, as a mean over the text
 *
 * A unit is a word: a run of letters and digits, in lower case, of at most UNIT_BYTES bytes; one
 * Han character or kana; or any other sign but white space. So a text without blanks has units as
 * well, and "aaaa..." repeats itself.
 *
 * Linear in the text: each n-gram is looked up once in a table of hashes of 64 bits. At most
 * UNITS_MAX units are read, for which the table takes 16 MiB; the rest of a longer text is not
 * looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "common/text/utf8.h"
#include "reward-server/scoring/scorer.h"
#include "reward-server/scoring/text/script.h"

enum {
    NGRAM_MAX = 64,
    NGRAM_DEFAULT = 8,
    UNIT_BYTES = 32,
    UNITS_MAX = 1 << 20,
    QUOTE_BYTES = 120, /* of the first repetition */
};

enum count { COUNT_NGRAMS, COUNT_WORDS };

struct repetition {
    int64_t ngram, count;
};

static int repetition_open(const char *params_json, void **ret_state, struct err *e)
{
    static const struct scorer_param params[] = {
        {.name = "ngram",
            .type = PARAM_INT,
            .offset = offsetof(struct repetition, ngram),
            .min = 1,
            .max = NGRAM_MAX},
        {.name = "count",
            .type = PARAM_CHOICE,
            .offset = offsetof(struct repetition, count),
            .choices = "ngrams|words"},
    };
    CLEANUP_FREE struct repetition *state = mem_alloc(sizeof(*state));
    state->ngram = NGRAM_DEFAULT;
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r == 0)
        *ret_state = steal(&state);
    return r;
}

/* ---- units ---- */

static uint64_t mix(uint64_t h)
{
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9;
    h = (h ^ h >> 27) * 0x94d049bb133111eb;
    return h ^ h >> 31;
}

/* Whether the character goes on with a word that has others before it. */
static bool is_inner(uint32_t cp)
{
    enum script script = script_of(cp);
    return (cp >= '0' && cp <= '9') || (script != SCRIPT_NONE && !script_is_unspaced(script));
}

/* The next unit at *at: its hash, never 0. False at the end of the text. */
static bool unit_next(struct span text, size_t *at, struct span *ret, uint64_t *ret_hash)
{
    uint64_t h = 0x9e3779b97f4a7c15;
    uint32_t cp = 0;
    while (*at < text.n && span_trim((struct span){text.at + *at, 1}).n == 0)
        ++*at;
    size_t from = *at;
    while (*at < text.n && *at - from < UNIT_BYTES) {
        size_t n = utf8_next(text.at + *at, text.n - *at, &cp);
        bool inner = n > 0 && is_inner(cp);
        if (!inner && *at > from)
            break;
        h = mix(h ^ (n > 0 ? letter_lower(cp) : 0x110000u + (unsigned char)text.at[*at]));
        *at += n > 0 ? n : 1;
        if (!inner)
            break;
    }
    *ret = (struct span){text.at + from, *at - from};
    *ret_hash = h | 1;
    return *at > from;
}

/* ---- n-grams ---- */

struct seen {
    uint64_t *slots; /* owned; 0: free */
    size_t mask;
};

/* Whether the hash was there before. */
static bool seen_add(struct seen *s, uint64_t h)
{
    size_t at = h >> 1 & s->mask;
    while (s->slots[at] != 0 && s->slots[at] != h)
        at = (at + 1) & s->mask;
    bool before = s->slots[at] == h;
    s->slots[at] = h;
    return before;
}

struct repeats {
    size_t units, ngrams, repeated, covered;
    struct span first; /* repeated n-gram */
};

static void count_repeats(struct span text, size_t n, struct seen *seen, struct repeats *r)
{
    uint64_t hashes[NGRAM_MAX], unit_hash;
    const char *starts[NGRAM_MAX];
    struct span unit;
    size_t covered_to = 0; /* units below it are counted */
    *r = (struct repeats){0};
    for (size_t at = 0; r->units < UNITS_MAX && unit_next(text, &at, &unit, &unit_hash);) {
        hashes[r->units % n] = unit_hash;
        starts[r->units % n] = unit.at;
        if (++r->units < n)
            continue;
        uint64_t h = 0;
        for (size_t k = 0; k < n; k++)
            h = mix(h ^ hashes[(r->units + k) % n]);
        r->ngrams++;
        if (!seen_add(seen, h | 1))
            continue;
        const char *start = starts[r->units % n];
        if (r->repeated++ == 0)
            r->first = (struct span){start, (size_t)(unit.at + unit.n - start)};
        size_t begin = r->units - n;
        r->covered += r->units - (begin > covered_to ? begin : covered_to);
        covered_to = r->units;
    }
}

static void repetition_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const struct repetition *s = state;
    struct span text = {(const char *)completion->text, completion->text_len};
    struct repeats r;
    size_t slots = 64, most = text.n < UNITS_MAX ? text.n : UNITS_MAX;
    while (slots < 2 * most)
        slots *= 2;
    struct seen seen = {mem_array(slots, sizeof(*seen.slots)), slots - 1};
    count_repeats(text, (size_t)s->ngram, &seen, &r);
    free(seen.slots);
    out->verdict = r.repeated == 0 ? VERDICT_PASS : VERDICT_WRONG;
    if (r.repeated == 0)
        return;
    out->value = s->count == COUNT_WORDS ? -(double)r.covered / (double)r.units
                                         : -(double)r.repeated / (double)r.ngrams;
    out->reason = reason_text(a, "%zu of %zu runs of %d words stood before; they cover %zu of %zu",
        r.repeated, r.ngrams, (int)s->ngram, r.covered, r.units);
    out->extracted = display_text(a, r.first.at, r.first.n, QUOTE_BYTES);
}

const struct scorer_kind scorer_repetition = {
    .name = "repetition",
    .help = "minus the share of n-grams that stood before (ngrams) or of words within them "
            "(words), -1 to 0",
    .deterministic = true,
    .scores_truncated = true,
    .open = repetition_open,
    .close = scorer_state_close,
    .score = repetition_score,
};
