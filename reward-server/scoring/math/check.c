/* check.c: one pair: text, then trees. */
#include "reward-server/scoring/math/check.h"

#include <strings.h>

#include "reward-server/scoring/math/compare.h"
#include "reward-server/scoring/math/parse.h"

enum { ARENA_BYTES_MAX = 16 << 20 };

/* Words are compared as text, whatever their case; choices by their letter. */
static bool compare_text(
    struct arena *a, struct span reference, struct span answer, enum math_answer *ret)
{
    const char *r = plain_text(a, reference), *s = plain_text(a, answer);
    char choice_r = plain_choice(r), choice_a = plain_choice(s);
    *ret = MATH_EQUAL;
    if (r[0] != '\0' && strcmp(r, s) == 0)
        return true;
    if (choice_r != 0 && choice_r == choice_a)
        return true;
    if (!plain_is_words(reference))
        return false;
    if (strcasecmp(r, s) == 0)
        return true;
    *ret = MATH_DIFFER;
    return reference.at[0] == '\\' || plain_is_words(answer);
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
    if (a == NULL) {
        *ret_why = why;
        return w->why != NULL ? MATH_UNKNOWN : MATH_DIFFER;
    }
    return compare_answers(w, r, a);
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
    if (!compare_text(a, reference, answer, &v.answer))
        v.answer = compare_trees(&w, reference, answer, &v.why);
    if (w.why != NULL && v.answer != MATH_EQUAL) {
        v.answer = MATH_UNKNOWN;
        v.why = w.why;
    }
    v.steps = MATH_STEPS_MAX - w.steps_left;
    arena_free(a);
    return v;
}

bool math_is_readable(struct span text)
{
    struct math_work w;
    const char *why;
    if (text.n > MATH_TEXT_MAX || memchr(text.at, '\0', text.n) != NULL)
        return false;
    struct arena *a = arena_new(ARENA_BYTES_MAX);
    math_work_init(&w, a);
    bool ok = math_parse(&w, text.at, text.n, &why) != NULL;
    arena_free(a);
    return ok;
}
