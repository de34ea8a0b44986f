/* readability.c: the share of five checks that a completion passes, in 0, 0.2, ... 1.
 *
 * There is no published formula that fits reasoning. DeepSeek-R1 (arXiv 2501.12948, section 2.3.3
 * and supplement B.3) says what it filtered out as hard to read: a thought that mixes languages,
 * has long paragraphs or code blocks, and an answer without a summary for the reader. These are the
 * checks, and one of our own:
 *
 * summary     after </think> there is text; without the tag the text itself is the summary
 * scripts     at most 1 of 20 words of the completion is in another script than most are
 * paragraphs  no paragraph of the thought has more than `paragraph` words
 * code        the thought has no fenced block; nothing is asked of a text without </think>
 * marks       what opens closes: fences, $$, \( \), \[ \], braces
 *
 * It measures form, not sense: it takes no effort to be readable about nothing. So it should count
 * only with when = pass.
 */
#include <stdlib.h>
#include <string.h>

#include "reward-server/scoring/scorer.h"
#include "reward-server/scoring/text/prose.h"

enum { PARAGRAPH_WORDS = 200, SCRIPT_SHARE_INV = 20, CHECKS = 5 };

struct readability {
    int64_t paragraph;
};

static int readability_open(const char *params_json, void **ret_state, struct err *e)
{
    static const struct scorer_param params[] = {{.name = "paragraph",
        .type = PARAM_INT,
        .offset = offsetof(struct readability, paragraph),
        .min = 1,
        .max = 1000000}};
    CLEANUP_FREE struct readability *state = mem_alloc(sizeof(*state));
    state->paragraph = PARAGRAPH_WORDS;
    int r = scorer_params(params_json, params, ARRAY_LEN(params), state, e);
    if (r == 0)
        *ret_state = steal(&state);
    return r;
}

/* Words of the longest paragraph; an empty line ends one. A word is what stands between white
 * space, so that a paragraph of formulas is long too. */
static size_t longest_paragraph(struct span text)
{
    size_t words = 0, longest = 0, line_ends = 0;
    bool in_word = false;
    for (size_t i = 0; i < text.n; i++) {
        bool blank = span_trim((struct span){text.at + i, 1}).n == 0;
        line_ends = blank ? line_ends + (text.at[i] == '\n') : 0;
        words = line_ends >= 2 ? 0 : words + (!blank && !in_word);
        in_word = !blank;
        longest = words > longest ? words : longest;
    }
    return longest;
}

/* Kana and Han are one script here: Japanese mixes them. Words of no script make up one of their
 * own. */
static bool one_script(struct span text)
{
    size_t counts[SCRIPT_COUNT] = {0}, total = 0, most = 0;
    struct prose p;
    struct prose_word w;
    prose_init(&p, text);
    for (; prose_next(&p, &w); total++)
        counts[w.script == SCRIPT_KANA ? SCRIPT_HAN : w.script]++;
    for (size_t i = 0; i < SCRIPT_COUNT; i++)
        most = counts[i] > most ? counts[i] : most;
    return (total - most) * SCRIPT_SHARE_INV <= total;
}

static size_t count_fences(struct span text)
{
    struct prose p;
    struct prose_word w;
    prose_init(&p, text);
    while (prose_next(&p, &w)) {}
    return p.fences;
}

/* Outside of fences. A single dollar may be money: only pairs of them are marks here. */
static bool marks_close(struct span text)
{
    bool dollars = false, fence = false, line_start = true;
    long round = 0, square = 0, brace = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (line_start && text.n - i >= 3 && memcmp(text.at + i, "```", 3) == 0) {
            fence = !fence;
            i += 2;
        } else if (!fence && text.at[i] == '\\' && i + 1 < text.n) {
            char c = text.at[++i];
            round += (c == '(') - (c == ')');
            square += (c == '[') - (c == ']');
        } else if (!fence) {
            bool pair = text.at[i] == '$' && i + 1 < text.n && text.at[i + 1] == '$';
            dollars ^= pair;
            i += pair;
            brace += (text.at[i] == '{') - (text.at[i] == '}');
        }
        char c = text.at[i]; /* a tag begins a line too */
        line_start = c == '\n' || c == '>' || (line_start && (c == ' ' || c == '\t'));
        if (round < 0 || square < 0 || brace < 0)
            return false;
    }
    return !dollars && !fence && round == 0 && square == 0 && brace == 0;
}

static void readability_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    static const char *const names[CHECKS] = {
        "no summary", "scripts are mixed", "a long paragraph", "code in the thought", "open marks"};
    const struct readability *s = state;
    struct span text = {(const char *)completion->text, completion->text_len};
    struct span thought = prose_thought(text);
    bool held[CHECKS] = {
        span_trim(prose_answer(text)).n > 0,
        one_script(text),
        longest_paragraph(thought) <= (size_t)s->paragraph,
        thought.n == text.n || count_fences(thought) == 0,
        marks_close(text),
    };
    CLEANUP_BUF struct buf why = {0};
    unsigned passed = 0;
    for (size_t i = 0; i < CHECKS; i++) {
        passed += held[i];
        if (!held[i])
            buf_printf(&why, "%s%s", why.len > 0 ? ", " : "", names[i]);
    }
    out->value = (double)passed / CHECKS;
    out->verdict = passed == CHECKS ? VERDICT_PASS : VERDICT_MALFORMED;
    if (why.len > 0)
        out->reason = reason_text(a, "%s", (const char *)why.data);
}

const struct scorer_kind scorer_readability = {
    .name = "readability",
    .help =
        "share of five checks: a summary, one script, short paragraphs, no code in the thought, "
        "marks that close",
    .deterministic = true,
    .open = readability_open,
    .close = scorer_state_close,
    .score = readability_score,
};
