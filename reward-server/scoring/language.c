/* language.c: the share of the reasoning's words that are in the wanted language, the language
 * consistency reward of DeepSeek-R1 (arXiv 2501.12948, section 2.3.2). The paper leaves words,
 * formulas and names open; text/prose.h says what a word is here and text/tongue.h how its language
 * is found.
 *
 *     value = (T - R) / W
 *
 * W words count; T of them are in the language; R of those are repetitions: what a single word has
 * beyond an eighth of W, or 16 times where that is more. Words with a capital within a sentence are
 * names and do not count, unless they outnumber the others.
 */
#include <stdlib.h>
#include <string.h>

#include "reward-server/scoring/text/tongue.h"

enum {
    COUNTERS = 4096,   /* of words, by hash; two words that meet in one are taken for one */
    SHARE_MAX_INV = 8, /* the most frequent word of a language has 3 to 7 per cent of a text */
    FREE_REPEATS = 16, /* short texts about one thing repeat its name */
    PASS_PERCENT = 90, /* for the verdict: names and terms of other languages happen */
    NAME_EVIDENCE = 3, /* a name says a third of what another word says of its language */
    QUOTE_BYTES = 80,  /* of the first words in another language */
};

struct language {
    char code[SCORER_TAG_BYTES_MAX];
    int64_t min_words;
    double empty;
    enum tongue tongue;
    struct tongue_table *table; /* owned */
};

/* ---- parameters ---- */

static int language_open(const char *params_json, void **ret_state, struct err *e)
{
    static const struct scorer_param params[] = {
        {.name = "language", .type = PARAM_TAG, .offset = offsetof(struct language, code)},
        {.name = "min-words",
            .type = PARAM_INT,
            .offset = offsetof(struct language, min_words),
            .min = 1,
            .max = 10000},
        {.name = "empty",
            .type = PARAM_REAL,
            .offset = offsetof(struct language, empty),
            .min = 0,
            .max = 1},
    };
    CLEANUP_FREE struct language *state = mem_alloc(sizeof(*state));
    *state = (struct language){.code = "en", .min_words = 5};
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r != 0)
        return r;
    int tongue = tongue_parse(state->code);
    if (tongue < 0)
        return err_set(e, ERR_CONFIG, "parameter 'language': '%s', expected one of %s", state->code,
            tongue_codes());
    state->tongue = (enum tongue)tongue;
    state->table = tongue_table_new();
    *ret_state = steal(&state);
    return 0;
}

static void language_close(void *state)
{
    struct language *s = state;
    tongue_table_free(s->table);
    free(s);
}

/* The language that is wanted: the task's own where it names one. */
static const void *language_read(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    const struct language *s = state;
    const char *code = NULL;
    if (!task_text(in, "think_language", a, &code, ret_why))
        return NULL;
    int tongue = code != NULL ? tongue_parse(code) : (int)s->tongue;
    if (tongue < 0) {
        *ret_why = reason_text(
            a, "the task's think_language is '%.16s', expected one of %s", code, tongue_codes());
        return NULL;
    }
    enum tongue *wanted = task_alloc(a, sizeof(*wanted), ret_why);
    if (wanted != NULL)
        *wanted = (enum tongue)tongue;
    return wanted;
}

/* ---- counting ---- */

struct tally {
    uint32_t words, wanted;
};

struct survey {
    const struct language *s;
    enum tongue wanted;
    struct tally plain, names;
    uint32_t by_tongue[TONGUE_COUNT];
    uint32_t counters[COUNTERS]; /* of wanted words */
    struct span foreign;         /* the first words in another language */
    bool foreign_open;
    struct tongue_path path;
    struct {
        struct span text;
        uint32_t hash;
        bool name;
    } chunk[TONGUE_CHUNK]; /* the words that the path has not settled yet */
};

static uint32_t word_hash(const struct prose_word *w)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < w->count; i++)
        h = (h ^ w->letters[i]) * 16777619u;
    return (h ^ h >> 15) % COUNTERS;
}

static void note_foreign(struct survey *v, struct span text)
{
    const char *end = text.at + text.n;
    if (v->foreign.n == 0)
        v->foreign = text;
    else if (v->foreign_open && end - v->foreign.at <= QUOTE_BYTES)
        v->foreign.n = (size_t)(end - v->foreign.at);
    v->foreign_open = true;
}

static void settle_chunk(struct survey *v)
{
    uint8_t tongues[TONGUE_CHUNK];
    size_t n = v->path.count;
    tongue_path_take(&v->path, tongues);
    for (size_t i = 0; i < n; i++) {
        bool wanted = tongues[i] == v->wanted;
        struct tally *t = v->chunk[i].name ? &v->names : &v->plain;
        t->words++;
        t->wanted += wanted;
        v->by_tongue[tongues[i]]++;
        if (wanted && !v->chunk[i].name)
            v->counters[v->chunk[i].hash]++;
        if (wanted)
            v->foreign_open = false;
        else if (!v->chunk[i].name)
            note_foreign(v, v->chunk[i].text);
    }
}

static void read_words(struct survey *v, struct span text)
{
    struct prose prose;
    struct prose_word w;
    int evidence[TONGUE_COUNT];
    prose_init(&prose, text);
    tongue_path_init(&v->path, v->wanted);
    while (prose_next(&prose, &w)) {
        size_t at = v->path.count;
        v->chunk[at].text = w.text;
        v->chunk[at].hash = word_hash(&w);
        v->chunk[at].name = w.capital && !w.opens;
        tongue_evidence(v->s->table, &w, evidence);
        for (int i = 0; v->chunk[at].name && i < TONGUE_COUNT; i++)
            evidence[i] /= evidence[i] > 0 ? NAME_EVIDENCE : 1;
        tongue_path_add(&v->path, evidence);
        if (v->path.count == TONGUE_CHUNK)
            settle_chunk(v);
    }
    settle_chunk(v);
}

/* Of the words in the language, those that are one word said over and over. */
static uint32_t repeated(const struct survey *v, uint32_t words)
{
    uint32_t over = 0, most = words / SHARE_MAX_INV;
    most = most > FREE_REPEATS ? most : FREE_REPEATS;
    for (size_t i = 0; i < COUNTERS; i++)
        over += v->counters[i] > most ? v->counters[i] - most : 0;
    return over;
}

/* ---- the score ---- */

static const char *describe(const struct survey *v, struct tally t, uint32_t over, struct arena *a)
{
    CLEANUP_BUF struct buf others = {0};
    for (int i = 0; i < TONGUE_COUNT; i++) {
        if (i == (int)v->wanted || v->by_tongue[i] == 0)
            continue;
        const char *name = i == TONGUE_LATIN   ? "another Latin language"
                           : i == TONGUE_OTHER ? "no language"
                                               : tongue_code((enum tongue)i);
        buf_printf(&others, "%s %s %u", others.len > 0 ? "," : ";", name, v->by_tongue[i]);
    }
    return reason_text(a, "%u of %u words are %s%s%s", t.wanted - over, t.words,
        tongue_code(v->wanted), over > 0 ? ", repetitions left out" : "",
        others.len > 0 ? (const char *)others.data : "");
}

static void judge(const struct survey *v, struct arena *a, struct score_result *out)
{
    struct tally t = v->plain;
    if (v->names.words > t.words) { /* so many capitals are no names */
        t.words += v->names.words;
        t.wanted += v->names.wanted;
    }
    if (t.words < v->s->min_words) {
        out->value = v->s->empty;
        out->verdict = VERDICT_NO_ANSWER;
        out->reason = reason_text(
            a, "%u words of reasoning, expected %u", t.words, (unsigned)v->s->min_words);
        return;
    }
    uint32_t over = repeated(v, t.words);
    out->value = (double)(t.wanted - over) / t.words;
    out->verdict = (uint64_t)(t.wanted - over) * 100 >= (uint64_t)t.words * PASS_PERCENT
                       ? VERDICT_PASS
                       : VERDICT_WRONG;
    if (t.wanted - over < t.words)
        out->reason = describe(v, t, over, a);
    if (v->foreign.n > 0)
        result_extracted(out, a, v->foreign);
}

static void language_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    const enum tongue *wanted = task;
    CLEANUP_FREE struct survey *v = mem_alloc(sizeof(*v));
    v->s = state;
    v->wanted = *wanted;
    read_words(
        v, prose_thought((struct span){(const char *)completion->text, completion->text_len}));
    judge(v, a, out);
}

const struct scorer_kind scorer_language = {
    .name = "language",
    .help = "share of the reasoning's words that are in the language, 0 to 1",
    .deterministic = true,
    .open = language_open,
    .close = language_close,
    .read = language_read,
    .score = language_score,
};
