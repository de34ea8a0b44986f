/* text_scorers_fuzz.c: completions of any bytes before the scorers that read text: format,
 * language, repetition, readability, choice. An input is one byte that chooses scorer, parameters,
 * task and prompt, then the text.
 */
#include <stdlib.h>

#include "common/text/utf8.h"
#include "reward-server/scoring/scoring.h"
#include "reward-server/scoring/text/prose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort(); /* reported by libFuzzer with the input */
}

static const struct trial {
    const char *kind, *params, *task, *prompt;
    double least, most;
} trials[] = {
    {"format", "{}", "{}", "", 0, 1},
    {"format", "{\"form\":\"think\"}", "{}", "a <think>", 0, 1},
    {"format", "{\"form\":\"answer\"}", "{}", "", 0, 1},
    {"format", "{\"form\":\"boxed\"}", "{}", "", 0, 1},
    {"format", "{\"form\":\"think-boxed\"}", "{}", "", 0, 1},
    {"format", "{\"form\":\"tag-count\"}", "{}", "<think>\n", 0, 1},
    {"language", "{}", "{}", "", 0, 1},
    {"language", "{\"min-words\":1,\"empty\":0.5}", "{\"think_language\":\"ja\"}", "", 0, 1},
    {"language", "{\"language\":\"de\"}", "{}", "", 0, 1},
    {"repetition", "{\"ngram\":1}", "{}", "", -1, 0},
    {"repetition", "{\"ngram\":3,\"count\":\"words\"}", "{}", "", -1, 0},
    {"readability", "{\"paragraph\":3}", "{}", "", 0, 1},
    {"choice", "{}", "{\"answer\":\"B\"}", "", 0, 1},
    {"choice", "{}", "{\"answer\":\"B\",\"choices\":[\"x y\",\"A pear\",\"z\"]}", "", 0, 1},
    {"choice", "{\"tag\":\"answer\"}", "{\"answer\":\"C\"}", "", 0, 1},
    {"exact", "{\"tag\":\"answer\"}", "{\"answer\":\"a\"}", "", 0, 1},
};

static void check_text(const char *text, size_t limit)
{
    size_t n = strlen(text);
    must(n <= limit && utf8_valid(text, n));
    for (size_t i = 0; i < n; i++)
        must((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

/* Sets are made once: the table of languages is large. */
static const struct scoring *set_of(size_t i)
{
    static struct scoring *sets[ARRAY_LEN(trials)];
    struct scorer_spec spec = {"s", trials[i].kind, trials[i].params};
    struct err e;
    if (sets[i] == NULL)
        must(scoring_open(&spec, 1, &sets[i], &e) == 0);
    return sets[i];
}

static void score(size_t i, const uint8_t *text, size_t n)
{
    const struct trial *t = &trials[i];
    struct grade_text completion = {.text = text, .text_len = n};
    struct grade_input in = {.prompt = (const uint8_t *)t->prompt,
        .prompt_len = strlen(t->prompt),
        .task_json = t->task,
        .completions = &completion,
        .completion_count = 1};
    struct arena *a = arena_new(1 << 20);
    struct score_result r, again;
    scoring_score(set_of(i), &in, 0, a, &r);
    must(r.has_value && r.fault == SCORE_FAULT_NONE && r.verdict < VERDICT_JUDGE_FAULT);
    must(r.value >= t->least && r.value <= t->most);
    check_text(r.reason, LIMIT_TEXT);
    check_text(r.extracted, LIMIT_EXTRACTED);
    scoring_score(set_of(i), &in, 0, a, &again);
    must(again.value == r.value && again.verdict == r.verdict);
    arena_free(a);
}

/* Words lie in the text, one after the other, and are not empty. */
static void words(const uint8_t *text, size_t n)
{
    struct prose p;
    struct prose_word w;
    const char *from = (const char *)text;
    prose_init(&p, (struct span){from, n});
    while (prose_next(&p, &w)) {
        must(w.text.at >= from && w.text.n > 0 && w.text.at + w.text.n <= (const char *)text + n);
        must(w.count > 0 && w.count <= PROSE_LETTERS_MAX && w.script > SCRIPT_MARK);
        from = w.text.at + w.text.n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    score(data[0] % ARRAY_LEN(trials), data + 1, size - 1);
    words(data + 1, size - 1);
    return 0;
}
