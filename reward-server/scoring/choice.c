/* choice.c: the scorer for multiple choice: one letter from A to J, or the text of the option.
 *
 * Where the answer stands: with a tag, in it. Else in the last \boxed; else after the last mark
 * ("answer is", "answer:", also in Chinese) that follows the thought; else it is the whole text.
 *
 * What it is: one letter, which may stand in brackets, stars, dollars and \text, with the option's
 * text after it or not; or the option's text alone, where the task has choices. A second letter
 * that could be an answer makes it malformed, so that to list them all is no answer.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/text/boxed.h"
#include "reward-server/scoring/scorer.h"
#include "reward-server/scoring/text/prose.h"

enum { NO_LETTER = -1, ANSWER_BYTES_MAX = 1024 };

/* ---- an answer ---- */

/* Signs around a letter or an option's text that say nothing. */
static struct span undecorated(struct span s)
{
    static const char *const commands[] = {"\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{"};
    for (size_t before = s.n + 1; s.n > 0 && s.n < before;) {
        before = s.n;
        s = span_trim(s);
        while (s.n > 0 && strchr("*$_\"'`{(", s.at[0]) != NULL && s.at[0] != '\0')
            s = (struct span){s.at + 1, s.n - 1};
        while (s.n > 0 && strchr("*$_\"'`})., ", s.at[s.n - 1]) != NULL && s.at[s.n - 1] != '\0')
            s.n--;
        for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
            size_t n = strlen(commands[i]);
            if (s.n > n && memcmp(s.at, commands[i], n) == 0)
                s = (struct span){s.at + n, s.n - n};
        }
    }
    return s;
}

static bool is_letter(char c)
{
    return c >= 'A' && c < 'A' + SCORER_CHOICES_MAX;
}

static bool is_alnum(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* Whether a capital stands alone at i, as the name of an option would: not "A dog", not "I am". */
static bool names_option(struct span s, size_t i)
{
    if (!is_letter(s.at[i]) || (i > 0 && (is_alnum(s.at[i - 1]) || s.at[i - 1] == '\\')))
        return false;
    if (i + 1 == s.n)
        return true;
    if (is_alnum(s.at[i + 1]) || s.at[i + 1] == '\'')
        return false;
    bool word_follows = i + 2 < s.n && s.at[i + 1] == ' ' && islower((unsigned char)s.at[i + 2]);
    return !(word_follows && (s.at[i] == 'A' || s.at[i] == 'I'));
}

/* The same text but for case, white space and signs around it. */
static bool same_text(struct span a, struct span b)
{
    a = undecorated(a);
    b = undecorated(b);
    size_t i = 0, k = 0;
    while (i < a.n && k < b.n) {
        bool blank = isspace((unsigned char)a.at[i]) && isspace((unsigned char)b.at[k]);
        if (!blank && tolower((unsigned char)a.at[i]) != tolower((unsigned char)b.at[k]))
            return false;
        i++;
        k++;
        while (blank && i < a.n && isspace((unsigned char)a.at[i]))
            i++;
        while (blank && k < b.n && isspace((unsigned char)b.at[k]))
            k++;
    }
    return i == a.n && k == b.n && a.n > 0;
}

struct choices {
    const char *texts[SCORER_CHOICES_MAX]; /* borrowed from the arena */
    size_t count;                          /* 0: the task does not say what the options are */
};

static int option_with_text(const struct choices *c, struct span s)
{
    int found = NO_LETTER;
    for (size_t i = 0; i < c->count; i++) {
        if (!same_text((struct span){c->texts[i], strlen(c->texts[i])}, s))
            continue;
        if (found != NO_LETTER)
            return NO_LETTER; /* two options read alike */
        found = (int)i;
    }
    return found;
}

/* What follows the letter may say why, but not what another option says. */
static bool contradicts(const struct choices *c, struct span rest, int option)
{
    while (rest.n > 0 && strchr(").:*$}-, ", rest.at[0]) != NULL && rest.at[0] != '\0')
        rest = (struct span){rest.at + 1, rest.n - 1};
    int named = option_with_text(c, rest);
    return named != NO_LETTER && named != option;
}

/* The option that s names; NO_LETTER with *ret_why (a constant) otherwise. */
static int option_of(const struct choices *c, struct span s, const char **ret_why)
{
    int option = option_with_text(c, s);
    if (option != NO_LETTER)
        return option;
    s = undecorated(s);
    *ret_why = "no letter of an option";
    if (s.n == 1 && s.at[0] >= 'a' && s.at[0] < 'a' + SCORER_CHOICES_MAX)
        option = s.at[0] - 'a';
    else if (s.n > 0 && names_option(s, 0))
        option = s.at[0] - 'A';
    else
        return NO_LETTER;
    *ret_why = "more than one letter of an option";
    for (size_t i = 1; i < s.n; i++) {
        if (names_option(s, i))
            return NO_LETTER;
    }
    *ret_why = "the letter of one option and the text of another";
    if (contradicts(c, (struct span){s.at + 1, s.n - 1}, option))
        return NO_LETTER;
    *ret_why = "a letter beyond the options";
    return c->count == 0 || (size_t)option < c->count ? option : NO_LETTER;
}

/* ---- where it stands ---- */

/* The rest of the line after the last mark. */
static bool after_mark(struct span text, struct span *ret)
{
    static const char *const marks[] = {"answer is", "answer:", "answer**:", "answer:**",
        "option is", "choice is", "答案是", "答案为", "答案：", "答案:"};
    for (size_t at = text.n; at-- > 0;) {
        for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
            size_t n = strlen(marks[i]);
            if (n > text.n - at || strncasecmp(text.at + at, marks[i], n) != 0)
                continue;
            struct span rest = {text.at + at + n, text.n - at - n};
            while (rest.n > 0 && (rest.at[0] == ':' || rest.at[0] == ' ' || rest.at[0] == '*'))
                rest = (struct span){rest.at + 1, rest.n - 1};
            const char *line = memchr(rest.at, '\n', rest.n);
            rest.n = line != NULL ? (size_t)(line - rest.at) : rest.n;
            *ret = span_trim(rest);
            return ret->n > 0;
        }
    }
    return false;
}

static bool find_answer(const struct scorer_tag *s, struct span text, struct arena *a,
    struct span *ret, struct score_result *out)
{
    size_t begin, len;
    if (s->tag[0] == '\0')
        text = prose_answer(text);
    if (!answer_in_tag(text, s->tag, a, ret, out))
        return false;
    if (boxed_last(ret->at, ret->n, &begin, &len))
        *ret = (struct span){ret->at + begin, len};
    else
        (void)after_mark(*ret, ret);
    return true;
}

/* ---- the task ---- */

struct choice_task {
    struct choices choices;
    int right;
};

/* A reference may be a letter, the text of an option, or the option's number from 0 when no option
 * has that text. */
static const void *choice_read(
    const void *state, const struct grade_input *in, struct arena *a, const char **ret_why)
{
    const char *why = "", *reference = task_answer(in, a, ret_why);
    if (reference == NULL)
        return NULL;
    struct choice_task *t = task_alloc(a, sizeof(*t), ret_why);
    if (t == NULL || !task_choices(in, a, t->choices.texts, &t->choices.count, ret_why))
        return NULL;
    const struct choices *c = &t->choices;
    struct span s = {reference, strlen(reference)};
    t->right = option_of(c, s, &why);
    if (t->right == NO_LETTER && s.n == 1 && s.at[0] >= '0' && s.at[0] < '0' + (int)c->count)
        t->right = s.at[0] - '0';
    if (t->right != NO_LETTER)
        return t;
    *ret_why = reason_text(a, "the reference '%.80s' names no option: %s", reference, why);
    return NULL;
}

static void choice_score(const void *state, const void *task, const struct grade_input *in,
    const struct grade_text *completion, struct arena *a, struct score_result *out)
{
    struct span text = {(const char *)completion->text, completion->text_len}, found;
    const struct choice_task *t = task;
    const char *why = "";
    if (!find_answer(state, text, a, &found, out))
        return;
    result_extracted(out, a, found);
    int option = found.n <= ANSWER_BYTES_MAX ? option_of(&t->choices, found, &why) : NO_LETTER;
    if (option == t->right) {
        out->value = 1;
        out->verdict = VERDICT_PASS;
    } else if (option == NO_LETTER) {
        out->verdict = VERDICT_MALFORMED;
        out->reason = found.n <= ANSWER_BYTES_MAX ? why : "the answer is longer than 1024 bytes";
    } else {
        out->reason = reason_text(a, "%c, expected %c", 'A' + option, 'A' + t->right);
    }
}

const struct scorer_kind scorer_choice = {
    .name = "choice",
    .help = "1 when the answer is the one right option, by letter (A to J) or by text, else 0",
    .deterministic = true,
    .open = scorer_tag_open,
    .close = scorer_state_close,
    .read = choice_read,
    .score = choice_score,
};
