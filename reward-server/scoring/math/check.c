/* check.c: one pair: text, then trees. */
#include "reward-server/scoring/math/check.h"

#include <strings.h>

#include "reward-server/scoring/math/compare.h"
#include "reward-server/scoring/math/fold.h"
#include "reward-server/scoring/math/parse.h"
#include "reward-server/scoring/math/phrase.h"

enum { ARENA_BYTES_MAX = 16 << 20 };

/* One of the two texts of a pair. */
struct side {
    struct span raw;
    const char *plain;
};

/* "(B) 12" is the choice B. */
static bool is_same_choice(const struct side *reference, const struct side *answer)
{
    char r = plain_choice(reference->plain), s = plain_choice(answer->plain);
    struct span text;
    if (r != 0)
        return r == s || r == plain_choice_text(answer->raw, answer->plain, &text);
    return s != 0 && s == plain_choice_text(reference->raw, reference->plain, &text);
}

/* The letter of a choice before its text, which is left; 0 for none. */
static char take_choice(struct side *x)
{
    struct span text;
    char letter = plain_choice(x->plain) == 0 ? plain_choice_text(x->raw, x->plain, &text) : 0;
    x->raw = letter != 0 ? span_trim(text) : x->raw;
    return letter;
}

/* Words are compared as text, whatever their case; choices by their letter. */
static bool compare_text(struct math_work *w, const struct side *reference,
    const struct side *answer, enum math_answer *ret)
{
    *ret = MATH_EQUAL;
    if (reference->plain[0] != '\0' && strcmp(reference->plain, answer->plain) == 0)
        return true;
    if (is_same_choice(reference, answer))
        return true;
    if (!plain_is_words(reference->raw))
        return false;
    if (strcasecmp(reference->plain, answer->plain) == 0)
        return true;
    if (phrase_parse(w, reference->raw) != NULL)
        return false;
    *ret = MATH_DIFFER;
    return reference->raw.at[0] == '\\' || plain_is_words(answer->raw);
}

static bool is_number(const struct math_node *x)
{
    return x != NULL && (x->kind == MATH_NUM || (x->kind == MATH_NEG && is_number(x->kids[0])));
}

/* One side as another country writes it is the number that the other side is: r and a are what they
 * read as otherwise, NULL for nothing. */
static bool is_locale_number(struct math_work *w, struct span reference, struct span answer,
    const struct math_node *r, const struct math_node *a)
{
    const char *x = plain_text(w->arena, reference), *y = plain_text(w->arena, answer);
    const struct math_node *other = NULL;
    if (is_number(r))
        other = phrase_locale_number(w, (struct span){y, strlen(y)});
    if (other != NULL)
        return compare_exact(w, r, other) == MATH_EQUAL;
    if (is_number(a))
        other = phrase_locale_number(w, (struct span){x, strlen(x)});
    return other != NULL && compare_exact(w, other, a) == MATH_EQUAL;
}

static enum math_answer compare_trees(
    struct math_work *w, struct span reference, struct span answer, const char **ret_why)
{
    const char *why = "";
    const struct math_node *r = math_parse(w, reference.at, reference.n, &why);
    if (r == NULL) {
        *ret_why = plain_is_words(reference) ? "another text"
                                             : "undecided: the reference is read as text only";
        return plain_is_words(reference) ? MATH_DIFFER : MATH_UNKNOWN;
    }
    const struct math_node *a = math_parse(w, answer.at, answer.n, &why);
    enum math_answer result = a != NULL ? compare_answers(w, r, a) : MATH_DIFFER;
    if (result != MATH_EQUAL && is_locale_number(w, reference, answer, r, a))
        return MATH_EQUAL;
    if (a == NULL) {
        *ret_why = why;
        return w->why != NULL ? MATH_UNKNOWN : MATH_DIFFER;
    }
    return result;
}

struct math_verdict math_check_pair(struct span reference, struct span answer)
{
    struct math_verdict v = {.why = ""};
    struct math_work w;
    if (reference.n > MATH_TEXT_MAX || answer.n > MATH_TEXT_MAX)
        return (struct math_verdict){MATH_DIFFER, "longer than 4096 bytes", 0};
    if (memchr(reference.at, '\0', reference.n) != NULL ||
        memchr(answer.at, '\0', answer.n) != NULL)
        return (struct math_verdict){MATH_DIFFER, "a NUL byte", 0};
    struct arena *a = arena_new(ARENA_BYTES_MAX);
    math_work_init(&w, a);
    reference = math_fold(a, reference);
    answer = math_fold(a, answer);
    struct side r = {reference, plain_text(a, reference)}, s = {answer, plain_text(a, answer)};
    if (!compare_text(&w, &r, &s, &v.answer)) {
        char choice_r = take_choice(&r), choice_s = take_choice(&s);
        bool other = choice_r != 0 && choice_s != 0 && choice_r != choice_s;
        v.answer = other ? MATH_DIFFER : compare_trees(&w, r.raw, s.raw, &v.why);
    }
    if (w.why != NULL && v.answer != MATH_EQUAL) {
        v.answer = MATH_UNKNOWN;
        v.why = w.why;
    }
    if (v.answer == MATH_UNKNOWN && v.why[0] == '\0')
        v.why = "undecided: neither proven equal nor different";
    v.steps = MATH_STEPS_MAX - w.steps_left;
    arena_free(a);
    return v;
}

bool math_is_choice(struct span text)
{
    struct arena *a = arena_new(ARENA_BYTES_MAX);
    struct span rest;
    bool line = text.n <= MATH_TEXT_MAX && memchr(text.at, '\n', text.n) == NULL;
    bool ok = line && plain_choice_text(text, plain_text(a, text), &rest) != 0;
    arena_free(a);
    return ok;
}

bool math_is_readable(struct span text)
{
    struct math_work w;
    const char *why;
    if (text.n > MATH_TEXT_MAX || memchr(text.at, '\0', text.n) != NULL)
        return false;
    struct arena *a = arena_new(ARENA_BYTES_MAX);
    math_work_init(&w, a);
    text = math_fold(a, text);
    bool ok = math_parse(&w, text.at, text.n, &why) != NULL;
    arena_free(a);
    return ok;
}
